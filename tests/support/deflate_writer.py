"""Write DEFLATE streams and gzip members bit by bit, right or wrong on purpose.

A compressor writes what it likes; a test needs one exact stream. Here the caller chooses every
block, code length and symbol, and nothing is checked: a reserved symbol, an over-subscribed code
or a false checksum is written as asked. RFC numbers below are sections of RFC 1951 unless said.

    stream = Deflate()
    stream.stored(b"abc")
    stream.fixed([*b"xyz", Match(length=9, distance=3)], final=True)
    stream.getvalue()

The elements of a block are *symbols*: an ``int`` is a literal byte, a ``Match`` a length and
distance, ``Litlen``/``Dist`` one bare code of the two alphabets (for the reserved ones), and
``Bits`` anything at all. ``expand`` gives the bytes that a list of valid symbols stands for.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

END_OF_BLOCK = 256
WINDOW_NBYTES = 32768


def _code_table(first: int, nplain: int, per_extra: int, most: int) -> list[tuple[int, int]]:
    table = [(first + i, 0) for i in range(nplain)]
    for extra in range(1, most + 1):
        for _ in range(per_extra):
            base, nbits = table[-1]
            table.append((base + (1 << nbits), extra))
    return table


# 3.2.5: the smallest length of codes 257..285 and the smallest distance of codes 0..29, each with
# its number of extra bits.
LENGTH_CODES = [*_code_table(3, 8, 4, 5), (258, 0)]
DISTANCE_CODES = _code_table(1, 4, 2, 13)

# 3.2.6
FIXED_LITLEN_LENGTHS = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8
FIXED_DIST_LENGTHS = [5] * 32

# 3.2.7: the order in which the lengths of the code length code are written
PRECODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


class Match(NamedTuple):
    """A copy of `length` bytes from `distance` bytes back; `code` overrides the length code."""

    length: int
    distance: int
    code: int | None = None


class Litlen(NamedTuple):
    """One code of the literal/length alphabet and nothing else."""

    symbol: int


class Dist(NamedTuple):
    """One code of the distance alphabet and nothing else."""

    symbol: int


class Bits(NamedTuple):
    """`nbits` bits of `value`, the least significant first."""

    value: int
    nbits: int


class Repeat(NamedTuple):
    """A symbol of the code length code with its extra bits: 16, 17 or 18, `times` times."""

    symbol: int
    times: int


Symbol = int | Match | Litlen | Dist | Bits
CodeLength = int | Repeat


def length_code(length: int) -> int:
    """The code (257..285) for a match length."""
    if length == 258:
        return 285
    return 256 + sum(base <= length for base, _ in LENGTH_CODES)


def distance_code(distance: int) -> int:
    """The code (0..29) for a match distance."""
    return sum(base <= distance for base, _ in DISTANCE_CODES) - 1


def expand(symbols: Iterable[Symbol], history: bytes = b"") -> bytes:
    """The bytes that literals and matches stand for, the slow and obvious way."""
    out = bytearray(history)
    for symbol in symbols:
        if isinstance(symbol, Match):
            for _ in range(symbol.length):
                out.append(out[-symbol.distance])
        else:
            assert isinstance(symbol, int)
            out.append(symbol)
    return bytes(out[len(history) :])


def canonical_codes(lengths: Sequence[int]) -> list[int]:
    """The code words that 3.2.2 gives to a list of code lengths, 0 where there is none."""
    next_code = [0] * 17
    for nbits in range(1, 16):
        next_code[nbits + 1] = (next_code[nbits] + lengths.count(nbits)) << 1
    codes = []
    for nbits in lengths:
        codes.append(next_code[nbits] if nbits else 0)
        next_code[nbits] += 1 if nbits else 0
    return codes


def lengths_for(nbits_of: Mapping[int, int], count: int) -> list[int]:
    """A list of `count` code lengths from a mapping of symbol to length."""
    return [nbits_of.get(symbol, 0) for symbol in range(count)]


def flat_code(symbols: Sequence[int], count: int) -> list[int]:
    """Lengths of a complete code in which all of at least two `symbols` are about equally long."""
    longest = max(len(symbols) - 1, 1).bit_length()
    shorter = (1 << longest) - len(symbols)
    return lengths_for(
        {symbol: longest - (i < shorter) for i, symbol in enumerate(sorted(symbols))}, count
    )


def steep_code(symbols: Sequence[int], count: int) -> list[int]:
    """Lengths 1, 2, 3, ... of a complete code, in the order given; the last two are equal."""
    last = len(symbols) - 1
    return lengths_for({symbol: min(i + 1, last) for i, symbol in enumerate(symbols)}, count)


class BitWriter:
    """Bits into bytes, the least significant bit of each byte first (3.1.1)."""

    def __init__(self) -> None:
        self.done = bytearray()
        self.pending = 0
        self.npending = 0

    def bits(self, value: int, count: int) -> None:
        """Append a number, its least significant bit first."""
        self.pending |= (value & ((1 << count) - 1)) << self.npending
        self.npending += count
        while self.npending >= 8:
            self.done.append(self.pending & 0xFF)
            self.pending >>= 8
            self.npending -= 8

    def code(self, code: int, nbits: int) -> None:
        """Append a Huffman code, its most significant bit first."""
        assert nbits, "this symbol has no code"
        self.bits(int(f"{code:0{nbits}b}"[::-1], 2), nbits)

    def align(self, padding: int = 0) -> None:
        """Fill up the byte with bits of `padding`."""
        self.bits(padding, -self.npending % 8)

    def getvalue(self) -> bytes:
        """All bits so far, the last byte filled up with zeros."""
        return bytes(self.done) + (bytes([self.pending]) if self.npending else b"")


class Code:
    """A Huffman code to write with: the lengths, and the words that follow from them."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = lengths
        self.codes = canonical_codes(lengths)

    def write(self, out: BitWriter, symbol: int) -> None:
        """Append one symbol."""
        out.code(self.codes[symbol], self.lengths[symbol])


