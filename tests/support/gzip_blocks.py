"""Every block of a gzip file, found bit by bit, and zlib set to work at any of them.

`scan` is a plain inflater (RFC 1951) that notes where each block begins: slow, but it shares
nothing with the kernel. `decode_from` starts zlib at a bit position with a window, as a reader
with an index does.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from deflate_writer import (
    DISTANCE_CODES,
    END_OF_BLOCK,
    FEXTRA,
    FIXED_DIST_LENGTHS,
    FIXED_LITLEN_LENGTHS,
    FNAME,
    LENGTH_CODES,
    PRECODE_ORDER,
    Deflate,
    Repeat,
    canonical_codes,
)

from fastidx.gzipped.index import Checkpoint, GzipIndex, fingerprint

WINDOW_NBYTES = 32768


class Block(NamedTuple):
    bit: int
    offset: int
    member: int  # offset of its member's first byte


class Scan(NamedTuple):
    data: bytes
    blocks: list[Block]


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.data = data + bytes(8)
        self.pos = 0

    def peek(self, count: int) -> int:
        begin = self.pos >> 3
        word = int.from_bytes(self.data[begin : begin + 4], "little")
        return word >> (self.pos & 7) & ((1 << count) - 1)

    def take(self, count: int) -> int:
        value = self.peek(count)
        self.pos += count
        return value


class _Code:
    """A Huffman code to read with: every word of the longest length, by what it begins with."""

    def __init__(self, lengths: list[int]) -> None:
        self.most = max(lengths)
        self.table = [(0, 0)] * (1 << self.most)
        for symbol, (code, nbits) in enumerate(zip(canonical_codes(lengths), lengths, strict=True)):
            if nbits:
                low = int(f"{code:0{nbits}b}"[::-1], 2)
                for word in range(low, len(self.table), 1 << nbits):
                    self.table[word] = symbol, nbits

    def take(self, bits: _Bits) -> int:
        symbol, nbits = self.table[bits.peek(self.most)]
        assert nbits, "no such code"
        bits.pos += nbits
        return symbol


def _dynamic_codes(bits: _Bits) -> tuple[_Code, _Code]:
    nlitlen, ndist, nprecode = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    precode = [0] * 19
    for symbol in PRECODE_ORDER[:nprecode]:
        precode[symbol] = bits.take(3)
    code = _Code(precode)
    lengths: list[int] = []
    while len(lengths) < nlitlen + ndist:
        symbol = code.take(bits)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += lengths[-1:] * (3 + bits.take(2))
        else:
            lengths += [0] * (3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
    return _Code(lengths[:nlitlen]), _Code(lengths[nlitlen:])


def _scan_block(bits: _Bits, out: bytearray) -> bool:
    """Decode one block; return whether it was the last."""
    final, kind = bits.take(1), bits.take(2)
    if kind == 0:
        begin = -(-bits.pos // 8)
        nbytes = int.from_bytes(bits.data[begin : begin + 2], "little")
        out += bits.data[begin + 4 : begin + 4 + nbytes]
        bits.pos = 8 * (begin + 4 + nbytes)
        return bool(final)
    fixed = _Code(FIXED_LITLEN_LENGTHS), _Code(FIXED_DIST_LENGTHS)
    litlen, dist = fixed if kind == 1 else _dynamic_codes(bits)
    while (symbol := litlen.take(bits)) != END_OF_BLOCK:
        if symbol < END_OF_BLOCK:
            out.append(symbol)
            continue
        base, extra = LENGTH_CODES[symbol - 257]
        length = base + bits.take(extra)
        base, extra = DISTANCE_CODES[dist.take(bits)]
        distance = base + bits.take(extra)
        for _ in range(length):
            out.append(out[-distance])
    return bool(final)


def header_end(content: bytes, begin: int = 0) -> int:
    """Return where a member's header ends (RFC 1952, 2.3), which has FEXTRA and FNAME at most."""
    assert content[begin : begin + 3] == b"\x1f\x8b\x08"
    flags, end = content[begin + 3], begin + 10
    assert flags in (0, FEXTRA, FNAME)
    if flags & FEXTRA:
        end += 2 + int.from_bytes(content[end : end + 2], "little")
    return content.index(b"\0", end) + 1 if flags & FNAME else end


def scan(content: bytes) -> Scan:
    """Decode a whole gzip file."""
    bits, out, blocks = _Bits(content), bytearray(), list[Block]()
    begin = 0
    while begin < len(content):
        bits.pos, member = 8 * header_end(content, begin), len(out)
        final = False
        while not final:
            blocks.append(Block(bits.pos, len(out), member))
            final = _scan_block(bits, out)
        begin = -(-bits.pos // 8) + 8
        while begin < len(content) and content[begin] == 0:
            begin += 1
    return Scan(bytes(out), blocks)


def index_of(content: bytes, data: bytes, blocks: list[Block], spacing: int = 1 << 20) -> GzipIndex:
    """Return the index with a point at each of the blocks."""
    points = [
        Checkpoint(b.bit, b.offset, data[max(b.member, b.offset - WINDOW_NBYTES) : b.offset])
        for b in blocks
    ]
    index = GzipIndex(len(content), len(data), spacing, points)
    index.crcs = [zlib.crc32(data[begin:end]) for begin, end in intervals(index)]
    index.fingerprint = fingerprint(len(content), lambda pos, n: content[pos : pos + n])
    return index


def intervals(index: GzipIndex) -> list[tuple[int, int]]:
    """Return where the data of each point begins and ends."""
    offsets = [point.offset for point in index.points]
    return list(zip(offsets, [*offsets[1:], index.uncompressed_nbytes], strict=True))


def _no_data(nbits: int) -> Deflate:
    """Return blocks without data that end so many bits into a byte."""
    stream = Deflate()
    if nbits % 2:  # 93 bits: a code for the end of the block only, of one bit
        stream.dynamic_header(
            [Repeat(18, 138), Repeat(18, 118), 1, 0],
            nlitlen=257,
            ndist=1,
            precode=[1 if s == 1 else 2 if s in (0, 18) else 0 for s in range(19)],
        ).bits(0, 1)
    while stream.out.npending != nbits:
        stream.fixed()  # 10 bits
    return stream


def decode_from(content: bytes, point: Checkpoint, nbytes: int) -> bytes:
    """Decode so many bytes from a checkpoint on, with zlib, over all members that follow.

    zlib starts at a whole byte. To shift the bits would not do, since a stored block goes on at
    the next whole byte; so blocks without data are put in front.
    """
    pos, nbits = divmod(point.bit, 8)
    front = _no_data(nbits)
    if nbits:
        front.bits(content[pos] >> nbits, 8 - nbits)
        pos += 1
    inflater = zlib.decompressobj(-15, zdict=point.window)
    out = bytearray(inflater.decompress(front.getvalue()))
    footer_nbytes = 8  # RFC 1952, 2.3.1; from the second member on, zlib reads it itself
    while True:
        while len(out) < nbytes and not inflater.eof:
            piece = content[pos : pos + 16384]
            assert piece, "the data ends early"
            pos += len(piece)
            out += inflater.decompress(piece)
        if len(out) >= nbytes:
            return bytes(out[:nbytes])
        pos += footer_nbytes - len(inflater.unused_data)
        while content[pos : pos + 1] == b"\0":
            pos += 1
        inflater, footer_nbytes = zlib.decompressobj(31), 0
