"""What speculation makes of a stream, stitched together in one thread, is the stream's data."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import Deflate, Match, Symbol, distance_code, expand, flat_code, gzip_member
from gzip_streams import digits, stream

from fastidx._kernel import (
    BlockStart,
    DataPiece,
    FrontDecoder,
    MemberEnd,
    Resolution,
    Speculation,
    crc32_combine,
)
from fastidx.base.memory import in_huge_pages
from fastidx.opening.open import open_source
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source

DATA = digits(400_000)
NOISE = np.random.default_rng(3).integers(0, 256, 200_000, np.uint8).tobytes()


Opener = Callable[[bytes], Source]


@pytest.fixture(params=["bytes", "file"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """What makes a source of either kind: one has everything at hand, one reads bit by bit."""

    def open_file(content: bytes) -> Source:
        path = tmp_path / "x"
        path.write_bytes(content)
        source = open_source(path)
        request.addfinalizer(source.close)
        return source

    return open_file if request.param == "file" else open_source


def stitched(source: Source, every: int, nbytes: int) -> tuple[bytes, list[Any], int]:
    """Decode with a guess every so many bytes; return data, pieces and number of adoptions."""
    size = source.nbytes or 0
    front = FrontDecoder(source)
    out = np.empty(nbytes, np.uint8)
    pos = nadopted = 0
    for begin in range(every, size, every):
        guess = Speculation(source, 300_000)
        guess.look_at(begin, min(begin + every, size))
        start = guess.find(8 * begin)
        if start is None or not guess.decode():
            continue
        front.pause_at = max(0, start.bit // 8 - 2)
        pos += front.read_into(out, 1, pos)
        while front.at_block_boundary and not front.stands_before(start):
            if front.position >= start.bit:
                break
            front.pause_at = front.position // 8 + 1
            pos += front.read_into(out, 1, pos)
        if not front.stands_before(start):
            continue
        assert front.pending == b""
        note = DataPiece(0, guess.nsymbols)
        assert front.adopt(guess, 0, note)
        resolution = Resolution(guess, 0)
        assert resolution.read_into(out[pos : pos + guess.nsymbols]) == guess.nsymbols
        front.pieces[-1] = DataPiece(resolution.crc, guess.nsymbols)
        pos += guess.nsymbols
        nadopted += 1
    front.pause_at = -1
    pos += front.read_into(out, 1, pos)
    assert front.at_end()
    return out[:pos].tobytes(), front.pieces, nadopted


@pytest.mark.parametrize("every", [3_000, 10_007, 40_000])
@pytest.mark.parametrize("level", [1, 6, 9])
def test_dynamic_blocks(opener: Opener, level: int, every: int) -> None:
    data, _, nadopted = stitched(opener(stream(DATA, level)), every, len(DATA))
    assert data == DATA
    assert nadopted > 0


@pytest.mark.parametrize("level", [0, 6])
def test_stored_blocks(opener: Opener, level: int) -> None:
    data, _, nadopted = stitched(opener(stream(NOISE, level)), 30_000, len(NOISE))
    assert data == NOISE
    assert nadopted > 0


def test_many_short_blocks() -> None:
    data, _, nadopted = stitched(MemorySource(stream(DATA, mem=4), "x"), 2_000, len(DATA))
    assert data == DATA
    assert nadopted > 20


def test_checksums_of_the_pieces_add_up() -> None:
    data, pieces, nadopted = stitched(MemorySource(stream(DATA), "x"), 10_000, len(DATA))
    *parts, end = pieces
    crc = 0
    for part in parts:
        crc = crc32_combine(crc, part.crc, part.nbytes)
    assert nadopted > 0
    assert end == MemberEnd(zlib.crc32(data), len(data))
    assert crc == end.crc
    assert sum(part.nbytes for part in parts) == len(data)


def test_reference_before_the_start_of_the_member_is_not_adopted() -> None:
    # Blocks from the middle of one stream, put behind only three bytes of another.
    whole = stream(DATA)
    guess = Speculation(MemorySource(whole, "x"), 100_000)
    guess.look_at(100, len(whole))
    start = guess.find(8 * 100)
    assert start is not None
    assert guess.decode()
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    head = compressor.compress(b"abc") + compressor.flush(zlib.Z_FULL_FLUSH)
    bits = int.from_bytes(whole, "little") >> start.bit
    content = head + bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    guess = Speculation(MemorySource(content, "x"), 100_000)
    front = FrontDecoder(MemorySource(content, "x"))
    front.pause_at = len(head) - 1
    assert front.read_into(np.empty(100, np.uint8)) == 3
    guess.look_at(len(head), len(head) + 1)
    again = guess.find(8 * len(head))
    assert again is not None
    assert front.stands_before(again)
    assert guess.decode()
    assert not front.adopt(guess, 0, None)


def test_guess_stops_at_its_capacity_and_can_still_be_adopted() -> None:
    data = digits(60_000) + bytes(3_000_000) + digits(60_000)
    content = stream(data)
    joined, _, nadopted = stitched(MemorySource(content, "x"), len(content) // 8, len(data))
    assert joined == data
    assert nadopted > 0


@pytest.mark.parametrize("distance", [1, 9, 40])
def test_guess_stops_at_any_capacity_there_may_be(distance: int) -> None:
    # With a sanitizer also: nothing is written behind it. Two literals and a match are decoded
    # without a look at the room that is left, so here it runs out at each place of such a turn.
    head = bytes(range(50))
    symbols: list[Symbol] = [*b"ab", Match(258, distance)] * 150
    litlen = flat_code([97, 98, 256, 285], 286)
    dist = flat_code([distance_code(distance), 29], 30)
    data = head + expand(symbols, head)
    body = Deflate().stored(head).dynamic(symbols, litlen, dist).stored(final=True).getvalue()
    content = gzip_member(data, body=body)
    for capacity in range(33_000, 33_300):
        guess = Speculation(MemorySource(content, "x"), capacity)
        guess.look_at(15 + len(head), len(content))
        start = guess.find(8 * (15 + len(head)))
        assert start is not None and guess.decode()
        assert guess.nsymbols == capacity
        front = FrontDecoder(MemorySource(content, "x"))
        front.pause_at = start.bit // 8
        out = np.empty(len(data), np.uint8)
        assert front.read_into(out) == len(head)
        assert front.stands_before(start) and front.adopt(guess, 0, None)
        assert Resolution(guess, 0).read_into(out, 1, len(head)) == capacity
        done = len(head) + capacity
        assert front.read_into(out, 1, done) == len(data) - done
        assert out.tobytes() == data


@pytest.mark.parametrize("nbytes", [0, 1, 2**21 - 1, 2**21, 2**21 + 1, 5_000_000])
def test_memory_for_guesses_fills_huge_pages(nbytes: int) -> None:
    memory = in_huge_pages(nbytes)
    memory[:] = 1
    assert memory.nbytes == nbytes
    assert nbytes < 2**21 or memory.ctypes.data % 2**21 == 0


def test_noise_holds_no_blocks() -> None:
    guess = Speculation(MemorySource(NOISE, "x"), 1000)
    guess.look_at(0, len(NOISE))
    assert guess.find(0) is None


def test_a_block_is_not_looked_for_behind_the_input() -> None:
    # The front has taken all of a cut input, and stands at a boundary in the bits it still has.
    content = stream(b"abc" * 10)[:10] + b"\x02\x00"  # an empty fixed block, then a bit of padding
    front = FrontDecoder(MemorySource(content, "x"))
    front.pause_at = 11
    front.read_into(np.empty(10, np.uint8))
    front.read_into(np.empty(10, np.uint8))
    for bit in range(80, 120, 8):
        assert not front.stands_before(BlockStart(bit, True))