_FIXED = Code(FIXED_LITLEN_LENGTHS), Code(FIXED_DIST_LENGTHS)


class Deflate:
    """A DEFLATE stream under construction: call one method a block, then ``getvalue``."""

    def __init__(self) -> None:
        self.out = BitWriter()

    def stored(
        self,
        data: bytes = b"",
        *,
        final: bool = False,
        length: int | None = None,
        complement: int | None = None,
        padding: int = 0,
    ) -> Deflate:
        """A stored block (3.2.4); `length` and `complement` override LEN and NLEN."""
        self.out.bits(final, 1)
        self.out.bits(0, 2)
        self.out.align(padding)
        length = len(data) if length is None else length
        self.out.bits(length, 16)
        self.out.bits(~length if complement is None else complement, 16)
        self.out.done += data
        return self

    def fixed(
        self, symbols: Iterable[Symbol] = (), *, final: bool = False, end: bool = True
    ) -> Deflate:
        """A block with the fixed codes (3.2.6); ``end=False`` leaves out the end-of-block code."""
        self.out.bits(final, 1)
        self.out.bits(1, 2)
        self._symbols(symbols, *_FIXED, end=end)
        return self

    def dynamic(
        self,
        symbols: Iterable[Symbol],
        litlen: Sequence[int],
        dist: Sequence[int] = (0,),
        *,
        final: bool = False,
        end: bool = True,
        precode: Sequence[int] | None = None,
        code_lengths: Sequence[CodeLength] | None = None,
    ) -> Deflate:
        """A block with its own codes (3.2.7): `litlen` and `dist` are the code lengths to use.

        `code_lengths` overrides how they are written: by default one symbol each, no repeats.
        `precode` overrides the 19 lengths of the code length code.
        """
        self.dynamic_header(
            [*litlen, *dist] if code_lengths is None else code_lengths,
            nlitlen=len(litlen),
            ndist=len(dist),
            final=final,
            precode=precode,
        )
        self._symbols(symbols, Code(litlen), Code(dist), end=end)
        return self

    def dynamic_header(
        self,
        code_lengths: Sequence[CodeLength],
        *,
        nlitlen: int,
        ndist: int,
        final: bool = False,
        precode: Sequence[int] | None = None,
        nprecode: int | None = None,
    ) -> Deflate:
        """The start of a dynamic block up to its code lengths, and nothing after them."""
        if precode is None:
            used = {_code_length_symbol(item) for item in code_lengths}
            precode = flat_code(sorted({*used, 0, 18}), 19)  # at least two codes
        if nprecode is None:
            nprecode = max([4, *(i + 1 for i, s in enumerate(PRECODE_ORDER) if precode[s])])
        self.out.bits(final, 1)
        self.out.bits(2, 2)
        self.out.bits(nlitlen - 257, 5)
        self.out.bits(ndist - 1, 5)
        self.out.bits(nprecode - 4, 4)
        for symbol in PRECODE_ORDER[:nprecode]:
            self.out.bits(precode[symbol], 3)
        code = Code(precode)
        for item in code_lengths:
            self._code_length(item, code)
        return self

    def bits(self, value: int, count: int) -> Deflate:
        """Any bits, in no block."""
        self.out.bits(value, count)
        return self

    def getvalue(self) -> bytes:
        """The stream so far; the last byte is filled up with zeros."""
        return self.out.getvalue()

    def _code_length(self, item: CodeLength, code: Code) -> None:
        code.write(self.out, _code_length_symbol(item))
        if isinstance(item, Repeat):
            smallest, extra = {16: (3, 2), 17: (3, 3), 18: (11, 7)}[item.symbol]
            self.out.bits(item.times - smallest, extra)

    def _symbols(self, symbols: Iterable[Symbol], litlen: Code, dist: Code, *, end: bool) -> None:
        for symbol in symbols:
            if isinstance(symbol, Match):
                self._match(symbol, litlen, dist)
            elif isinstance(symbol, Litlen):
                litlen.write(self.out, symbol.symbol)
            elif isinstance(symbol, Dist):
                dist.write(self.out, symbol.symbol)
            elif isinstance(symbol, Bits):
                self.out.bits(*symbol)
            else:
                litlen.write(self.out, symbol)
        if end:
            litlen.write(self.out, END_OF_BLOCK)

    def _match(self, match: Match, litlen: Code, dist: Code) -> None:
        symbol = length_code(match.length) if match.code is None else match.code
        base, extra = LENGTH_CODES[symbol - 257]
        litlen.write(self.out, symbol)
        self.out.bits(match.length - base, extra)
        symbol = distance_code(match.distance)
        base, extra = DISTANCE_CODES[symbol]
        dist.write(self.out, symbol)
        self.out.bits(match.distance - base, extra)


