"""Inputs and outputs against pages without access: one byte read or written too far is a crash.

Everything runs in another process, on both kernel paths; a crash fails the test with its signal.
"""

from __future__ import annotations

import ctypes
import gzip
import random
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import (
    WINDOW_NBYTES,
    CodeLength,
    Deflate,
    Match,
    Repeat,
    Symbol,
    expand,
    gzip_member,
    lengths_for,
    steep_code,
)
from guard import guarded, guarded_copy
from test_inflate_hostile import LONG_DIST, LONG_LITLEN, every_kind_of_block
from test_inflate_vectors import MAX_NBYTES, stream, vectors
from worker import Worker, WorkerDied
from zlib_oracle import verdict, zlib_inflate

import fastidx
from conftest import SANITIZED
from fastidx import TruncatedError, _kernel, reference

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect()")

TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]
# After so many bytes load() decodes into the array itself, no longer into a buffer before it.
LONG = 300_000
REFUSALS = {error.__name__ for error in (*fastidx.IdxError.__subclasses__(), ValueError)}
REFUSALS |= {"ChecksumError"}
ENDS = [pytest.param(True, id="end"), pytest.param(False, id="start")]


# --- What runs in the other process --------------------------------------------------------------


def touch_byte(offset: int, at_end: bool) -> int:
    """The byte at `offset` from the start of a guarded buffer of ten."""
    memory = guarded(10, at_end=at_end)
    return ctypes.string_at(memory.ctypes.data + offset, 1)[0]


def inflate_guarded(data: bytes, container: str, **options: Any) -> Any:
    """The verdicts on `data` placed at either end of its page."""
    return [
        verdict(
            _kernel.inflate,
            guarded_copy(data, at_end=at_end),  # type: ignore[arg-type]
            container=container,
            max_nbytes=MAX_NBYTES,
            **options,
        )
        for at_end in (True, False)
    ]


def load_guarded(data: bytes, dtype: str, shape: tuple[int, ...], at_end: bool) -> bytes:
    """What load() puts into an array at a guard page, from a source at another one."""
    out = guarded(int(np.prod(shape)) * np.dtype(dtype).itemsize, at_end=at_end)
    array = out.view(dtype).reshape(shape)
    assert fastidx.load(guarded_copy(data, at_end=at_end), out=array) is array
    return array.tobytes()


def load_path_guarded(path: Path, dtype: str, shape: tuple[int, ...], at_end: bool) -> bytes:
    """What load() puts into an array at a guard page, from a file."""
    out = guarded(int(np.prod(shape)) * np.dtype(dtype).itemsize, at_end=at_end)
    fastidx.load(path, out=out.view(dtype).reshape(shape))
    return out.view(dtype).tobytes()


def load_symbols_guarded(symbols: list[Symbol], before: int, at_end: bool) -> bool:
    """Whether load() gets `symbols` right at the end of a guarded array, after `before` bytes."""
    history = random.Random(before).randbytes(before)
    data = history + expand(symbols, history)
    header = struct.pack(">HBBI", 0, 8, 1, len(data))
    stream = Deflate().stored(header)
    for i in range(0, before, 65535):
        stream.stored(history[i : i + 65535])
    file = gzip_member(header + data, body=stream.fixed(symbols, final=True).getvalue())
    file += gzip_member(b"", name=b"so that the end of the input is not what ends the fast loop")
    return load_guarded(file, "u1", (len(data),), at_end) == data


