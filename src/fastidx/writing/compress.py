"""Compress the bytes of a file to gzip: as one member, or as the members of a BGZF file.

BGZF (section 4.1 of the SAM/BAM format specification) is gzip in members of less than 64 KiB. Each
says in its header how long it is, so that a reader can find all members without decoding them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

from fastidx.base.threads import run_all

# Bytes of data in a member. BGZF has 16 bits for the length of a member; this leaves room for the
# headers and for data that does not compress.
_MEMBER_DATA_NBYTES = 0xFF00
_TASK_NBYTES = 16 * _MEMBER_DATA_NBYTES


def gzip_pieces(pieces: Iterable[bytes], level: int) -> Iterator[bytes]:
    """Yield the bytes of one gzip member (RFC 1952) that holds these bytes."""
    yield _gzip_header(level)
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = nbytes = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
        nbytes += len(piece)
        yield compressor.compress(piece)
    yield compressor.flush()
    yield struct.pack("<II", crc, nbytes & 0xFFFFFFFF)


def bgzf_pieces(pieces: Iterable[bytes], level: int, threads: int) -> Iterator[bytes]:
    """Yield the bytes of a BGZF file that holds these bytes.

    Each thread compresses about 1 MiB at a time. The result does not depend on their number.
    """

    def compress(block: bytes) -> bytes:
        view = memoryview(block)
        begins = range(0, len(view), _MEMBER_DATA_NBYTES)
        return b"".join(
            _member(view[begin : begin + _MEMBER_DATA_NBYTES], level) for begin in begins
        )

    batch: list[bytes] = []
    for block in _blocks(pieces, _TASK_NBYTES):
        batch.append(block)
        if len(batch) == threads:
            yield from run_all(compress, batch, threads)
            batch = []
    yield from run_all(compress, batch, threads)
    yield _member(memoryview(b""), level)  # the end mark, by which readers know a complete file


def _gzip_header(level: int, flags: int = 0) -> bytes:
    # Section 2.3: magic, CM 8 (DEFLATE), FLG, no MTIME, XFL by the level, OS 255 (unknown).
    extra_flags = {9: 2, 1: 4}.get(level, 0)
    return bytes([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, extra_flags, 255])


def _member(data: memoryview, level: int) -> bytes:
    """Return a BGZF member."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = compressor.compress(data) + compressor.flush()
    header = _gzip_header(level, flags=4)  # FEXTRA
    nbytes = len(header) + 8 + len(body) + 8
    # XLEN, then one subfield: its identifier, its length, the length of the member less one.
    extra = struct.pack("<H2sHH", 6, b"BC", 2, nbytes - 1)
    return header + extra + body + struct.pack("<II", zlib.crc32(data), len(data))


def _blocks(pieces: Iterable[bytes], nbytes: int) -> Iterator[bytes]:
    """Yield the same bytes in blocks of one size; the last may be smaller."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        whole = len(rest) - len(rest) % nbytes
        for begin in range(0, whole, nbytes):
            yield bytes(rest[begin : begin + nbytes])
        del rest[:whole]
    if rest:
        yield bytes(rest)