def _code_length_symbol(item: CodeLength) -> int:
    return item.symbol if isinstance(item, Repeat) else item


FTEXT, FHCRC, FEXTRA, FNAME, FCOMMENT = 1, 2, 4, 8, 16


def gzip_header(
    *,
    text: bool = False,
    extra: bytes | None = None,
    name: bytes | None = None,
    comment: bytes | None = None,
    header_crc: bool | int = False,
    reserved: int = 0,
    magic: bytes = b"\x1f\x8b",
    method: int = 8,
    mtime: int = 0,
) -> bytes:
    """The header of a member (RFC 1952, 2.3); a number as `header_crc` is written as it is."""
    flags = reserved | (FTEXT if text else 0) | (FHCRC if header_crc is not False else 0)
    flags |= FEXTRA if extra is not None else 0
    flags |= FNAME if name is not None else 0
    flags |= FCOMMENT if comment is not None else 0
    header = magic + struct.pack("<BBIBB", method, flags, mtime, 0, 255)
    if extra is not None:
        header += struct.pack("<H", len(extra)) + extra
    for string in (name, comment):
        header += string + b"\0" if string is not None else b""
    if header_crc is not False:
        crc = zlib.crc32(header) & 0xFFFF if header_crc is True else header_crc
        header += struct.pack("<H", crc)
    return header


def gzip_footer(data: bytes, *, crc: int | None = None, isize: int | None = None) -> bytes:
    """CRC-32 and ISIZE of `data`, each of which can be overridden."""
    crc = zlib.crc32(data) if crc is None else crc
    return struct.pack("<II", crc, len(data) & 0xFFFFFFFF if isize is None else isize)


def raw_deflate(data: bytes, level: int = 6) -> bytes:
    """What zlib makes of `data`, as a bare DEFLATE stream."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def gzip_member(data: bytes, *, body: bytes | None = None, **header: Any) -> bytes:
    """A whole member that holds `data`, compressed by zlib or given as `body`.

    `crc` and `isize` go to the footer, all other keywords to the header.
    """
    footer = {key: header.pop(key) for key in ("crc", "isize") if key in header}
    body = raw_deflate(data) if body is None else body
    return gzip_header(**header) + body + gzip_footer(data, **footer)
