# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The C kernel for Python: buffers, the GIL, and statuses turned into exceptions.

Whatever calls C here has one shape: acquire the buffers, run with the GIL released for a bounded amount
of work, look for signals, check the status. Paths, shapes and policy live in the Python modules.
"""

import os

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from .errors import ChecksumError, CorruptError, IdxError, TrailingDataError, TruncatedError

# RFC 1951, section 3.2.5: no distance is longer.
cdef enum: WINDOW_NBYTES = 32768

# One kernel call takes and makes at most this much, so that it lasts milliseconds and Ctrl-C and
# other threads need not wait: bytes of output bound long matches, bytes of input bound empty blocks.
cdef enum: CALL_IN_NBYTES = 128 * 1024
cdef enum: CALL_OUT_NBYTES = 4 * 1024 * 1024

# History plus slice, small enough for the L2 cache; and the slack that spares the kernel, which stops
# at the first symbol past its goal, the checked loop.
cdef enum: SCRATCH_NBYTES = 4 * WINDOW_NBYTES
cdef enum: SCRATCH_SLACK = 512


def _init():
    fi_cpu_init(os.environ.get("FASTIDX_PORTABLE", "") not in ("", "0"))


_init()


def cpu_features():
    """What this processor offers, and which variants of the kernel were chosen for it.

    Returns
    -------
    dict
        Under ``"inflate"``, ``"crc32"`` and ``"swap"`` the name of the variant in use; under
        ``"features"`` the instruction sets found, by name; under ``"portable_forced"`` whether the
        environment variable ``FASTIDX_PORTABLE`` forbade all but the portable ones.

    Examples
    --------
    >>> import fastidx
    >>> sorted(fastidx.cpu_features())
    ['crc32', 'features', 'inflate', 'portable_forced', 'swap']
    """
    cdef const fi_cpu_features *cpu = fi_cpu()
    found = {
        "bmi2": cpu.bmi2,
        "avx2": cpu.avx2,
        "pclmul": cpu.pclmul,
        "vpclmul": cpu.vpclmul,
        "vpclmul_512": cpu.vpclmul_512,
        "arm_crc": cpu.arm_crc,
        "arm_pmull": cpu.arm_pmull,
    }
    return {
        "inflate": fi_inflate_variant().decode(),
        "crc32": fi_crc32_variant().decode(),
        "swap": fi_swap_variant().decode(),
        "features": [name for name, present in found.items() if present],
        "portable_forced": bool(cpu.portable_forced),
    }


cdef dict VERDICTS = {
    FI_BAD_BLOCK_TYPE: "a block of the reserved type 3",
    FI_BAD_STORED_LENGTH: "a stored block whose length disagrees with its complement",
    FI_BAD_CODE_COUNTS: "a block with more than 286 literal/length or 30 distance codes",
    FI_BAD_PRECODE: "an over-subscribed or incomplete code length code",
    FI_BAD_REPEAT: "a repeated code length with nothing to repeat or no room",
    FI_NO_END_OF_BLOCK: "a block without an end-of-block code",
    FI_BAD_LITLEN_CODE: "an over-subscribed or incomplete literal/length code",
    FI_BAD_DIST_CODE: "an over-subscribed or incomplete distance code",
    FI_BAD_LITLEN_SYMBOL: "a code that stands for no literal or length",
    FI_BAD_DIST_SYMBOL: "a code that stands for no distance",
    FI_BAD_DISTANCE: "a match that reaches back before the start of the data",
    FI_BAD_MAGIC: "no gzip member, which would start with the bytes 1f 8b",
    FI_BAD_METHOD: "a gzip member whose compression method is not 8 (DEFLATE)",
    FI_BAD_FLAGS: "a gzip member with reserved flags set",
}


cdef object verdict(fi_status status, const fi_gunzip *g, str name, uint64_t offset):
    """The exception for a status that is a verdict on the input."""
    fetch = "the file is damaged, fetch it again"
    if status == FI_BAD_CRC:
        return ChecksumError(
            f"{name}: expected data with CRC-32 {g.footer_crc:08x}, as gzip member {g.nmembers} says, "
            f"found {g.crc:08x}; {fetch}, or pass verify=False to take it as it is"
        )
    if status == FI_BAD_ISIZE:
        return ChecksumError(
            f"{name}: expected {g.footer_isize} bytes of data (modulo 2**32), as gzip member {g.nmembers} "
            f"says, found {g.inflate.total_out}; {fetch}, or pass verify=False to take it as it is"
        )
    if status == FI_BAD_HEADER_CRC:
        return ChecksumError(
            f"{name}: the header of gzip member {g.nmembers} does not have the CRC-16 that it states; {fetch}"
        )
    if status == FI_TRAILING_DATA:
        return TrailingDataError(
            f"{name}: expected the end of the file or another gzip member at byte {offset}, found other data; "
            "cut the file there, or pass strict=False to ignore what follows the data"
        )
    return CorruptError(
        f"{name}: expected valid gzip data, found {VERDICTS[status]} just before byte {offset} of the "
        f"compressed file; {fetch}"
    )


def crc32(const uint8_t[::1] data not None, uint32_t value=0):
    """CRC-32 of ``data``, continued from ``value``, as ``zlib.crc32`` counts it."""
    cdef Py_ssize_t n = data.shape[0]
    cdef const uint8_t *p = &data[0] if n else NULL
    if n:
        with nogil:
            value = fi_crc32(value, p, n)
    return value


def swap(uint8_t[::1] dst not None, const uint8_t[::1] src not None, unsigned int item_nbytes):
    """Write the big-endian items of ``src`` to ``dst``, of the same size, in native byte order."""
    cdef Py_ssize_t n = src.shape[0]
    if dst.shape[0] != n or item_nbytes not in (1, 2, 4, 8) or n % item_nbytes:
        raise ValueError(f"cannot swap {n} bytes as {item_nbytes}-byte items into {dst.shape[0]} bytes")
    if n:
        with nogil:
            fi_swap(&dst[0], &src[0], n // item_nbytes, item_nbytes)


cdef class GzipDecoder:
    """Decoded bytes of a gzip source, in the amounts and types asked for.

    Bytes go straight to their destination once the destination itself holds a full window of history.
    Before that, and for items that have to be converted, they pass through a scratch buffer, which
    also keeps the history from one call to the next.

    Parameters
    ----------
    source : object
        Has ``name`` and ``next_chunk()``, which returns bytes-like objects, an empty one at the end.
    verify : bool
        Whether to check CRC-32 and ISIZE of each member.
    read_ahead : bool
        Whether to decode a cache-sized slice at a time. Otherwise, little more than what is asked for.
    """

    cdef fi_gunzip state
    cdef object source
    cdef str name
    cdef const uint8_t[::1] chunk
    cdef Py_ssize_t chunk_pos
    cdef uint64_t consumed         # bytes of all chunks before this one
    cdef bint input_ended
    cdef bint read_ahead
    cdef uint8_t *scratch
    cdef size_t begin, end         # decoded and not yet delivered; the history lies before end

    def __cinit__(self, source, *, bint verify=True, bint read_ahead=True):
        self.scratch = <uint8_t *>PyMem_Malloc(SCRATCH_NBYTES)
        if self.scratch == NULL:
            raise MemoryError
        fi_gunzip_init(&self.state, verify)
        self.source = source
        self.name = source.name
        self.chunk = b""
        self.read_ahead = read_ahead

    def __dealloc__(self):
        PyMem_Free(self.scratch)

    @property
    def truncated(self):
        """Whether the input has ended inside a member."""
        return self.input_ended and not fi_gunzip_may_end(&self.state)

    cdef fi_status run(self, fi_io *io) except *:
        """One kernel call, after which FI_NEED_INPUT means that the source has ended."""
        cdef fi_status status
        cdef Py_ssize_t chunk_nbytes = self.chunk.shape[0]
        cdef const uint8_t *data

        if self.chunk_pos == chunk_nbytes and not self.input_ended:
            self.consumed += chunk_nbytes
            self.chunk_pos = 0
            self.chunk = self.source.next_chunk()
            chunk_nbytes = self.chunk.shape[0]
            self.input_ended = chunk_nbytes == 0
        data = &self.chunk[0] if chunk_nbytes else NULL
        io.in_next = data + self.chunk_pos
        io.in_end = io.in_next + min(chunk_nbytes - self.chunk_pos, CALL_IN_NBYTES)
        if io.out_stop > io.out_next + CALL_OUT_NBYTES:
            io.out_stop = io.out_next + CALL_OUT_NBYTES
        with nogil:
            status = fi_gunzip_run(&self.state, io)
        self.chunk_pos = io.in_next - data
        PyErr_CheckSignals()
        if status == FI_NEED_INPUT and not self.input_ended:
            return FI_OUTPUT_FULL  # nothing wrong, nothing ended: to be called again
        if status > FI_OUTPUT_FULL:
            raise verdict(status, &self.state, self.name, self.consumed + self.chunk_pos)
        return status

    cdef bint fill(self, size_t wanted) except -1:
        """Decode some more into the scratch buffer. False: the source has ended."""
        cdef fi_io io
        cdef fi_status status
        cdef size_t keep

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
        self.end = io.out_next - self.scratch
        return status != FI_NEED_INPUT

    cdef size_t take(self, uint8_t *dst, size_t nbytes, unsigned int item_nbytes) noexcept nogil:
        """Deliver whole items from the scratch buffer; returns how many bytes."""
        cdef size_t n = min(self.end - self.begin, nbytes)
        n -= n % item_nbytes
        if n:
            fi_swap(dst, self.scratch + self.begin, n // item_nbytes, item_nbytes)
        self.begin += n
        return n

    cdef size_t read_direct(self, uint8_t *dst, size_t done, size_t nbytes) except? 0:
        """Decode into dst, which holds `done` bytes already, at least a window; returns how many it holds then."""
        cdef fi_io io
        cdef fi_status status = FI_OUTPUT_FULL

        io.out_next = dst + done
        io.out_end = dst + nbytes
        while status != FI_NEED_INPUT and io.out_next != io.out_end:
            io.out_stop = io.out_end
            status = self.run(&io)
        memcpy(self.scratch, io.out_next - WINDOW_NBYTES, WINDOW_NBYTES)
        self.begin = self.end = WINDOW_NBYTES
        return io.out_next - dst

    def read_into(self, uint8_t[::1] out not None, unsigned int item_nbytes=1):
        """Fill ``out`` with big-endian items of the stream, in native byte order.

        Returns
        -------
        int
            Bytes written, whole items: fewer than asked for when the stream has ended.
        """
        cdef size_t nbytes = out.shape[0]
        cdef size_t done = 0
        cdef uint8_t *dst = &out[0] if nbytes else NULL

        while done < nbytes:
            if self.end - self.begin >= item_nbytes:
                with nogil:
                    done += self.take(dst + done, nbytes - done, item_nbytes)
            elif item_nbytes == 1 and done >= WINDOW_NBYTES:
                done = self.read_direct(dst, done, nbytes)
                break
            elif not self.fill(nbytes - done):
                break
        return done

    def skip_member(self):
        """Decode and drop the rest of the current member, for the sake of its checks.

        Returns
        -------
        bool
            Whether the member ended; False when the source ended before it.
        """
        cdef fi_io io
        cdef fi_status status
        cdef uint64_t nmembers = self.state.nmembers

        if fi_gunzip_may_end(&self.state):
            return True
        while self.state.nmembers == nmembers:
            self.begin = self.end
            if not self.fill(SCRATCH_NBYTES):
                return False
        return True

    def at_end(self):
        """Whether nothing more will come: runs to the end of the source, or to the next byte of data."""
        while self.begin == self.end:
            if not self.fill(1):
                return True
        return False


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
        fi_gunzip_init(self.state, verify)
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
        that size (for output, behind a window of history). By default the input as it is, and as much room
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

        if status > FI_OUTPUT_FULL:
            raise verdict(status, inflation.state, "<data>", pos)
        if status == FI_OUTPUT_FULL and room == 0:
            raise IdxError(f"<data>: expected at most {max_nbytes} bytes of output, found more; raise max_nbytes")
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
            f"<data>: expected the end of the input at byte {pos}, found {data_nbytes - pos} bytes more; cut them off"
        )
    return result.data[:total] if total else b""
