# The decoder at the front of a parallel load.

class MemberEnd(NamedTuple):
    """What the footer of a gzip member says of its data."""

    crc: int
    isize: int


cdef class FrontDecoder(GzipDecoder):
    """The decoder at the front of a parallel load.

    It decodes as `GzipDecoder` does, up to a block boundary where it is told to pause. There it can
    adopt a
    speculation that began at just this boundary, and go on behind it. Checksums are not compared
    here, since those
    of adopted data are computed elsewhere and later: `pieces` has what is needed.

    Attributes
    ----------
    pieces : list of tuple
        In order `DataPiece` for what was decoded here, the notes of what was adopted, and
        `MemberEnd`.
    """

    cdef readonly list pieces
    cdef uint64_t noted            # of total_out: bytes of the member that pieces has

    def __init__(self, source, *, bint verify=True):
        self.pieces = []
        self.state.checks = FI_CHECKS_COMPUTED if verify else FI_CHECKS_IGNORED

    cdef int note_data(self) except -1:
        if self.state.inflate.total_out != self.noted:
            self.pieces.append(DataPiece(self.state.crc, self.state.inflate.total_out - self.noted))
            self.noted = self.state.inflate.total_out
            self.state.crc = 0
        return 0

    cdef int member_ended(self) except -1:
        self.note_data()
        self.pieces.append(MemberEnd(self.state.footer_crc, self.state.footer_isize))
        self.noted = 0
        return 0

    @property
    def pending(self):
        """Bytes decoded but not delivered, at most a part of an item after `read_into`."""
        return self.scratch[self.begin:self.end]

    def stands_before(self, start not None):
        """Whether the block that comes next is the one that starts at this `BlockStart`."""
        cdef uint64_t here = self.position
        cdef unsigned int nbits = self.state.inflate.bitcount
        cdef uint64_t header = self.state.inflate.bitbuf

        if not self.at_block_boundary:
            return False
        if not start.stored:
            return here == start.bit
        # BFINAL 0, BTYPE 00, and the padding that leads to LEN (RFC 1951, section 3.2.4)
        if (here + 3 + 7) // 8 * 8 != start.bit:
            return False
        if nbits < 3:
            if self.chunk_pos == self.chunk.shape[0]:
                self.take_chunk()
            if self.input_ended:
                return False
            header |= <uint64_t>self.chunk[self.chunk_pos] << nbits
        return header & 7 == 0

    def adopt(self, Speculation guess not None, size_t undelivered, note):
        """Go on behind a speculation that began just here.

        Parameters
        ----------
        guess : Speculation
        undelivered : int
            How many of its last bytes belong to an item that is not complete, and are delivered
            here.
        note : object
            What to add to `pieces` in its place.

        Returns
        -------
        bool
            False if the speculation refers to bytes before the start of the member; then the data
            is damaged.
        """
        cdef uint64_t member_nbytes = self.state.inflate.total_out
        cdef size_t n = guess.nsymbols
        cdef size_t tail = min(n, WINDOW_NBYTES)
        cdef size_t kept

        if member_nbytes < WINDOW_NBYTES:
            if fi_markers_lowest(guess.symbols, n) < WINDOW_NBYTES - member_nbytes:
                return False
        if self.end < WINDOW_NBYTES:
            # Early in the stream: what lies before it is never referred to, but must be there.
            memmove(self.scratch + WINDOW_NBYTES - self.end, self.scratch, self.end)
            memset(self.scratch, 0, WINDOW_NBYTES - self.end)
            self.end = WINDOW_NBYTES
        self.note_data()
        self.pieces.append(note)
        with nogil:
            fi_markers_set_window(guess.table, self.scratch + self.end - WINDOW_NBYTES)
            kept = WINDOW_NBYTES - tail
            memmove(self.scratch, self.scratch + self.end - kept, kept)
            fi_markers_resolve(guess.table, self.scratch + kept, guess.symbols + n - tail, tail)
        self.end = WINDOW_NBYTES
        self.begin = self.end - undelivered
        self.delivered_in_place = 0
        self.state.inflate = guess.state
        self.state.inflate.total_out = self.noted = member_nbytes + n
        self.go_to(guess.stopped_at)
        return True

    cdef int go_to(self, uint64_t position) except -1:
        """Take the input from another place."""
        if self.consumed <= position <= self.consumed + <uint64_t>self.chunk.shape[0]:
            self.chunk_pos = position - self.consumed
        else:
            self.source.restart_at(position)
            self.chunk = b""
            self.chunk_pos = 0
            self.consumed = position
            self.input_ended = False
        return 0
