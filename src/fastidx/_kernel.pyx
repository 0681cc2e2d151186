# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The C kernel for Python: buffers, the GIL, and statuses turned into exceptions.

Whatever calls C here has one shape: acquire the buffers, run with the GIL released for a bounded amount
of work, look for signals, check the status. Paths, shapes and policy live in the Python modules.
"""

from typing import NamedTuple

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from .errors import ChecksumError, CorruptError, IdxError, TrailingDataError, TruncatedError
from fastidx.base import settings
from fastidx.base.memory import in_huge_pages
from fastidx.base.threads import Cancelled

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

# What a speculation takes of the input in one go behind where it should end: about a block.
cdef enum: SPECULATION_SLACK = 32 * 1024


def _init():
    fi_cpu_init(settings.portable())


_init()


def cpu_features():
    """What this processor offers, and which variants of the kernel were chosen for it.

    Returns
    -------
    dict
        Under ``"inflate"``, ``"crc32"``, ``"swap"``, ``"expand"`` and ``"markers"`` the name of the variant in
        use; under ``"features"`` the instruction sets found, by name; under ``"portable_forced"`` whether the
        environment variable ``FASTIDX_PORTABLE`` forbade all but the portable ones.

    Examples
    --------
    >>> import fastidx
    >>> sorted(fastidx.cpu_features())
    ['crc32', 'expand', 'features', 'inflate', 'markers', 'portable_forced', 'swap']
    """
    cdef const fi_cpu_features *cpu = fi_cpu()
    found = {
        "bmi2": cpu.bmi2,
        "avx2": cpu.avx2,
        "pclmul": cpu.pclmul,
        "vpclmul": cpu.vpclmul,
        "vpclmul_512": cpu.vpclmul_512,
        "vbmi_512": cpu.vbmi_512,
        "arm_crc": cpu.arm_crc,
        "arm_pmull": cpu.arm_pmull,
    }
    return {
        "inflate": fi_inflate_variant().decode(),
        "crc32": fi_crc32_variant().decode(),
        "swap": fi_swap_variant().decode(),
        "expand": fi_expand_variant().decode(),
        "markers": fi_markers_variant().decode(),
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


cdef object verdict(fi_status status, const fi_gunzip *g, str name, uint64_t in_pos):
    """The exception for a status that is a verdict on the input, of which in_pos bytes have been taken."""
    cdef uint64_t offset = fi_inflate_bit_position(&g.inflate, in_pos) // 8
    member = g.nmembers + 1
    fetch = "the file is damaged, fetch it again"
    if status == FI_BAD_CRC:
        return ChecksumError(
            f"{name}: expected data with CRC-32 {g.footer_crc:08x}, as gzip member {member} says, "
            f"found {g.crc:08x}; {fetch}, or pass verify=False to take it as it is"
        )
    if status == FI_BAD_ISIZE:
        return ChecksumError(
            f"{name}: expected {g.footer_isize} bytes of data (modulo 2**32), as gzip member {g.nmembers} "
            f"says, found {g.inflate.total_out}; {fetch}, or pass verify=False to take it as it is"
        )
    if status == FI_BAD_HEADER_CRC:
        return ChecksumError(
            f"{name}: the header of gzip member {member} does not have the CRC-16 that it states; {fetch}"
        )
    if status == FI_TRAILING_DATA:
        offset -= 2 if g.phase == FI_GUNZIP_ID2 else 1
        return TrailingDataError(
            f"{name}: expected the end of the file or another gzip member at byte {offset}, found other data; "
            "cut the file there, or load it with strict=False to ignore what follows the data"
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


def crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t nbytes_b):
    """CRC-32 of two texts in a row, from the CRC-32 of each and the length of the second."""
    return fi_crc32_combine(crc_a, crc_b, nbytes_b)


cdef class Expansion:
    """What becomes of 8-bit items: for each byte one of 256 results.

    Parameters
    ----------
    table : buffer
        The 256 results, of 1, 2, 4 or 8 bytes each.
    refused : buffer or None
        256 bytes, not 0 where there is no result.
    refusal : callable
        Makes the exception for such a byte.
    """

    cdef const uint8_t[::1] table
    cdef const uint8_t[::1] refused
    cdef const uint8_t *marked     # of refused, or NULL
    cdef readonly unsigned int entry_nbytes
    cdef object refusal

    def __cinit__(self, const uint8_t[::1] table not None, const uint8_t[::1] refused, refusal):
        if table.shape[0] not in (256, 512, 1024, 2048) or (refused is not None and refused.shape[0] != 256):
            raise ValueError("a table has 256 entries of 1, 2, 4 or 8 bytes, and as many marks")
        self.table = table
        self.refused = refused
        self.marked = &refused[0] if refused is not None else NULL
        self.entry_nbytes = table.shape[0] // 256
        self.refusal = refusal


# What is to be done to items on their way: nothing, or their bytes swapped, or looked up in a table.
cdef struct item_rule:
    unsigned int item_nbytes       # in the stream
    unsigned int result_nbytes
    const uint8_t *table           # NULL: none
    const uint8_t *marked          # NULL: none


cdef item_rule make_rule(unsigned int item_nbytes, Expansion expansion) except *:
    cdef item_rule rule
    if item_nbytes not in (1, 2, 4, 8) or (expansion is not None and item_nbytes != 1):
        raise ValueError(f"items have 1, 2, 4 or 8 bytes, and 1 to be looked up, not {item_nbytes}")
    rule.item_nbytes = rule.result_nbytes = item_nbytes
    rule.table = rule.marked = NULL
    if expansion is not None:
        rule.result_nbytes = expansion.entry_nbytes
        rule.table = &expansion.table[0]
        rule.marked = expansion.marked
    return rule


cdef inline size_t deliver(const item_rule *rule, uint8_t *dst, const uint8_t *src, size_t nbytes) noexcept nogil:
    """Convert the items in nbytes bytes; the result is nbytes, or the position of a refused one before."""
    if rule.table == NULL:
        fi_swap(dst, src, nbytes // rule.item_nbytes, rule.item_nbytes)
        return nbytes
    fi_expand(dst, src, nbytes, rule.table, rule.result_nbytes)
    return nbytes if rule.marked == NULL else fi_find_marked(src, nbytes, rule.marked)


def convert(
    uint8_t[::1] dst not None,
    const uint8_t[::1] src not None,
    unsigned int item_nbytes,
    Expansion expansion=None,
):
    """Write the big-endian items of ``src`` to ``dst``, in native byte order or as a table has them."""
    cdef item_rule rule = make_rule(item_nbytes, expansion)
    cdef size_t n = src.shape[0], done
    if n % item_nbytes or <size_t>dst.shape[0] != n // item_nbytes * rule.result_nbytes:
        raise ValueError(f"{dst.shape[0]} bytes are not the place for {n} bytes of {item_nbytes}-byte items")
    if n:
        with nogil:
            done = deliver(&rule, &dst[0], &src[0], n)
        if done != n:
            raise expansion.refusal(src[done])


class DataPiece(NamedTuple):
    """The checksum of some data."""

    crc: int
    nbytes: int


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
    cdef readonly bint input_ended # the source has no more, and all of it has been taken
    cdef public bint cancelled     # set by any thread: raise `Cancelled` before the next kernel call
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
        """Byte of the input at or after which to pause at the next block boundary; negative for none."""
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
        return self.state.phase == FI_GUNZIP_BODY and self.state.inflate.phase == FI_PHASE_BLOCK_HEADER

    cdef uint64_t stream_nbytes(self):
        return self.nbytes_before + self.state.inflate.total_out - self.nbytes_of_window

    cdef uint32_t stream_crc(self):
        cdef uint64_t n = self.state.inflate.total_out - self.nbytes_of_window
        return fi_crc32_combine(self.crc_before, self.state.crc, n)

    @property
    def decoded(self):
        """CRC-32 and number of the bytes decoded since the start, delivered or not (`DataPiece`)."""
        return DataPiece(self.stream_crc(), self.stream_nbytes())

    @property
    def member(self):
        """The same of the member that goes on, if it was begun, or resumed as a known one."""
        return DataPiece(self.state.crc, self.state.inflate.total_out)

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
        """Decode some more into the scratch buffer. False: the source has ended, or it is time to pause."""
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
        """Deliver whole items from the scratch buffer; returns how many bytes, fewer if one is refused."""
        cdef size_t n = min(self.end - self.begin, nbytes)
        n -= n % rule.item_nbytes
        n = deliver(rule, dst, self.scratch + self.begin, n)
        self.begin += n
        return n

    cdef size_t read_direct(self, uint8_t *dst, size_t done, size_t nbytes) except? 0:
        """Decode into dst, which holds `done` bytes already, at least a window; returns how many it holds then."""
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
        """Fill ``out`` with items of the stream, from the one at byte ``start`` of the stream's part on.

        Parameters
        ----------
        out : writable buffer
            For a whole number of results.
        item_nbytes : int
            Size of the big-endian items in the stream: 1, 2, 4 or 8. They arrive in native byte order.
        start : int
            If not 0, then ``out`` is that of the preceding call, and this is where it stopped, counted, as the
            result is, in bytes of the stream.
        expansion : Expansion, optional
            What to make of 1-byte items.

        Returns
        -------
        int
            Bytes of the stream delivered, whole items: fewer than there is room for when it has ended.
        """
        cdef item_rule rule = make_rule(item_nbytes, expansion)
        cdef size_t nbytes = <size_t>out.shape[0] // rule.result_nbytes * item_nbytes
        cdef size_t done = start, n
        cdef size_t in_place = min(self.delivered_in_place, start)
        cdef bint as_it_is = item_nbytes == 1 and rule.table == NULL
        cdef uint8_t *dst = &out[0] if out.shape[0] else NULL

        while done < nbytes:
            if self.end - self.begin >= item_nbytes:
                with nogil:
                    n = self.take(&rule, dst + done // item_nbytes * rule.result_nbytes, nbytes - done)
                done += n
                if n == 0 or (rule.marked != NULL and self.begin != self.end and done < nbytes):
                    raise expansion.refusal(self.scratch[self.begin])
            elif as_it_is and done - start + in_place >= WINDOW_NBYTES:
                done = self.read_direct(dst, done, nbytes)
                break
            elif not self.fill(nbytes - done):
                break
        self.delivered_in_place = done - start + in_place if as_it_is else 0
        return done - start

    def skip(self, uint64_t nbytes):
        """Decode and drop so many bytes; returns how many there were."""
        cdef uint64_t done = 0, n
        while done < nbytes:
            n = min(nbytes - done, self.end - self.begin)
            self.begin += n
            done += n
            if done < nbytes and not self.fill(min(nbytes - done, SCRATCH_NBYTES)):
                break
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
            What `member` was there. Without it, the rest of this member cannot be checked; with it, `decoded`
            counts from where the member begins.
        """
        cdef size_t n = window.shape[0]
        cdef fi_inflate *inflate = &self.state.inflate

        if n > WINDOW_NBYTES or nbits_used > 7:
            raise ValueError("a window has at most 32768 bytes, and a byte at most 7 bits before its last")
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
        """Look for a block that starts at or after ``bit`` of the source, in what `look_at` has taken.

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
        """Decode from the candidate to the first block boundary at or past the end of what was looked at.

        Returns
        -------
        bool
            False if the guess turned out to be wrong, or the data to be damaged. Decoding may stop earlier:
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
        cdef size_t nbytes = max(start, <size_t>out.shape[0] // rule.result_nbytes * item_nbytes) - start
        cdef size_t done = 0, n = 0, delivered = 0
        cdef bint as_it_is = item_nbytes == 1 and rule.table == NULL
        cdef uint8_t *dst = &out[0] + start // item_nbytes * rule.result_nbytes if nbytes else NULL
        cdef uint8_t *bytes_at = dst
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
                        delivered = deliver(&rule, dst + done // item_nbytes * rule.result_nbytes, scratch, n)
                    done += n
                    self.pos += n
            if delivered != n:
                raise expansion.refusal(scratch[delivered])
        finally:
            PyMem_Free(scratch)
        return done


class MemberEnd(NamedTuple):
    """What the footer of a gzip member says of its data."""

    crc: int
    isize: int


cdef class FrontDecoder(GzipDecoder):
    """The decoder at the front of a parallel load.

    It decodes as `GzipDecoder` does, up to a block boundary where it is told to pause. There it can adopt a
    speculation that began at just this boundary, and go on behind it. Checksums are not compared here, since those
    of adopted data are computed elsewhere and later: `pieces` has what is needed.

    Attributes
    ----------
    pieces : list of tuple
        In order `DataPiece` for what was decoded here, the notes of what was adopted, and `MemberEnd`.
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
            How many of its last bytes belong to an item that is not complete, and are delivered here.
        note : object
            What to add to `pieces` in its place.

        Returns
        -------
        bool
            False if the speculation refers to bytes before the start of the member; then the data is damaged.
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