def load_refused(data: bytes, nbytes: int, at_end: bool) -> str:
    """The error that load() raises, with the array at a guard page."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - of any kind: see the result
        fastidx.load(guarded_copy(data, at_end=at_end), out=guarded(nbytes, at_end=at_end))
    return type(raised.value).__name__


def crc32s(data: bytes) -> list[int]:
    """The CRC-32 of every beginning and every end of `data`, at a guard page."""
    memory = guarded_copy(data, at_end=True)
    ends = [_kernel.crc32(memory[i:]) for i in range(len(data) + 1)]
    memory = guarded_copy(data, at_end=False)
    return ends + [_kernel.crc32(memory[:i]) for i in range(len(data) + 1)]


# --- The tests -----------------------------------------------------------------------------------


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reports the crash that this test wants")
def test_guard_pages_catch_a_single_byte(isolated: Worker) -> None:
    for offset, at_end in [(10, True), (-1, False)]:
        with pytest.raises(WorkerDied):
            isolated(touch_byte, offset, at_end)
    assert isolated(touch_byte, 9, True) == isolated(touch_byte, 0, False) == 0xA5


@pytest.mark.parametrize("vector", [*vectors("ok"), *vectors("error")])
def test_no_byte_outside_the_input_is_read(elsewhere: Worker, vector: dict[str, Any]) -> None:
    data, container = stream(vector)
    expected = verdict(_kernel.inflate, data, container=container, max_nbytes=MAX_NBYTES)
    assert elsewhere(inflate_guarded, data, container) == [expected] * 2


def test_no_byte_outside_a_cut_input_is_read(elsewhere: Worker) -> None:
    data, _ = every_kind_of_block()
    for nbytes in range(len(data) + 1):
        expected = verdict(zlib_inflate, data[:nbytes])
        assert elsewhere(inflate_guarded, data[:nbytes], "raw") == [expected] * 2


def test_no_byte_outside_the_input_is_read_when_output_runs_out(elsewhere: Worker) -> None:
    data, expected = every_kind_of_block()
    for out_chunk in range(1, 40):
        assert elsewhere(inflate_guarded, data, "raw", out_chunk=out_chunk) == [expected] * 2


@pytest.mark.parametrize("out_chunk", [None, 257, 1000])
def test_no_byte_outside_the_input_is_read_by_the_longest_symbols(
    elsewhere: Worker, out_chunk: int | None
) -> None:
    # Two literals of 11 bits, a length of 15 + 5 and a distance of 15 + 13: as many bits as can be
    # taken at a time, from a block that begins at every distance from the end of the input.
    literals = [symbol for symbol in range(256) if LONG_LITLEN[symbol] == 11]
    symbols: list[Symbol] = [*literals * 2, Match(257, WINDOW_NBYTES)] * 4
    for nempty in range(4):
        stream = Deflate().stored(bytes(WINDOW_NBYTES))
        for _ in range(nempty):
            stream.fixed([])  # 10 bits: what follows begins at another bit of its byte
        before = len(stream.dynamic([], LONG_LITLEN, LONG_DIST).getvalue())
        data = stream.dynamic(symbols, LONG_LITLEN, LONG_DIST, final=True).getvalue()
        for nbytes in range(before, len(data)):
            verdicts = elsewhere(inflate_guarded, data[:nbytes], "raw", out_chunk=out_chunk)
            assert verdicts == [TruncatedError] * 2


def test_no_byte_outside_the_input_is_read_behind_the_shortest_rest(elsewhere: Worker) -> None:
    # The last of the code lengths takes 14 bits, so that not one bit may be left when the symbols
    # begin; the first of these are the longest. No more input can be taken at a time.
    literals = [symbol for symbol in range(256) if LONG_LITLEN[symbol] == 11]
    symbols: list[Symbol] = [*literals * 2, Match(257, 500)] * 6
    dist = steep_code([*range(14), 15, 17], 30)
    code_lengths: list[CodeLength] = [*LONG_LITLEN, *dist[:18], Repeat(18, 12)]
    precode = lengths_for({18: 7, 0: 3, 15: 3, 14: 3}, 19)
    for nbits, some in ((4, range(1, 9)), (5, (9, 10, 11)), (6, (12,)), (7, (13,))):
        for symbol in some:
            precode[symbol] = nbits
    for nempty in range(4):
        stream = Deflate().stored(bytes(WINDOW_NBYTES))
        for _ in range(nempty):
            stream.fixed([])
        before = len(stream.getvalue())
        stream.dynamic(symbols, LONG_LITLEN, dist, precode=precode, code_lengths=code_lengths)
        data = stream.getvalue()
        for nbytes in range(before, len(data)):
            assert elsewhere(inflate_guarded, data[:nbytes], "raw") == [TruncatedError] * 2


def test_no_byte_outside_is_read_for_a_checksum(elsewhere: Worker) -> None:
    data = random.Random(3).randbytes(600)
    expected = [zlib.crc32(data[i:]) for i in range(601)]
    assert elsewhere(crc32s, data) == expected + [zlib.crc32(data[:i]) for i in range(601)]


@pytest.mark.parametrize("at_end", ENDS)
@pytest.mark.parametrize("dtype", TYPES)
def test_no_byte_outside_the_array_is_written(
    elsewhere: Worker, rng: np.random.Generator, dtype: str, at_end: bool, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for n in [*range(0, 70, 3), 127, 4096, 40_001]:
        array = np.frombuffer(rng.bytes(n * np.dtype(dtype).itemsize), dtype)
        for data in (reference.dumps(array), gzip.compress(reference.dumps(array), 1)):
            expected = array.tobytes()
            assert elsewhere(load_guarded, data, dtype, array.shape, at_end) == expected, n
            path.write_bytes(data)
            assert elsewhere(load_path_guarded, path, dtype, array.shape, at_end) == expected, n


@pytest.mark.parametrize("at_end", ENDS)
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65])
def test_no_match_is_copied_beyond_the_array(
    elsewhere: Worker, distance: int, at_end: bool
) -> None:
    for length in [3, 8, 9, 16, 17, 31, 32, 33, 64, 65, 258]:
        for tail in (b"", b"t", b"tails of several literals"):
            symbols = [*random.Random(length).randbytes(distance), Match(length, distance), *tail]
            assert elsewhere(load_symbols_guarded, symbols, 0, at_end), (length, tail)
            assert elsewhere(load_symbols_guarded, symbols, LONG, at_end), (length, tail)


@pytest.mark.parametrize("at_end", ENDS)
@pytest.mark.parametrize("length", [3, 34, 243, 258])
def test_last_turn_of_the_loop_writes_nothing_outside_the_array(
    elsewhere: Worker, length: int, at_end: bool
) -> None:
    # Two literals and a match are decoded without a look at the room that is left; so before them
    # it must be known to suffice. Here it runs from nothing to more than they can take.
    for room in range(64):
        symbols: list[Symbol] = [*b"ab", Match(length, 1), *b"cd", Match(length, 40)]
        symbols += [ord("x")] * room
        assert elsewhere(load_symbols_guarded, symbols, LONG + room % 2, at_end), room


@pytest.mark.parametrize("at_end", ENDS)
def test_data_beyond_the_array_are_refused_without_a_write(elsewhere: Worker, at_end: bool) -> None:
    for nbytes in (300, LONG):
        plain = struct.pack(">HBBI", 0, 8, 1, nbytes) + random.Random(5).randbytes(nbytes - 40)
        x: Symbol = ord("x")
        for symbols in ([x] * 41, [x] * 5000, [x, Match(40, 1)], [x, *[Match(258, 1)] * 20]):
            rest = expand(symbols)
            for body in (Deflate().fixed(symbols, final=True), Deflate().stored(rest, final=True)):
                file = gzip_member(plain) + gzip_member(rest, body=body.getvalue())
                assert elsewhere(load_refused, file, nbytes, at_end) == "TrailingDataError"


@pytest.mark.parametrize("at_end", ENDS)
def test_damaged_data_write_nothing_outside_the_array(elsewhere: Worker, at_end: bool) -> None:
    rng = random.Random(4)
    array = np.frombuffer(rng.randbytes(200) + bytes(300), np.uint8)
    good = gzip.compress(reference.dumps(array), 9, mtime=0)
    for _ in range(200):
        bad = bytearray(good)
        bad[rng.randrange(10, len(bad) - 8)] ^= 1 << rng.randrange(8)
        if not isinstance(verdict(zlib_inflate, bytes(bad), container="gzip"), bytes):
            # A length that was hit in the header is no error of the file, but out= has another.
            assert elsewhere(load_refused, bytes(bad), 500, at_end) in REFUSALS
