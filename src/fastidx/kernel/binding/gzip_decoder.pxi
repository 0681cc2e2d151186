# Decoded bytes of a gzip source, in the amounts and types asked for.

class DataPiece(NamedTuple):
    """The checksum of some data."""

    crc: int
    nbytes: int


cdef class GzipDecoder:
    """Decoded bytes of a gzip source, in the amounts and types asked for.

    Bytes go straight to their destination once the destination itself holds a full window of
    history.
    Before that, and for items that have to be converted, they pass through a scratch buffer, which
    also keeps the history from one call to the next.

    Parameters
    ----------
    source : object
        Has ``name`` and ``next_chunk()``, which returns bytes-like objects, an empty one at the
        end.
    verify : bool
        Whether to check CRC-32 and ISIZE of each member.
    read_ahead : bool
        Whether to decode a cache-sized slice at a time. Otherwise, little more than what is asked
        for.
    """

    cdef fi_gunzip state
    cdef object source
    cdef str name
    cdef const uint8_t[::1] chunk
    cdef Py_ssize_t chunk_pos
    cdef uint64_t consumed         # bytes of all chunks before this one
    cdef readonly bint input_ended # the source has no more, and all of it has been taken
    cdef public bint cancelled     # any thread sets it: the next kernel call raises `Cancelled`
    cdef bint in_use               # a call is under way
    cdef bint read_ahead
    cdef Py_ssize_t pause_pos      # in the source, see pause_at of struct fi_io; negative: none
    cdef bint resumed              # in the member that goes on, whose checks so do not apply
    cdef bint verify
    cdef uint32_t crc_before       # of the data of complete members, or since resume()
    cdef uint64_t nbytes_before    # how much that is
    cdef uint64_t nbytes_of_window # of what total_out counts, what resume() brought
    cdef uint8_t *scratch
    cdef size_t begin, end         # decoded and not yet delivered; the history lies before end
    cdef size_t delivered_in_place # bytes just before `start` of the next read_into() that are ours

    def __cinit__(self, source, *, bint verify=True, bint read_ahead=True):
        self.scratch = <uint8_t *>PyMem_Malloc(SCRATCH_NBYTES)
        if self.scratch == NULL:
            raise MemoryError
        fi_gunzip_init(&self.state, FI_CHECKS_COMPARED if verify else FI_CHECKS_IGNORED)
        self.verify = verify
        self.source = source
        self.name = source.name
        self.chunk = b""
        self.read_ahead = read_ahead
        self.pause_pos = -1

    def __dealloc__(self):
        PyMem_Free(self.scratch)

    @property
    def truncated(self):
        """Whether the input has ended inside a member."""
        return self.input_ended and not fi_gunzip_may_end(&self.state)

    @property
    def pause_at(self):
        """Byte of the input after which to pause at a block boundary; negative for none."""
        return self.pause_pos

    @pause_at.setter
    def pause_at(self, Py_ssize_t position):
        self.pause_pos = position

    @property
    def nbytes_taken(self):
        """Bytes of the input taken so far; may be asked by other threads while this one decodes."""
        return self.consumed + self.chunk_pos

    @property
    def position(self):
        """Bits of the input decoded so far."""
        return fi_inflate_bit_position(&self.state.inflate, self.consumed + self.chunk_pos)

    @property
    def at_block_boundary(self):
        """Whether a block header comes next."""
        cdef fi_inflate_phase phase = self.state.inflate.phase
        return self.state.phase == FI_GUNZIP_BODY and phase == FI_PHASE_BLOCK_HEADER

    cdef uint64_t stream_nbytes(self):
        return self.nbytes_before + self.state.inflate.total_out - self.nbytes_of_window

    cdef uint32_t stream_crc(self):
        cdef uint64_t n = self.state.inflate.total_out - self.nbytes_of_window
        return fi_crc32_combine(self.crc_before, self.state.crc, n)

    @property
    def decoded(self):
        """CRC-32 and number of all bytes decoded so far, delivered or not (`DataPiece`)."""
        return DataPiece(self.stream_crc(), self.stream_nbytes())

    @property
    def member(self):
        """The same of the member that goes on, if it was begun, or resumed as a known one."""
        return DataPiece(self.state.crc, self.state.inflate.total_out)

    cdef int begin_use(self) except -1:
        """Refuse a second call while one is under way: it would pull the buffers from under it."""
        if self.in_use:
            raise RuntimeError(
                f"{self.name}: expected one call of the decoder at a time, found another under "
                "way; a source must not read from its own decoder, and threads need one each"
            )
        self.in_use = True
        return 0

    cdef int member_ended(self) except -1:
        """For subclasses: called at the end of each member."""
        return 0

    cdef int take_chunk(self) except -1:
        """Go on to the next chunk of the source; the one at hand is used up."""
        if not self.input_ended:
            chunk = self.source.next_chunk()  # after an error of which nothing has changed
            self.consumed += self.chunk_pos
            self.chunk_pos = 0
            self.chunk = chunk
            self.input_ended = self.chunk.shape[0] == 0
        return 0

    cdef fi_status run(self, fi_io *io) except *:
        """One kernel call, after which FI_NEED_INPUT means that the source has ended."""
        cdef fi_status status
        cdef Py_ssize_t chunk_nbytes = self.chunk.shape[0]
        cdef const uint8_t *data

        if self.cancelled:
            raise Cancelled
        if self.chunk_pos == chunk_nbytes:
            self.take_chunk()
            chunk_nbytes = self.chunk.shape[0]
        data = &self.chunk[0] if chunk_nbytes else NULL
        io.in_next = data + self.chunk_pos
        io.in_end = io.in_next + min(chunk_nbytes - self.chunk_pos, CALL_IN_NBYTES)
        io.pause_at = NULL
        if self.pause_pos >= 0 and self.pause_pos - <Py_ssize_t>self.consumed <= chunk_nbytes:
            io.pause_at = data + max(0, self.pause_pos - <Py_ssize_t>self.consumed)
        if io.out_stop > io.out_next + CALL_OUT_NBYTES:
            io.out_stop = io.out_next + CALL_OUT_NBYTES
        with nogil:
            status = fi_gunzip_run(&self.state, io)
        self.chunk_pos = io.in_next - data
        PyErr_CheckSignals()
        if status == FI_NEED_INPUT and not self.input_ended:
            return FI_OUTPUT_FULL  # nothing wrong, nothing ended: to be called again
        if status > FI_BLOCK_BOUNDARY:
            raise verdict(status, &self.state, self.name, self.consumed + self.chunk_pos)
        if status == FI_DONE:
            self.member_ended()
            self.crc_before = self.stream_crc()
            self.nbytes_before = self.stream_nbytes()
            self.nbytes_of_window = 0
            self.state.crc = 0
            self.state.inflate.total_out = 0
            if self.resumed:
                self.resumed = False
                self.state.checks = FI_CHECKS_COMPARED if self.verify else FI_CHECKS_IGNORED
        return status

    cdef bint fill(self, size_t wanted) except -1:
        """Decode some more into the scratch buffer. False: the source ended, or a pause is due."""
        cdef fi_io io
        cdef fi_status status
        cdef size_t keep, made

        if self.end > <size_t>SCRATCH_NBYTES // 2:
            keep = WINDOW_NBYTES
            if self.end - self.begin > keep:
                return True
            memmove(self.scratch, self.scratch + self.end - keep, keep)
            self.begin -= self.end - keep
            self.end = keep
        io.out_next = self.scratch + self.end
        io.out_end = self.scratch + SCRATCH_NBYTES
        io.out_stop = io.out_end - SCRATCH_SLACK
        if not self.read_ahead and wanted < <size_t>(io.out_stop - io.out_next):
            io.out_stop = io.out_next + wanted
        status = self.run(&io)
        made = io.out_next - (self.scratch + self.end)
        self.end += made
        return made != 0 or (status != FI_NEED_INPUT and status != FI_BLOCK_BOUNDARY)

    cdef size_t take(self, const item_rule *rule, uint8_t *dst, size_t nbytes) noexcept nogil:
        """Deliver whole items from the scratch buffer; return their bytes, up to a refusal."""
        cdef size_t n = min(self.end - self.begin, nbytes)
        n -= n % rule.item_nbytes
        n = deliver(rule, dst, self.scratch + self.begin, n)
        self.begin += n
        return n

    cdef size_t read_direct(self, uint8_t *dst, size_t done, size_t nbytes) except? 0:
        """Decode into dst behind `done` bytes, at least a window; return how many it holds then."""
        cdef fi_io io
        cdef fi_status status = FI_OUTPUT_FULL

        io.out_next = dst + done
        io.out_end = dst + nbytes
        while status != FI_NEED_INPUT and status != FI_BLOCK_BOUNDARY and io.out_next != io.out_end:
            io.out_stop = io.out_end
            status = self.run(&io)
        memcpy(self.scratch, io.out_next - WINDOW_NBYTES, WINDOW_NBYTES)
        self.begin = self.end = WINDOW_NBYTES
        return io.out_next - dst

    def read_into(
        self,
        uint8_t[::1] out not None,
        unsigned int item_nbytes=1,
        size_t start=0,
        Expansion expansion=None,
    ):
        """Fill ``out`` with items of the stream, behind those that earlier calls delivered.

        Parameters
        ----------
        out : writable buffer
            For a whole number of results.
        item_nbytes : int
            Size of the big-endian items in the stream: 1, 2, 4 or 8. They arrive in native byte
            order.
        start : int
            If not 0, then ``out`` is that of the preceding call, and this is where it stopped,
            counted, as the
            result is, in bytes of the stream.
        expansion : Expansion, optional
            What to make of 1-byte items.

        Returns
        -------
        int
            Bytes of the stream delivered, whole items: fewer than there is room for when it has
            ended.
        """
        cdef item_rule rule = make_rule(item_nbytes, expansion)
        cdef size_t nbytes = <size_t>out.shape[0] // rule.result_nbytes * item_nbytes
        cdef size_t done = start, n
        cdef size_t in_place = min(self.delivered_in_place, start)
        cdef bint as_it_is = item_nbytes == 1 and rule.table == NULL
        cdef uint8_t *dst = &out[0] if out.shape[0] else NULL
        cdef uint8_t *place

        self.begin_use()
        try:
            while done < nbytes:
                if self.end - self.begin >= item_nbytes:
                    with nogil:
                        place = dst + done // item_nbytes * rule.result_nbytes
                        n = self.take(&rule, place, nbytes - done)
                    done += n
                    if n == 0 or (rule.marked != NULL and self.begin != self.end and done < nbytes):
                        raise expansion.refusal(self.scratch[self.begin])
                elif as_it_is and done - start + in_place >= WINDOW_NBYTES:
                    done = self.read_direct(dst, done, nbytes)
                    break
                elif not self.fill(nbytes - done):
                    break
            self.delivered_in_place = done - start + in_place if as_it_is else 0
        finally:
            self.in_use = False
        return done - start

    def skip(self, uint64_t nbytes):
        """Decode and drop so many bytes; returns how many there were."""
        cdef uint64_t done = 0, n
        self.begin_use()
        try:
            while done < nbytes:
                n = min(nbytes - done, self.end - self.begin)
                self.begin += n
                done += n
                if done < nbytes and not self.fill(min(nbytes - done, SCRATCH_NBYTES)):
                    break
        finally:
            self.in_use = False
        return done

    def resume(self, unsigned int nbits_used, const uint8_t[::1] window not None, member=None):
        """Before anything is read: begin inside a member, at a block boundary.

        Parameters
        ----------
        nbits_used : int
            How many of the low bits of the source's first byte belong to the block before: 0 to 7.
        window : bytes-like
            The data before it, at most the last 32 KiB; none if the member has just begun.
        member : DataPiece, optional
            What `member` was there. Without it, the rest of this member cannot be checked; with it,
            `decoded`
            counts from where the member begins.
        """
        cdef size_t n = window.shape[0]
        cdef fi_inflate *inflate = &self.state.inflate

        if n > WINDOW_NBYTES or nbits_used > 7:
            raise ValueError("a window has 32768 bytes at most, and 7 bits of a byte can be used")
        fi_gunzip_init(&self.state, FI_CHECKS_COMPUTED if self.verify else FI_CHECKS_IGNORED)
        self.state.phase = FI_GUNZIP_BODY
        self.resumed = member is None
        inflate.total_out = self.nbytes_of_window = n
        if member is not None:
            if member.nbytes < n:
                raise ValueError("a window is no longer than the data of its member so far")
            self.state.checks = FI_CHECKS_COMPARED if self.verify else FI_CHECKS_IGNORED
            self.state.crc, inflate.total_out = member
            self.nbytes_of_window = 0
        if n:
            memcpy(self.scratch + WINDOW_NBYTES - n, &window[0], n)
        if n < WINDOW_NBYTES:
            memset(self.scratch, 0, WINDOW_NBYTES - n)
        self.begin = self.end = WINDOW_NBYTES
        self.delivered_in_place = 0
        if nbits_used:
            self.chunk = self.source.next_chunk()
            if self.chunk.shape[0] == 0:
                self.input_ended = True
                return
            inflate.bitbuf = self.chunk[0] >> nbits_used
            inflate.bitcount = 8 - nbits_used
            self.chunk_pos = 1

    def window(self):
        """The data before the next byte to be delivered, at most the last 32 KiB of its member."""
        cdef size_t n = min(self.end, WINDOW_NBYTES)
        n = min(n, self.state.inflate.total_out)
        return self.scratch[self.end - n:self.end]

    def skip_member(self):
        """Decode and drop the rest of the current member, for the sake of its checks.

        Returns
        -------
        bool
            Whether the member ended; False when the source ended before it.
        """
        cdef uint64_t nmembers = self.state.nmembers

        self.begin_use()
        try:
            if fi_gunzip_may_end(&self.state):
                return True
            while self.state.nmembers == nmembers:
                self.begin = self.end
                if not self.fill(SCRATCH_NBYTES):
                    return False
        finally:
            self.in_use = False
        return True

    def at_end(self):
        """Whether nothing more will come: run to the source's end, or to the next byte of data."""
        self.begin_use()
        try:
            while self.begin == self.end:
                if not self.fill(1):
                    return True
        finally:
            self.in_use = False
        return False
