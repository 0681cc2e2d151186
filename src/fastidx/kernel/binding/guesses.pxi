# Data decoded from a guessed block start: symbols, and their resolution to bytes.

class BlockStart(NamedTuple):
    """Where a block may start: at its first bit or, for a stored block, at its field LEN."""

    bit: int
    stored: bool


cdef class Speculation:
    """Data decoded from a guessed block start, before the window that it refers to is known.

    Memory is taken once; the object can serve one guess after another.

    Parameters
    ----------
    source : Source
        With ``read_range``.
    capacity : int
        Most symbols of one guess.
    """

    cdef fi_inflate state
    cdef void *table_memory
    cdef fi_marker_table *table    # aligned to 64 bytes, see there
    cdef uint16_t[::1] memory      # a window of markers, and behind it the symbols
    cdef uint16_t *symbols
    cdef size_t capacity
    cdef object source
    cdef object buffer             # what `data` is of, to be used again
    cdef const uint8_t[::1] data   # of the source, from byte `begin`
    cdef uint64_t begin, end
    cdef fi_block_start block      # counted in data
    cdef uint64_t stopped_at       # position in the source
    cdef readonly size_t nsymbols

    def __cinit__(self, source, size_t capacity):
        # Up to some size of exactly this size, so that a sanitizer sees each step beyond it.
        self.memory = in_huge_pages((WINDOW_NBYTES + capacity) * sizeof(uint16_t)).view("u2")
        self.table_memory = PyMem_Malloc(sizeof(fi_marker_table) + 63)
        if self.table_memory == NULL:
            raise MemoryError
        self.table = <fi_marker_table *>((<size_t>self.table_memory + 63) // 64 * 64)
        self.symbols = &self.memory[0] + WINDOW_NBYTES
        self.capacity = capacity
        self.source = source
        self.buffer = None
        fi_markers_fill_window(&self.memory[0])

    def __dealloc__(self):
        PyMem_Free(self.table_memory)

    def look_at(self, uint64_t begin, uint64_t end):
        """Take the source's bytes from ``begin`` to ``end``, where `find` will look for a block."""
        self.buffer = self.source.read_range(begin, end + SPECULATION_SLACK, self.buffer)
        self.data = self.buffer
        self.begin = begin
        self.end = end
        self.nsymbols = 0

    def find(self, uint64_t bit):
        """Look for a block at or after ``bit`` of the source, in the bytes that `look_at` took.

        Returns
        -------
        BlockStart or None
            The first candidate, from which `decode` then starts.
        """
        cdef bint found
        cdef size_t nbytes = self.data.shape[0]
        cdef const uint8_t *p = &self.data[0] if nbytes else NULL
        cdef uint64_t begin = bit - 8 * self.begin, end = 8 * (self.end - self.begin)

        self.nsymbols = 0
        with nogil:
            found = fi_find_block(p, nbytes, begin, min(end, 8 * <uint64_t>nbytes), &self.block)
        return BlockStart(self.block.bit + 8 * self.begin, self.block.stored) if found else None

    def decode(self):
        """Decode from the candidate to the first block boundary at or past the range's end.

        Returns
        -------
        bool
            False if the guess turned out to be wrong, or the data to be damaged. Decoding may stop
            earlier:
            when the capacity is exhausted, or the member or the data end.
        """
        cdef fi_io io
        cdef fi_status status
        cdef const uint8_t[::1] chunk = self.data
        cdef uint64_t chunk_begin = self.begin
        cdef const uint8_t *chunk_end = &chunk[0] + chunk.shape[0]
        cdef unsigned int nbits = self.block.bit & 7

        fi_inflate_init(&self.state)
        self.state.total_out = WINDOW_NBYTES  # as if: the markers are there
        io.in_next = &chunk[0] + self.block.bit // 8
        if self.block.stored:
            self.state.phase = FI_PHASE_STORED_LENGTH
        elif nbits:
            self.state.bitbuf = io.in_next[0] >> nbits
            self.state.bitcount = 8 - nbits
            io.in_next += 1
        io.out_next = <uint8_t *>self.symbols
        io.out_end = <uint8_t *>(self.symbols + self.capacity)
        while True:
            if io.in_next == chunk_end:
                chunk_begin += chunk.shape[0]
                chunk = self.source.read_range(chunk_begin, chunk_begin + SPECULATION_SLACK)
                if chunk.shape[0] == 0:
                    self.stopped_at = chunk_begin
                    status = FI_NEED_INPUT
                    break
                io.in_next = &chunk[0]
                chunk_end = io.in_next + chunk.shape[0]
            io.in_end = io.in_next + min(chunk_end - io.in_next, CALL_IN_NBYTES)
            io.out_stop = min(io.out_end, io.out_next + CALL_OUT_NBYTES)
            io.pause_at = NULL
            if self.end <= chunk_begin + chunk.shape[0]:
                io.pause_at = &chunk[0] + (self.end - min(self.end, chunk_begin))
            with nogil:
                status = fi_inflate_run_markers(&self.state, &io)
            PyErr_CheckSignals()
            self.stopped_at = chunk_begin + (io.in_next - &chunk[0])
            if status == FI_NEED_INPUT or (status == FI_OUTPUT_FULL and io.out_next != io.out_end):
                continue
            break
        self.nsymbols = <uint16_t *>io.out_next - self.symbols
        return status <= FI_BLOCK_BOUNDARY


cdef class Resolution:
    """The bytes of a speculation from some symbol on, once `FrontDecoder.adopt` has set the window.

    Attributes
    ----------
    crc : int
        CRC-32 of what has been read.
    """

    cdef Speculation guess
    cdef size_t pos
    cdef readonly uint32_t crc
    truncated = False

    def __cinit__(self, Speculation guess not None, size_t begin):
        self.guess = guess
        self.pos = begin

    def read_into(
        self,
        uint8_t[::1] out not None,
        unsigned int item_nbytes=1,
        size_t start=0,
        Expansion expansion=None,
    ):
        """Fill ``out``, as `GzipDecoder.read_into` does."""
        cdef item_rule rule = make_rule(item_nbytes, expansion)
        cdef size_t room = <size_t>out.shape[0] // rule.result_nbytes * item_nbytes
        cdef size_t nbytes = max(start, room) - start
        cdef size_t done = 0, n = 0, delivered = 0
        cdef bint as_it_is = item_nbytes == 1 and rule.table == NULL
        cdef uint8_t *dst = &out[0] + start // item_nbytes * rule.result_nbytes if nbytes else NULL
        cdef uint8_t *bytes_at = dst
        cdef uint8_t *place
        cdef uint8_t *scratch = NULL

        nbytes = min(nbytes, self.guess.nsymbols - self.pos)
        nbytes -= nbytes % item_nbytes
        if not as_it_is:
            scratch = bytes_at = <uint8_t *>PyMem_Malloc(WINDOW_NBYTES)
            if scratch == NULL:
                raise MemoryError
        try:
            with nogil:
                while done < nbytes and delivered == n:
                    n = min(nbytes - done, WINDOW_NBYTES)
                    if as_it_is:
                        bytes_at = dst + done
                    fi_markers_resolve(self.guess.table, bytes_at, self.guess.symbols + self.pos, n)
                    self.crc = fi_crc32(self.crc, bytes_at, n)
                    delivered = n
                    if not as_it_is:
                        place = dst + done // item_nbytes * rule.result_nbytes
                        delivered = deliver(&rule, place, scratch, n)
                    done += n
                    self.pos += n
            if delivered != n:
                raise expansion.refusal(scratch[delivered])
        finally:
            PyMem_Free(scratch)
        return done
