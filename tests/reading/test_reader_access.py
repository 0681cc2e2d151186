"""Random access: resuming at any block, checkpoints, and that what they give is checked."""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from deflate_writer import (
    Deflate,
    Match,
    Symbol,
    expand,
    flat_code,
    gzip_header,
    gzip_member,
    length_code,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import FORMS, TYPES, Array, assert_same, compressible, form, small_blocks

import fastidx
from fastidx import IdxError, reference
from fastidx._kernel import DataPiece, GzipDecoder
from fastidx.gzipped.checkpoints import CheckpointLog
from fastidx.gzipped.index import Checkpoint
from fastidx.gzipped.stream import GzipStream
from fastidx.gzipped.stretches import Stretches
from fastidx.sources.memory import MemorySource

GZIP_FORMS = [name for name in FORMS if name not in ("plain", "xz")]
EACH_GZIP_FORM = pytest.mark.parametrize("name", GZIP_FORMS)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every 256 bytes of data, as many as the file has blocks for."""
    monkeypatch.setattr("fastidx.reading.reader._SPACING_NBYTES", 256)
    monkeypatch.setattr("fastidx.gzipped.stream._FIRST_RATE", 0)
    monkeypatch.setattr("fastidx.reading.reader._GAP_NBYTES", 64)


# --- The kernel ----------------------------------------------------------------------------------


class Resumption(NamedTuple):
    """Where a decoder stood at a block boundary."""

    bit: int
    offset: int
    window: bytes
    crc: int


def boundaries(content: bytes, step: int = 1 << 16) -> tuple[bytes, list[Resumption]]:
    """All the data, read in steps, and every block boundary that the decoder pauses at."""
    decoder = GzipDecoder(MemorySource(content, "file"))
    decoder.pause_at = 0
    out, found = np.empty(step, np.uint8), list[Resumption]()
    data = b""
    while True:
        n = decoder.read_into(out)
        data += out[:n].tobytes()
        paused = decoder.at_block_boundary and decoder.position >= 8 * decoder.pause_at
        if paused:
            crc, nbytes = decoder.decoded
            found.append(Resumption(decoder.position, nbytes, decoder.window(), crc))
            decoder.pause_at = decoder.position // 8 + 1
        elif n == 0:
            return data, found


def resumed(content: bytes, at: Resumption) -> GzipDecoder:
    decoder = GzipDecoder(MemorySource(content[at.bit // 8 :], "file"))
    decoder.resume(at.bit % 8, at.window)
    return decoder


def rest_of(decoder: GzipDecoder, nbytes: int) -> bytes:
    out = np.empty(nbytes + 100, np.uint8)
    return out[: decoder.read_into(out)].tobytes()


TEXT = bytes(compressible((9_000,)).tobytes()) + b"abc" * 400


@pytest.mark.parametrize("step", [1, 13, 1000, 1 << 16])
def test_decoder_pauses_where_the_blocks_begin(step: int) -> None:
    stream, expected, data = Deflate(), [], b""
    header = gzip_header(name=b"n")
    kinds: list[Callable[[bool], bytes]] = [
        lambda last: (stream.stored(b"stored" * 9, final=last), b"stored" * 9)[1],
        lambda last: (stream.fixed(b"fixed", final=last), b"fixed")[1],
        lambda last: (stream.fixed(final=last), b"")[1],
        lambda last: (stream.fixed([7, Match(200, 1)], final=last), bytes([7] * 201))[1],
        lambda last: (stream.stored(final=last), b"")[1],
    ]
    order = [1, 2, 2, 0, 3, 4, 1, 3, 2, 4, 4, 0, 1, 2, 3]
    for i, kind in enumerate(order):
        bit = 8 * (len(header) + len(stream.out.done)) + stream.out.npending
        expected.append((bit, len(data)))
        data += kinds[kind](i == len(order) - 1)
    found_data, found = boundaries(gzip_member(data, body=stream.getvalue(), name=b"n"), step)
    assert found_data == data
    assert [(at.bit, at.offset) for at in found] == expected


@EACH_GZIP_FORM
def test_resumed_at_every_boundary_the_rest_is_the_same(name: str) -> None:
    content = form(np.frombuffer(TEXT, np.uint8), name)
    data, found = boundaries(content)
    assert data == reference.dumps(np.frombuffer(TEXT, np.uint8))
    assert len(found) >= (1 if name in ("gzip", "stored", "bgzf") else 20)
    for at in found:
        assert at.crc == zlib.crc32(data[: at.offset])
        assert data[: at.offset].endswith(at.window)
        decoder = resumed(content, at)
        assert rest_of(decoder, len(data)) == data[at.offset :]
        assert decoder.decoded == (zlib.crc32(data[at.offset :]), len(data) - at.offset)
        assert decoder.at_end()
        assert not decoder.truncated


def test_boundaries_lie_at_every_bit_of_a_byte() -> None:
    _, found = boundaries(small_blocks(TEXT))
    assert {at.bit % 8 for at in found} == set(range(8))


@pytest.mark.parametrize("step", [1, 7, 100, 40_000])
def test_resumed_reading_goes_in_steps_of_any_size(step: int) -> None:
    content = small_blocks(TEXT)
    for at in boundaries(content)[1][::6]:
        decoder, out, data = resumed(content, at), np.empty(step, np.uint8), b""
        while n := decoder.read_into(out):
            data += out[:n].tobytes()
        assert data == TEXT[at.offset :]


def test_chain_of_resumptions_gives_the_same_boundaries() -> None:
    content = small_blocks(TEXT)
    _, found = boundaries(content)
    for at, following in itertools.pairwise(found):
        decoder = resumed(content, at)
        decoder.pause_at = 1 + at.bit % 8 // 8
        out = np.empty(len(TEXT), np.uint8)
        n = decoder.read_into(out)
        assert at.offset + n == following.offset
        assert at.bit // 8 * 8 + decoder.position == following.bit
        assert decoder.window() == following.window


@pytest.mark.parametrize("item", [2, 4, 8])
def test_resumed_items_are_converted(item: int) -> None:
    content = small_blocks(TEXT)
    for at in boundaries(content)[1][::5]:
        rest = TEXT[at.offset :]
        out = np.empty(len(rest) // item, f"u{item}")
        assert resumed(content, at).read_into(out.view(np.uint8), item) == out.nbytes
        assert out.tolist() == np.frombuffer(rest[: out.nbytes], f">u{item}").tolist()


def test_skip_is_reading_without_the_data() -> None:
    content = small_blocks(TEXT)
    for at in boundaries(content)[1][::9]:
        for nbytes in (0, 1, 1000, len(TEXT)):
            decoder = resumed(content, at)
            left = len(TEXT) - at.offset
            assert decoder.skip(nbytes) == min(nbytes, left)
            assert rest_of(decoder, left) == TEXT[at.offset :][nbytes:]


def test_window_is_of_32_kib_and_distances_reach_all_of_it() -> None:
    noise = np.random.default_rng(8).integers(0, 256, 40_000, np.uint8).tobytes()
    far: list[Symbol] = [Match(20, 32768), 1, Match(258, 32768), Match(3, 32767)]
    stream = Deflate().stored(noise).fixed([65]).fixed(far, final=True)
    data = noise + b"A" + expand(far, (noise + b"A")[-32768:])
    content = gzip_member(data, body=stream.getvalue())
    found = boundaries(content)[1]
    assert len(found[-1].window) == 32768
    assert rest_of(resumed(content, found[-1]), 1000) == data[40_001:]


def test_distance_beyond_the_window_is_refused_after_resuming() -> None:
    litlen = flat_code([0, 1, 256, length_code(3)], 258)
    bad = Deflate().fixed(b"abcdef").dynamic([0, Match(3, 9)], litlen, [0] * 6 + [1], final=True)
    content = gzip_member(b"abcdef\0", body=bad.getvalue())
    decoder = GzipDecoder(MemorySource(content, "file"))
    decoder.pause_at = 11
    out = np.empty(100, np.uint8)
    assert decoder.read_into(out) == 6
    at = Resumption(decoder.position, 6, decoder.window(), 0)
    assert at.window == b"abcdef"
    with pytest.raises(fastidx.CorruptError):
        resumed(content, at).read_into(out)


def test_member_after_a_resumed_one_is_checked() -> None:
    first, second = TEXT[:3000], TEXT[3000:]
    wrong = gzip_member(second, crc=1)
    content = small_blocks(first) + wrong
    _, found = boundaries(small_blocks(first))
    with pytest.raises(fastidx.ChecksumError, match="CRC-32 00000001"):
        rest_of(resumed(content, found[3]), len(TEXT))


def test_resumed_stream_that_breaks_off_says_so() -> None:
    content = small_blocks(TEXT)
    at = boundaries(content)[1][5]
    for end in (at.bit // 8, at.bit // 8 + 1, at.bit // 8 + 50, len(content) - 8, len(content) - 1):
        decoder = resumed(content[:end], at)
        assert TEXT[at.offset :].startswith(rest_of(decoder, len(TEXT)))
        decoder.at_end()
        assert decoder.truncated


@pytest.mark.parametrize("name", ["small blocks", "members"])
def test_resumed_as_a_known_member_it_is_checked(name: str) -> None:
    content = bytearray(form(np.frombuffer(TEXT, np.uint8), name))
    decoder, parts = GzipDecoder(MemorySource(content, "file")), list[Any]()
    decoder.pause_at, out = 0, np.empty(1 << 16, np.uint8)
    nbytes = 0
    while (n := decoder.read_into(out)) or decoder.at_block_boundary:
        nbytes += n
        at = Resumption(decoder.position, nbytes, decoder.window(), 0)
        parts.append((at, decoder.member))
        decoder.pause_at = decoder.position // 8 + 1
    for wrong in (False, True):
        content[-8 - 3 * (name == "members")] ^= wrong
        for at, member in parts[::3]:
            decoder = GzipDecoder(MemorySource(content[at.bit // 8 :], "file"))
            decoder.resume(at.bit % 8, at.window, member)
            assert decoder.decoded == member
            if wrong:
                with pytest.raises(fastidx.ChecksumError, match="CRC-32"):
                    rest_of(decoder, 1 << 16)
            else:
                assert len(rest_of(decoder, 1 << 16)) == nbytes - at.offset
                assert decoder.at_end()


def test_resume_refuses_a_member_shorter_than_the_window() -> None:
    with pytest.raises(ValueError, match="no longer than"):
        GzipDecoder(MemorySource(b"", "file")).resume(0, b"abc", DataPiece(0, 2))


@pytest.mark.parametrize(("nbits", "window"), [(8, b""), (0, bytes(32769)), (2**31, b"")])
def test_resume_refuses_what_cannot_be(nbits: int, window: bytes) -> None:
    with pytest.raises(ValueError, match="32768"):
        GzipDecoder(MemorySource(b"", "file")).resume(nbits, window)


# --- Readers -------------------------------------------------------------------------------------

ITEMS = compressible((45, 64))


@EACH_GZIP_FORM
@pytest.mark.parametrize("known", [False, True])
def test_every_slice_boundary(name: str, known: bool) -> None:
    with fastidx.open(form(ITEMS, name), threads=1) as reader:
        if known:
            reader.build_index(spacing=256)
        for start in range(46):
            for stop in range(start, 46, 1 + 4 * (name != "small blocks")):
                assert reader[start:stop].tobytes() == ITEMS[start:stop].tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=40)
@given(data=st.data())
def test_random_seeks_give_what_the_array_has(dtype: str, data: st.DataObject) -> None:
    array = compressible((120, 13), dtype)
    content = form(array, data.draw(st.sampled_from(GZIP_FORMS)))
    spacing, most = data.draw(st.sampled_from([1, 64, 500])), data.draw(st.sampled_from([3, 9, 99]))
    with fastidx.open(content) as reader:
        reader._log.spacing, reader._log.most = spacing, most
        for _ in range(data.draw(st.integers(1, 12))):
            assert_same(*read_somewhere(reader, array, data))


def read_somewhere(
    reader: fastidx.IdxReader, array: Array, data: st.DataObject
) -> tuple[Array, Array]:
    """One read of any kind, and what it should give."""
    start, n = data.draw(st.integers(0, 119)), data.draw(st.integers(1, 60))
    kind = data.draw(st.sampled_from(["item", "slice", "list", "into", "batches", "all", "index"]))
    if kind == "item":
        return reader[start], array[start]
    if kind == "list":
        numbers = data.draw(st.lists(st.integers(-120, 119)))
        return reader[numbers], array[np.array(numbers, int)]
    if kind == "into":
        out = np.empty((n, 13), array.dtype)
        return out[: reader.read_into(out, start)], array[start : start + n]
    if kind == "batches":
        batches = reader.batches(n, start=start)
        return next(batches), array[start : start + n]
    if kind == "index":
        reader.build_index(spacing=data.draw(st.sampled_from([1, 100, 1000])))
    if kind == "all":
        return np.asarray(reader), array
    return reader[start : start + n], array[start : start + n]


@EACH_GZIP_FORM
def test_items_in_any_order(name: str, rng: np.random.Generator) -> None:
    array = compressible((200, 50), "i2")
    with fastidx.open(form(array, name)) as reader:
        for i in rng.permutation(200):
            assert_same(reader[int(i)], array[i])


@EACH_GZIP_FORM
def test_backwards(name: str) -> None:
    array = compressible((200, 50), "f4")
    with fastidx.open(form(array, name)) as reader:
        for i in range(199, -1, -1):
            assert_same(reader[i], array[i])


class SpyOnRanges:
    """Notes what each stretch was decoded from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nbytes = 0
        read_range = MemorySource.read_range

        def noted(source: MemorySource, *args: Any) -> memoryview:
            data = read_range(source, *args)
            self.nbytes += len(data)
            return data

        monkeypatch.setattr(MemorySource, "read_range", noted)


def test_known_item_is_decoded_from_a_small_part(monkeypatch: pytest.MonkeyPatch) -> None:
    array = compressible((2000, 50))
    content = form(array, "small blocks")
    with fastidx.open(content) as reader:
        reader.build_index(spacing=256)
        spy = SpyOnRanges(monkeypatch)
        assert_same(reader[1500], array[1500])
    assert 0 < spy.nbytes < len(content) / 50


def test_what_was_passed_through_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    array = compressible((2000, 50))
    content = form(array, "small blocks")
    with fastidx.open(content) as reader:
        for _ in reader.batches(100):
            pass
        spy = SpyOnRanges(monkeypatch)
        assert_same(reader[700], array[700])
    assert 0 < spy.nbytes < len(content) / 20


def test_neighbours_are_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    array = compressible((2000, 50))
    with fastidx.open(form(array, "small blocks")) as reader:
        reader.build_index(spacing=256)
        reader[1500:1502]
        spy = SpyOnRanges(monkeypatch)
        for i in (1500, 1501, 1500):
            assert_same(reader[i], array[i])
    assert spy.nbytes == 0


@pytest.mark.parametrize("seekable", ["bytes", "file", "file object", "buffered file"])
def test_random_items_between_those_in_order(
    seekable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastidx.sources.local.CHUNK_NBYTES", 1000)
    array = compressible((600, 50))
    path = tmp_path / "file"
    path.write_bytes(content := form(array, "small blocks"))
    with path.open("rb") as file:
        sources: dict[str, Any] = {"bytes": content, "file": path, "buffered file": file}
        with fastidx.open(sources.get(seekable, io.BytesIO(content))) as reader:
            for i, batch in enumerate(reader.batches(10)):
                assert_same(batch, array[10 * i : 10 * i + 10])
                for j in (i, 5 * i, 9 * i):
                    assert_same(reader[j], array[j])


@pytest.mark.parametrize("verify", [True, False])
def test_pass_that_resumes_inside_a_member_compares_its_checksum(verify: bool) -> None:
    array = compressible((8000, 50))
    first = small_blocks(reference.dumps(array)[:50_012])
    second = bytearray(small_blocks(reference.dumps(array)[50_012:]))
    second[-8] ^= 1
    with fastidx.open(first + second, verify=verify) as reader:
        assert_same(reader[4000], array[4000])
        access: Any = reader._access
        access._stream = None  # as in a process forked now
        assert_same(reader[4300], array[4300])
        assert access._stream._first_bit > 8 * len(first)
        if verify:
            with pytest.raises(fastidx.ChecksumError, match="CRC-32"):
                reader[4301:]
        else:
            assert_same(reader[4301:], array[4301:])


def test_checkpoint_at_the_end_of_the_data_is_not_the_end_of_the_stream() -> None:
    array = compressible((90, 100))
    content = reference.dumps(array)
    stream = Deflate()
    for begin in range(0, len(content), 751):  # 12 blocks
        stream.stored(content[begin : begin + 751])
    body = stream.fixed(final=True).getvalue()
    with fastidx.open(gzip_member(content, body=body)) as reader:
        assert_same(reader[:-1], array[:-1])
        assert (reader._log.nbytes, reader._log.complete) == (len(content), False)
        for _ in range(2):
            assert_same(reader[-2:], array[-2:])


def test_stretch_that_runs_into_what_is_no_data_is_damaged() -> None:
    array = compressible((600, 50))
    content = form(array, "small blocks")
    with fastidx.open(content) as reader:
        index = reader.build_index(spacing=256)
    short = small_blocks(reference.dumps(array)[: index.points[-1].offset + 9])
    other = short + b"not gzip" * len(content)
    index.compressed_nbytes, index.fingerprint = len(other), None
    with (
        fastidx.open(other, index=index) as reader,
        pytest.raises(fastidx.CorruptError, match="build the index anew") as caught,
    ):
        reader[599]
    assert "strict" not in str(caught.value)


def test_progress_of_building_an_index() -> None:
    content = form(compressible((3000, 1000)), "gzip")
    told: list[int] = []
    with fastidx.open(content) as reader:
        index = reader.build_index(spacing=256, progress=told.append)
        assert (sum(told), len(told)) == (index.uncompressed_nbytes, 3)
        reader.build_index(spacing=256, progress=told.append)
        assert len(told) == 3  # nothing was left to do


# --- Logs ----------------------------------------------------------------------------------------


def log_of(content: bytes, spacing: int, most: int | None = None) -> tuple[CheckpointLog, bytes]:
    """What a stream leaves behind, and its data."""
    log = CheckpointLog(spacing, most)
    stream, out, data = GzipStream(MemorySource(content, "f"), log, verify=True), bytearray(97), b""
    while n := stream.read_into(out):
        data += out[:n]
    assert stream.at_end()
    return log, data


@EACH_GZIP_FORM
@pytest.mark.parametrize("most", [None, 3, 5, 17])
def test_log_tells_of_every_stretch(name: str, most: int | None) -> None:
    log, data = log_of(form(np.frombuffer(TEXT, np.uint8), name), 200, most)
    ends = [log.end(i) for i in range(len(log.points))]
    assert log.complete and log.nbytes == len(data) and ends[-1] == len(data)
    assert log.points[0].offset == 0
    assert len(log.crcs) == len(log.points)
    for point, end, crc in zip(log.points, ends, log.crcs, strict=True):
        assert crc == zlib.crc32(data[point.offset : end])
        assert data[: point.offset].endswith(point.window)


@pytest.mark.parametrize("most", [3, 5, 9, 15])
def test_log_is_thinned_out_to_at_most_so_many(most: int) -> None:
    content = small_blocks(TEXT * 5)
    log, data = log_of(content, 100, most)
    assert most // 2 <= len(log.points) <= most + 1
    assert log.spacing > 100
    gaps = np.diff([point.offset for point in log.points])
    assert gaps.max() < 6 * len(data) / len(log.points)


def test_spacing_is_kept() -> None:
    for spacing in (1, 300, 2000, 10**6):
        log, data = log_of(small_blocks(TEXT), spacing)
        gaps = np.diff([point.offset for point in log.points])
        assert (gaps >= spacing).all()
        assert len(log.points) >= len(data) // (3 * spacing + 600)


@pytest.mark.parametrize("most", [3, 4, 7])
def test_reader_with_a_thinned_log_is_right(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastidx.reading.reader._MOST_CHECKPOINTS", most)
    array = compressible((900, 50))
    with fastidx.open(form(array, "small blocks")) as reader:
        for start in (800, 0, 450):
            for i, batch in enumerate(reader.batches(30, start=start)):
                assert_same(batch, array[start + 30 * i :][:30])
            for i in (0, 899, 333, 334, 800):
                assert_same(reader[i], array[i])
        assert len(reader._log.points) <= most + 1


def test_find_is_the_last_at_or_before() -> None:
    log = CheckpointLog(1)
    for offset in (0, 10, 20):
        log.add(Checkpoint(offset * 8, offset, b""), DataPiece(0, offset), 0)
    assert [log.find(offset) for offset in (0, 9, 10, 19, 20, 99)] == [0, 0, 1, 1, 2, 2]
    assert [log.end(number) for number in (0, 1, 2)] == [10, 20, 20]


@pytest.mark.parametrize("spacing", [64, 1000, 10**9])
def test_index_of_any_spacing(spacing: int) -> None:
    array = compressible((300, 50))
    content = form(array, "small blocks")
    with fastidx.open(content) as reader:
        index = reader.build_index(spacing=spacing)
        assert_same(np.asarray(reader), array)
    with fastidx.open(content, index=index) as reader:
        for i in (299, 0, 150, 151):
            assert_same(reader[i], array[i])
        assert reader.build_index(spacing=spacing).points == index.points


def test_index_after_reading_a_part() -> None:
    array = compressible((300, 50))
    with fastidx.open(form(array, "small blocks")) as reader:
        reader[100:150]
        first = reader.build_index()
        second = reader.build_index()
        reader[20:90]
    assert first.points == second.points
    assert first.uncompressed_nbytes == array.nbytes + 12


@pytest.mark.parametrize("source", [form(ITEMS, "plain"), io.BytesIO(form(ITEMS, "plain"))])
def test_index_of_what_is_not_gzip_is_refused(source: Any) -> None:
    with fastidx.open(source) as reader, pytest.raises(ValueError, match="gzip"):
        reader.build_index(spacing=256)


@pytest.mark.parametrize("name", ["gzip", "small blocks", "members"])
def test_no_index_of_a_truncated_file(name: str) -> None:
    content = form(compressible((300, 50)), name)
    with fastidx.open(content[: len(content) * 2 // 3]) as reader, pytest.raises(IdxError):
        reader.build_index(spacing=256)


# --- Threads -------------------------------------------------------------------------------------


def test_each_stretch_of_a_slice_is_decoded_by_one_thread(
    parallel: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    array = compressible((900, 50))
    numbers: list[int] = []
    decode = Stretches.decode

    def noted(self: Stretches, number: int, *args: Any) -> Any:
        numbers.append(number)
        return decode(self, number, *args)

    monkeypatch.setattr(Stretches, "decode", noted)
    with fastidx.open(form(array, "small blocks"), threads=2) as reader:
        reader.build_index(spacing=256)
        assert_same(reader[100:800], array[100:800])
        wanted = range(reader._log.find(12 + 5000), reader._log.find(12 + 40_000 - 1) + 1)
    assert sorted(numbers) == list(wanted)
    assert parallel == [8]


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Any slice is large enough for threads; how many parts each was read in."""
    from fastidx.base import threads

    counts: list[int] = []

    def counted(function: Any, tasks: Any, nthreads: int) -> Any:
        counts.append(len(tasks))
        return threads.run_all(function, tasks, nthreads)

    monkeypatch.setattr("fastidx.reading.reader._MIN_PARALLEL_NBYTES", 64)
    monkeypatch.setattr("fastidx.codecs.access.run_all", counted)
    return counts


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("dtype", ["u1", "i4", "f8"])
def test_slices_in_threads_are_the_same(
    dtype: str, name: str, threads: int, parallel: list[int]
) -> None:
    array = compressible((300, 11), dtype)
    with fastidx.open(form(array, name), threads=threads) as reader:
        if name in GZIP_FORMS:
            reader.build_index(spacing=256)
        for key in (slice(None), slice(3, 290), slice(100, 107), slice(250, 20, -1), [5, 6, 7, 8]):
            assert_same(reader[key], array[key])
    one_stretch = ("gzip", "stored", "bgzf")
    assert name == "xz" or name in one_stretch or parallel


@pytest.mark.parametrize("options", [{"dtype": "f4", "scale": 0.5}, {"lut": np.arange(256.0)}])
def test_casts_in_threads_are_the_same(options: dict[str, Any], parallel: list[int]) -> None:
    content = form(compressible((300, 11)), "small blocks")
    expected = fastidx.load(content, **options)
    with fastidx.open(content, threads=3, **options) as reader:
        reader.build_index(spacing=256)
        for key in (slice(None), slice(3, 290), slice(7, 14)):
            assert_same(reader[key], expected[key])
    assert parallel


def test_damage_is_found_in_threads(parallel: list[int]) -> None:
    array = compressible((300, 50))
    content = bytearray(form(array, "small blocks"))
    with fastidx.open(content, threads=3) as reader:
        reader.build_index(spacing=256)
        content[len(content) // 2] ^= 0x10
        with pytest.raises(IdxError):
            reader[:]
        assert_same(reader[:100], array[:100])
    assert parallel


# --- Damage --------------------------------------------------------------------------------------


@EACH_GZIP_FORM
def test_damaged_byte_is_never_wrong_data(name: str) -> None:
    array = compressible((60, 50))
    content = bytearray(form(array, name))
    with fastidx.open(content, threads=1) as reader:
        index = reader.build_index(spacing=256)
    noticed = 0
    places = range(12, len(content), max(1, len(content) // 150))
    for place in places:
        with fastidx.open(content, threads=1, index=index) as reader:
            content[place] ^= 1 << place % 8
            for begin in (0, 20, 40, 0, 20, 40):
                try:
                    assert_same(reader[begin : begin + 20], array[begin : begin + 20])
                except IdxError:
                    noticed += 1
            content[place] ^= 1 << place % 8
    # By the read that it is in and, as none is believed the second time either, again.
    assert noticed > len(places)


def test_damage_is_found_each_time_and_only_where_it_is() -> None:
    array = compressible((600, 50))
    content = bytearray(form(array, "small blocks"))
    with fastidx.open(content) as reader:
        reader.build_index(spacing=256)
        content[len(content) // 2] ^= 0x20
        wrong = []
        for _ in range(2):
            for i in range(600):
                try:
                    assert_same(reader[i], array[i])
                except fastidx.CorruptError:
                    wrong.append(i)
    assert 2 < len(wrong) < 60
    assert wrong[: len(wrong) // 2] == wrong[len(wrong) // 2 :]


def test_damage_is_found_by_checksum_where_decoding_notices_nothing() -> None:
    array = compressible((600, 50))
    content = bytearray(form(array, "stored"))
    with fastidx.open(content) as reader:
        reader.build_index(spacing=256)
        content[-2000] ^= 1
        with pytest.raises(fastidx.ChecksumError, match=r"CRC-32 [0-9a-f]{8} .*index"):
            reader[590:]
    with fastidx.open(content, verify=False) as reader:
        assert (reader[:] != array).sum() == 1


def test_file_cut_under_the_reader_gives_an_error(tmp_path: Path) -> None:
    array = compressible((900, 500))
    for name in ("plain", "small blocks"):
        path = tmp_path / name
        path.write_bytes(content := form(array, name))
        with fastidx.open(path, threads=1) as reader:
            if name != "plain":
                reader.build_index(spacing=256)
            reader[0]
            with path.open("r+b") as file:
                file.truncate(len(content) // 2)
            for key in (899, slice(None), slice(600, 700), [1, 898]):
                with pytest.raises(fastidx.SourceChangedError, match=name):
                    reader[key]


def test_file_cut_under_a_reader_of_batches(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 256, (3000, 1000), np.uint8)
    for name in ("plain", "gzip"):
        path = tmp_path / name
        path.write_bytes(content := form(array, name))
        seen: list[Array] = []
        with fastidx.open(path) as reader:
            batches = reader.batches(100)
            seen.append(next(batches))
            with path.open("r+b") as file:
                file.truncate(len(content) // 2)
            with pytest.raises(IdxError, match=name):
                seen.extend(batches)
        whole = np.concatenate(seen)
        assert_same(whole, array[: len(whole)])
        assert 0 < len(whole) < 3000


def test_file_replaced_under_the_reader_is_read_as_it_was(tmp_path: Path) -> None:
    array = compressible((900, 50))
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(form(array, "small blocks"))
    other.write_bytes(form(array[::-1], "small blocks"))
    with fastidx.open(path) as reader:
        reader[700]
        other.replace(path)
        for i in (899, 0, 500):
            assert_same(reader[i], array[i])


@pytest.mark.parametrize("name", ["plain", "gzip", "xz"])
def test_file_overwritten_under_a_reader_of_any_kind(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    noise = np.random.default_rng(1).integers(0, 256, (1000, 1000), np.uint8)
    path.write_bytes(form(noise, name))
    with fastidx.open(path) as reader:
        assert_same(reader[3], noise[3])
        path.write_bytes(form(noise[::-1], name))
        with pytest.raises(fastidx.SourceChangedError, match=f"{path}.*written to meanwhile"):
            list(reader.batches(100, start=4))


def test_file_overwritten_under_the_reader_is_noticed(tmp_path: Path) -> None:
    array = compressible((900, 50))
    path = tmp_path / "file"
    path.write_bytes(form(array, "small blocks"))
    with fastidx.open(path) as reader:
        reader.build_index(spacing=256)
        path.write_bytes(form(compressible((900, 50), seed=9), "small blocks"))
        for key in (899, 450, slice(3, 800)):
            with pytest.raises(fastidx.SourceChangedError, match=f"{path}.*written to meanwhile"):
                reader[key]
