# What only tests and fuzzers use: the kernel, driven as hard as they ask for.

cdef class _Block:
    """Memory of exactly the size asked for, so that a sanitizer sees each step beyond it."""

    cdef uint8_t *data
    cdef size_t nbytes

    def __dealloc__(self):
        PyMem_Free(self.data)

    cdef int resize(self, size_t nbytes) except -1:
        cdef uint8_t *data = <uint8_t *>PyMem_Realloc(self.data, nbytes if nbytes else 1)
        if data == NULL:
            raise MemoryError
        self.data = data
        self.nbytes = nbytes


cdef class _Inflation:
    """One call of `inflate`."""

    cdef fi_gunzip *state
    cdef bint gzip

    def __cinit__(self, bint gzip, bint verify):
        self.state = <fi_gunzip *>PyMem_Malloc(sizeof(fi_gunzip))
        if self.state == NULL:
            raise MemoryError
        fi_gunzip_init(self.state, FI_CHECKS_COMPARED if verify else FI_CHECKS_IGNORED)
        self.gzip = gzip

    def __dealloc__(self):
        PyMem_Free(self.state)

    cdef fi_status run(self, fi_io *io) except *:
        cdef fi_status status
        with nogil:
            if self.gzip:
                status = fi_gunzip_run(self.state, io)
            else:
                status = fi_inflate_run(&self.state.inflate, io)
        PyErr_CheckSignals()
        return status


def inflate(
    const uint8_t[::1] data not None,
    *,
    str container,
    size_t max_nbytes,
    in_chunk=None,
    out_chunk=None,
    bint verify=True,
):
    """Decode ``data`` whole, driving the kernel as hard as asked for. For tests and fuzzers.

    Parameters
    ----------
    data : bytes-like
        One raw DEFLATE stream, or gzip members.
    container : {"raw", "gzip"}
    max_nbytes : int
        Most bytes of output.
    in_chunk, out_chunk : int, optional
        Bytes of input and of room for output per kernel call, each in a block of memory of exactly
        that size (for output, behind a window of history). By default the input as it is, and as
        much room
        as there is.
    verify : bool
        Whether to check CRC-32 and ISIZE.

    Returns
    -------
    bytes

    Raises
    ------
    CorruptError, ChecksumError, TruncatedError, TrailingDataError
    IdxError
        If there is more output than ``max_nbytes``.
    """
    cdef size_t data_nbytes = data.shape[0]
    cdef size_t in_step = CALL_IN_NBYTES, out_step = CALL_OUT_NBYTES
    cdef size_t pos = 0, total = 0, history = 0, room, fed, made
    cdef _Inflation inflation
    cdef _Block block_in = _Block(), block_out = _Block(), result = _Block()
    cdef fi_io io
    cdef fi_status status

    if container not in ("raw", "gzip"):
        raise ValueError(f"container must be 'raw' or 'gzip', not {container!r}")
    for chunk in (in_chunk, out_chunk):
        if chunk is not None and chunk < 1:
            raise ValueError(f"in_chunk and out_chunk must be positive, not {chunk}")
    if in_chunk is not None:
        in_step = in_chunk
    if out_chunk is not None:
        out_step = out_chunk
    inflation = _Inflation(container == "gzip", verify)
    while True:
        fed = min(in_step, data_nbytes - pos)
        if in_chunk is None:
            io.in_next = &data[0] + pos if data_nbytes else NULL
        else:
            block_in.resize(fed)
            if fed:
                memcpy(block_in.data, &data[pos], fed)
            io.in_next = block_in.data
        io.in_end = io.in_next + fed

        room = min(out_step, max_nbytes - total)
        if out_chunk is None:
            if result.nbytes < max_nbytes and result.nbytes - total < room:
                result.resize(min(max_nbytes, max(2 * result.nbytes, 65536)))
            room = result.nbytes - total
            io.out_next = result.data + total
        else:
            block_out.resize(history + room)
            io.out_next = block_out.data + history
        io.out_stop = io.out_next + min(room, out_step)
        io.out_end = io.out_next + room
        io.pause_at = NULL

        status = inflation.run(&io)
        pos += fed - (io.in_end - io.in_next)
        if out_chunk is None:
            made = io.out_next - (result.data + total)
        else:
            made = io.out_next - (block_out.data + history)
            if result.nbytes < total + made:
                result.resize(max(2 * result.nbytes, total + made))
            if made:
                memcpy(result.data + total, block_out.data + history, made)
            history += made
            if history > WINDOW_NBYTES:
                memmove(block_out.data, block_out.data + history - WINDOW_NBYTES, WINDOW_NBYTES)
                history = WINDOW_NBYTES
        total += made

        if status > FI_BLOCK_BOUNDARY:
            raise verdict(status, inflation.state, "<data>", pos)
        if status == FI_OUTPUT_FULL and room == 0:
            raise IdxError(
                f"<data>: expected at most {max_nbytes} bytes of output, found more; "
                "raise max_nbytes"
            )
        if status == FI_DONE and not inflation.gzip:
            break
        if status == FI_NEED_INPUT and pos == data_nbytes:
            if inflation.gzip and fi_gunzip_may_end(inflation.state):
                break
            raise TruncatedError(
                f"<data>: expected the end of the {container} stream, found the end of the input "
                f"after {data_nbytes} bytes; fetch it again"
            )
    pos -= inflation.state.inflate.bitcount // 8
    if pos != data_nbytes:
        raise TrailingDataError(
            f"<data>: expected the end of the input at byte {pos}, found {data_nbytes - pos} bytes "
            "more; cut them off"
        )
    return result.data[:total] if total else b""
