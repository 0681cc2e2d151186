"""Write a gzip file of one single DEFLATE block, however large the data is.

No compressor does that: zlib begins a new block every 16 thousand symbols. Such a file has no block
start within it, so nothing that looks for one can divide the work. The block is dynamic (RFC 1951,
section 3.2.7), with one canonical code for all of it. Its matches are runs of one byte (distance
1), which numpy finds and packs a slab at a time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

_Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
_Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]

_SLAB_NBYTES = 1 << 20  # a slab's tokens take some 50 bytes of temporaries for each of its own
_MIN_MATCH, _MAX_MATCH = 3, 258
_NLITLEN = 286
_END_OF_BLOCK = 256
_FIRST_LENGTH = 257
_MAX_CODE_NBITS = 15
# RFC 1951, section 3.2.5: the least length of each of the symbols from 257 on, and its extra bits.
_LENGTH_BASES = np.array(
    [
        *(3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99),
        *(115, 131, 163, 195, 227, 258),
    ]
)
_LENGTH_EXTRA_NBITS = np.array([0] * 8 + [n for n in range(1, 6) for _ in range(4)] + [0])
_GZIP_HEADER = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])


class _Tokens(NamedTuple):
    symbols: _Ints
    lengths: _Ints  # of matches; 0 at literals


def write_giant_block(path: Path, data: bytes) -> None:
    """Write ``data`` as a gzip member that is one dynamic block."""
    frequencies = np.zeros(_NLITLEN, np.int64)
    for tokens in _slabs(data):
        frequencies += np.bincount(tokens.symbols, minlength=_NLITLEN)
    frequencies[_END_OF_BLOCK] = 1
    nbits = code_lengths(frequencies)
    codes = _reversed_codes(nbits)
    bits = _Bits()
    _write_block_header(bits, nbits)
    for tokens in _slabs(data):
        bits.append(*_encode(tokens, codes, nbits))
    bits.append(codes[[_END_OF_BLOCK]], nbits[[_END_OF_BLOCK]])
    footer = struct.pack("<II", zlib.crc32(data), len(data) % 2**32)
    path.write_bytes(_GZIP_HEADER + bits.to_bytes() + footer)


def code_lengths(frequencies: _Ints) -> _Ints:
    """Return the bits of a complete code (Kraft's sum is 1) of at most 15 bits.

    Each symbol takes what Shannon gives it, rounded up; what that leaves is given to the most
    frequent symbols that can be shortened by a bit. Close to Huffman's, and bounded by design.
    """
    used = np.flatnonzero(frequencies)
    ideal = -np.log2(frequencies[used] / frequencies.sum())
    nbits = np.clip(np.ceil(ideal).astype(np.int64), 1, _MAX_CODE_NBITS)
    left = (1 << _MAX_CODE_NBITS) - int((1 << (_MAX_CODE_NBITS - nbits)).sum())
    if left < 0 or len(used) < 2:
        raise ValueError("expected at least two symbols, and few that 15 bits are too few for")
    while left:
        for i in np.argsort(-frequencies[used], kind="stable"):
            share = 1 << (_MAX_CODE_NBITS - int(nbits[i]))
            if share <= left and nbits[i] > 1:
                nbits[i] -= 1
                left -= share
    result = np.zeros(len(frequencies), np.int64)
    result[used] = nbits
    return result


def _reversed_codes(nbits: _Ints) -> _Ints:
    """Return the canonical code (RFC 1951, section 3.2.2), first bit lowest."""
    codes = np.zeros(len(nbits), np.int64)
    code = 0
    for n in range(1, _MAX_CODE_NBITS + 1):
        code <<= 1
        for symbol in np.flatnonzero(nbits == n):
            codes[symbol] = int(f"{code:0{n}b}"[::-1], 2)
            code += 1
    return codes


def _slabs(data: bytes) -> Iterator[_Tokens]:
    for begin in range(0, len(data), _SLAB_NBYTES):
        yield _tokenize(np.frombuffer(data[begin : begin + _SLAB_NBYTES], np.uint8))


def _tokenize(slab: np.ndarray[Any, np.dtype[np.uint8]]) -> _Tokens:
    """Write each run of a byte as a literal, matches of 258, and what is left of it."""
    begins = np.concatenate([[0], np.flatnonzero(slab[1:] != slab[:-1]) + 1])
    repeats = np.diff(begins, append=len(slab)) - 1
    nfull, rest = np.divmod(repeats, _MAX_MATCH)
    ends_in_match = rest >= _MIN_MATCH
    ntokens = 1 + nfull + np.where(ends_in_match, 1, rest)
    symbols = np.repeat(slab[begins].astype(np.int64), ntokens)
    place = np.arange(len(symbols)) - np.repeat(np.cumsum(ntokens) - ntokens, ntokens)
    nfull_here = np.repeat(nfull, ntokens)
    full = (place >= 1) & (place <= nfull_here)
    last = (place == nfull_here + 1) & np.repeat(ends_in_match, ntokens)
    lengths = np.where(full, _MAX_MATCH, np.where(last, np.repeat(rest, ntokens), 0))
    matches = lengths > 0
    found = np.searchsorted(_LENGTH_BASES, lengths[matches], side="right") - 1
    symbols[matches] = _FIRST_LENGTH + found
    return _Tokens(symbols, lengths)


def _encode(tokens: _Tokens, codes: _Ints, nbits: _Ints) -> tuple[_Ints, _Ints]:
    """Return each token's bits and how many they are."""
    values, widths = codes[tokens.symbols], nbits[tokens.symbols]
    matches = np.flatnonzero(tokens.lengths)
    kind = tokens.symbols[matches] - _FIRST_LENGTH
    values[matches] |= (tokens.lengths[matches] - _LENGTH_BASES[kind]) << widths[matches]
    widths[matches] += _LENGTH_EXTRA_NBITS[kind] + 1  # the one distance code is a single 0
    return values, widths


def _write_block_header(bits: _Bits, nbits: _Ints) -> None:
    """Write all that comes before the symbols (RFC 1951, section 3.2.7).

    Of the 19 symbols that code lengths are written with only the first 16 are used, all of 4 bits.
    """
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    fields = [(1, 1), (2, 2), (_NLITLEN - 257, 5), (1 - 1, 5), (len(order) - 4, 4)]
    fields += [(0 if symbol >= 16 else 4, 3) for symbol in order]
    lengths = [*(int(n) for n in nbits), 1]
    fields += [(int(f"{n:04b}"[::-1], 2), 4) for n in lengths]
    values, widths = np.array(fields).T
    bits.append(values, widths)


class _Bits:
    """A string of bits that grows; the first bit of a byte is its lowest."""

    def __init__(self) -> None:
        self._words: list[bytes] = []
        self._begun = 0  # the bits of the last word, which is not full
        self._nbegun = 0

    def append(self, values: _Ints, widths: _Ints) -> None:
        """Append values of at most 32 bits, each in as many bits as its width says."""
        ends = np.cumsum(widths) + self._nbegun
        begins = ends - widths
        total = int(ends[-1])
        words: _Words = np.zeros(total // 64 + 1, np.uint64)
        shifts = (begins % 64).astype(np.uint64)
        unsigned = values.astype(np.uint64)
        # No two values share a bit, so a sum is as good as an "or"; `at` works without buffering.
        np.add.at(words, begins // 64, unsigned << shifts)
        crossing = np.flatnonzero(begins // 64 < (ends - 1) // 64)
        # At most one value crosses into each word.
        words[begins[crossing] // 64 + 1] |= unsigned[crossing] >> (
            np.uint64(64) - shifts[crossing]
        )
        words[0] |= np.uint64(self._begun)
        self._words.append(words[:-1].astype("<u8").tobytes())
        self._begun, self._nbegun = int(words[-1]), total % 64

    def to_bytes(self) -> bytes:
        last = self._begun.to_bytes(8, "little")[: -(-self._nbegun // 8)]
        return b"".join([*self._words, last])
