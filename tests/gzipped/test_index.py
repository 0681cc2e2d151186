"""Index files: the bytes that are written, what is read back, and all that is refused."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from deflate_writer import Deflate, gzip_member
from gzip_blocks import decode_from, index_of, scan
from hypothesis import given
from hypothesis import strategies as st

from fastidx import TruncatedError
from fastidx.errors import GzipIndexError, IdxError
from fastidx.gzipped import index_file
from fastidx.gzipped.index import Checkpoint, GzipIndex, fingerprint

WINDOW_NBYTES = 32768
HEADER_NBYTES = 35
MIB = 1 << 20


def saved(index: GzipIndex) -> bytes:
    file = io.BytesIO()
    index.save(file)
    return file.getvalue()


def gzidx(
    rows: list[tuple[int, int, int, int]],
    windows: bytes = b"",
    *,
    compressed: int = 50_000,
    uncompressed: int = 100_000,
    spacing: int = MIB,
    window: int = WINDOW_NBYTES,
    version: int = 1,
    magic: bytes = b"GZIDX",
    count: int | None = None,
) -> bytes:
    """Return an index file as another program would write it."""
    count = len(rows) if count is None else count
    header = struct.pack("<BBQQIII", version, 0, compressed, uncompressed, spacing, window, count)
    fields = "<QQBB" if version else "<QQB"
    table = b"".join(struct.pack(fields, *row[: len(fields) - 1]) for row in rows)
    return magic + header + table + windows


def pattern(nbytes: int) -> bytes:
    return bytes(i % 251 for i in range(nbytes))


@st.composite
def indexes(draw: st.DrawFn, most: int = 6) -> GzipIndex:
    """Any index without contradictions: points near and far apart, windows of all sizes."""
    points: list[Checkpoint] = []
    bit, offset = draw(st.integers(0, 1000)), 0
    for _ in range(draw(st.integers(1, most))):
        nbytes = draw(st.sampled_from([0, 1, 100, WINDOW_NBYTES - 1, WINDOW_NBYTES]))
        points.append(Checkpoint(bit, offset, pattern(min(nbytes, offset))))
        nbits = draw(st.integers(1, 2000) | st.integers(1, 1 << 40))
        bit += nbits
        offset += draw(st.integers(0, nbits * 129))
    index = GzipIndex(-(-bit // 8), offset, draw(st.integers(32769, 2**32 - 1)), points)
    if draw(st.booleans()):
        index.uncompressed_nbytes = 0
    if draw(st.booleans()):
        index.crcs = [draw(st.integers(0, 2**32 - 1)) for _ in points]
    if draw(st.booleans()):
        index.fingerprint = draw(st.binary(min_size=16, max_size=16))
    return index


# What is written


def test_the_bytes_of_an_index() -> None:
    points = [
        Checkpoint(80, 0, b""),
        Checkpoint(8 * 1000 + 3, 40_000, pattern(WINDOW_NBYTES)),
        Checkpoint(8 * 2000, 50_000, b""),  # the begin of a member
        Checkpoint(8 * 3000 + 7, 50_000, b""),  # needs no window, but others take bits with one
        Checkpoint(8 * 4000, 60_000, b"abc"),
    ]
    index = GzipIndex(5000, 70_000, MIB, points, [1, 2, 3, 4, 0xFFFFFFFF], b"0123456789abcdef")
    rows = [
        (10, 0, 0, 0),
        (1001, 40_000, 5, 1),
        (2000, 50_000, 0, 0),
        (3001, 50_000, 1, 1),
        (4000, 60_000, 0, 1),
        (5000, 70_000, 0, 0),  # the end
    ]
    windows = pattern(WINDOW_NBYTES) + bytes(WINDOW_NBYTES) + bytes(WINDOW_NBYTES - 3) + b"abc"
    expected = gzidx(rows, windows, compressed=5000, uncompressed=70_000)
    expected += b"fastidx\1" + struct.pack("<BI", 3, 5) + b"0123456789abcdef"
    expected += struct.pack("<5H5I", 0, WINDOW_NBYTES, 0, 0, 3, 1, 2, 3, 4, 0xFFFFFFFF)
    assert saved(index) == expected + struct.pack("<I", zlib.crc32(expected))


@pytest.mark.parametrize("spacing", [0, 1, 32768])
def test_no_spacing_is_written_that_others_refuse(spacing: int) -> None:
    index = GzipIndex(5000, 7000, spacing, [Checkpoint(80, 0, b"")])
    assert GzipIndex.load(saved(index)).spacing == 32769


@given(indexes())
def test_what_is_saved_is_loaded(index: GzipIndex) -> None:
    assert GzipIndex.load(saved(index)) == index


def test_saved_and_loaded_by_path(tmp_path: Path) -> None:
    index = GzipIndex(5000, 7000, MIB, [Checkpoint(80, 0, b"")])
    path = tmp_path / "a.gzidx"
    path.write_bytes(b"the old one")
    index.save(path)
    assert GzipIndex.load(str(path)) == index
    assert GzipIndex.load(path).name == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gzidx"]


def test_the_old_index_stays_if_saving_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gzidx"
    path.write_bytes(b"the old one")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_file, "crc32", full)
    with pytest.raises(OSError, match="No space"):
        GzipIndex(5000, 7000, MIB, [Checkpoint(80, 0, b"")]).save(path)
    assert path.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["a.gzidx"]


def start(bit: int = 80, offset: int = 0, window: bytes = b"") -> Checkpoint:
    return Checkpoint(bit, offset, window)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "at least one point to start from, found none"),
        ([start(offset=1)], "the first point at offset 0, found it at 1"),
        ([start(bit=-1)], "point 0 of 1: expected its place before that of the next, bit 40,000"),
        ([start(bit=40_000)], "found it at bit 40,000"),
        ([start(), start(), start(90)], "point 0 of 3: expected its place before .* bit 80"),
        ([start(), start(90, 1291)], "at an offset from 0 to 1,290, found it at 1,291"),
        ([start(), start(90, 9), start(99, 8)], "point 1 of 3: .* from 9 to 1,170, found it at 8"),
        ([start(), start(99, 70_001)], "point 0 of 2"),
        ([start(window=b"a")], "at most 0 bytes of data before it, found 1"),
        ([start(), start(9999, 40_000, bytes(32769))], "at most 32,768 bytes .* found 32,769"),
        ([start(), start(9999, 20, bytes(21))], "at most 20 bytes .* found 21"),
    ],
)
def test_no_useless_index_is_saved(points: list[Checkpoint], message: str) -> None:
    index, file = GzipIndex(5000, 70_000, MIB, points), io.BytesIO()
    with pytest.raises(ValueError, match=message) as caught:
        index.save(file)
    assert not isinstance(caught.value, IdxError)
    assert file.getvalue() == b""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crcs": [1, 2]}, "a CRC for each of 1 points, found 2"),
        ({"fingerprint": b"abc"}, "a fingerprint of 16 bytes, found 3 bytes"),
    ],
)
def test_no_half_of_an_index_is_saved(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GzipIndex(5000, 70_000, MIB, [start()], **changes).save(io.BytesIO())


# What others write


def test_version_1_of_others() -> None:
    rows = [(10, 0, 0, 0), (500, 9_000, 3, 1), (800, 20_000, 0, 0), (900, 20_000, 7, 0)]
    rows += [(40_000, 90_000, 4, 1), (50_000, 100_000, 0, 1)]
    windows = bytes(WINDOW_NBYTES - 9_000) + pattern(9_000) + pattern(WINDOW_NBYTES) + bytes(32768)
    index = GzipIndex.load(gzidx(rows, windows, spacing=7))
    assert index == GzipIndex(
        50_000,
        100_000,
        7,
        [
            Checkpoint(80, 0, b""),
            Checkpoint(8 * 500 - 3, 9_000, pattern(9_000)),
            Checkpoint(8 * 800, 20_000, b""),
            Checkpoint(8 * 900 - 7, 20_000, b""),
            Checkpoint(8 * 40_000 - 4, 90_000, pattern(WINDOW_NBYTES)),
        ],
    )


def test_version_0_of_others() -> None:
    rows = [(10, 0, 0, 0), (500, 50_000, 3, 0), (50_000, 100_000, 0, 0)]
    windows = pattern(WINDOW_NBYTES) + bytes(WINDOW_NBYTES)
    index = GzipIndex.load(gzidx(rows, windows, version=0))
    assert index.points == [start(), start(3997, 50_000, pattern(WINDOW_NBYTES))]


@pytest.mark.parametrize("nbytes", [32769, 40_000, 3 * MIB])
def test_larger_windows_of_others(nbytes: int) -> None:
    rows = [(10, 0, 0, 0), (500, 50_000, 3, 1), (600, 60_000, 3, 1)]
    windows = b"".join(bytes(nbytes - WINDOW_NBYTES) + pattern(WINDOW_NBYTES) for _ in range(2))
    index = GzipIndex.load(gzidx(rows, windows, window=nbytes))
    assert [point.window for point in index.points[1:]] == [pattern(WINDOW_NBYTES)] * 2


def test_nothing_starts_at_the_end() -> None:
    rows = [(10, 0, 0, 0), (49_000, 100_000, 0, 0), (50_000, 100_000, 0, 0)]
    assert GzipIndex.load(gzidx(rows)).points == [start()]


def test_the_begin_of_a_file_only() -> None:
    rows = [(10, 0, 0, 0), (500, 50_000, 0, 0)]
    index = GzipIndex.load(gzidx(rows, uncompressed=0))
    assert index.uncompressed_nbytes == 0
    assert index.points == [start(), start(4000, 50_000)]
    assert GzipIndex.load(saved(index)) == index


# Sources


class Dribble(io.RawIOBase):
    """A file that cannot seek and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, out: Any) -> int:
        return self._file.readinto(memoryview(out)[:1009])


def test_loads_from_all_that_can_be_read(tmp_path: Path) -> None:
    points = [start(), start(9999, 40_000, pattern(WINDOW_NBYTES))]
    index = GzipIndex(5000, 70_000, MIB, points, [7, 8], bytes(16))
    data = saved(index)
    (tmp_path / "i").write_bytes(data)
    assert GzipIndex.load(Dribble(data)) == index
    assert GzipIndex.load(memoryview(data)) == index
    with (tmp_path / "i").open("rb") as file:
        assert GzipIndex.load(file) == index
        assert not file.closed
    with (tmp_path / "i").open("rb", buffering=0) as raw:
        assert GzipIndex.load(raw) == index
    padded = io.BytesIO(b"x" + data)
    padded.seek(1)
    assert GzipIndex.load(padded) == index


def test_loads_from_a_pipe_and_saves_to_it() -> None:
    points = [start(), start(9999, 40_000, pattern(WINDOW_NBYTES))]
    index = GzipIndex(5000, 70_000, MIB, points)
    fds = os.pipe()
    read_end, write_end = os.fdopen(fds[0], "rb"), os.fdopen(fds[1], "wb")

    def write() -> None:
        with write_end:
            index.save(write_end)

    writer = threading.Thread(target=write)
    writer.start()
    with read_end:
        assert GzipIndex.load(read_end) == index
    writer.join()


def test_wrong_types_are_misuse(tmp_path: Path) -> None:
    (tmp_path / "i").write_bytes(b"GZIDX")
    with pytest.raises(TypeError, match="found int"):
        GzipIndex.load(3)  # type: ignore[arg-type]
    with (tmp_path / "i").open() as text, pytest.raises(TypeError, match="open as text"):
        GzipIndex.load(text)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="found int"):
        GzipIndex(5000, 7000, MIB, [start()]).save(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        GzipIndex.load(tmp_path / "none")


# What is refused


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"expected an index in the format GZIDX, found an empty file"),
        (gzip.compress(b"", mtime=0), "expected an index in the format GZIDX, found a gzip file"),
        (b"<!DOCTYPE html><title>Not found</title>", "GZIDX, found an HTML page"),
        (bytes(8) + b"gzipindx" + bytes(99), "GZIDX, found an index of gztool; give the index"),
        (struct.pack("<QQQ", 1, 2, 3), "GZIDX, found something else"),
        (b"GZIDY" + bytes(99), "GZIDX, found something else"),
        (b"GZI", "expected 35 bytes of the header at position 0, found 3; the index was cut short"),
        (gzidx([], version=2), "expected version 0 or 1 of the format GZIDX, found version 2"),
        (gzidx([], window=32767), "expected windows of 32,768 bytes or more, found 32,767"),
        (gzidx([]), "expected at least one point to start from, found none"),
        (gzidx([(10, 0, 8, 0)]), "point 0: expected 0 to 7 bits, found 8"),
        (gzidx([(0, 0, 1, 0)]), "point 0 of 1: expected its place before .* found it at bit -1"),
        (gzidx([(10, 5, 0, 0)]), "expected the first point at offset 0, found it at 5"),
        (gzidx([(10, 0, 0, 0), (50_001, 9, 0, 0)]), "point 1 of 2: .* found it at bit 400,008"),
        (gzidx([(10, 0, 0, 0), (20, 10_321, 0, 0)]), "from 0 to 10,320, found it at 10,321"),
        (gzidx([(10, 0, 0, 0), (20, 9, 0, 0)], uncompressed=1 << 62), "point 1 of 2"),
        (gzidx([(10, 0, 0, 0), (20, 9, 0, 0), (30, 8, 0, 0)]), "point 1 of 3"),
        (gzidx([(10, 0, 0, 0), (10, 9, 0, 0)]), "point 0 of 2"),
        (gzidx([(10, 0, 0, 0)]) + b"x", "expected 13 bytes of what fastidx adds .* found 1"),
        (gzidx([(10, 0, 0, 0)]) + bytes(13), "end of the file, or what fastidx adds for 1 points"),
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(GzipIndexError, match=message) as caught:
        GzipIndex.load(data)
    assert str(caught.value).startswith("<bytes>: ")


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gzidx"
    path.write_bytes(b"GZIDX")
    with pytest.raises(GzipIndexError) as caught:
        GzipIndex.load(path)
    assert str(caught.value) == (
        f"{path}: expected 35 bytes of the header at position 0, found 5; "
        "the index was cut short: copy it again or build it again"
    )
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def whole() -> tuple[GzipIndex, bytes, int]:
    """Return an index with all that there can be, its file, and where our section begins in it."""
    points = [start(), start(9999, 40_000, pattern(WINDOW_NBYTES)), start(20_003, 50_000, b"ab")]
    index = GzipIndex(5000, 70_000, MIB, points, [7, 8, 9], bytes(range(16)))
    data = saved(index)
    return index, data, data.index(b"fastidx\1")


def test_a_truncated_index_is_refused() -> None:
    index, data, section = whole()
    edges = {0, 1, 5, HEADER_NBYTES, HEADER_NBYTES + 4 * 18, section, len(data)}
    for end in sorted({e + d for e in edges for d in range(-20, 21)} | set(range(0, section, 997))):
        if not 0 <= end < len(data):
            continue
        if end == section:  # what is left is a whole index as others write it
            index.crcs = index.fingerprint = None
            rest = GzipIndex.load(data[:end])
            assert [p[:2] for p in rest.points] == [p[:2] for p in index.points]
            assert rest.points[1] == index.points[1]
            continue
        with pytest.raises(GzipIndexError, match=r"^<bytes>: expected .*, found .*; "):
            GzipIndex.load(data[:end])


def test_every_changed_bit_is_noticed() -> None:
    _, data, section = whole()
    windows = range(HEADER_NBYTES + 4 * 18, section)
    places = [*range(windows.start), *windows[::199], *range(section, len(data))]
    changed = bytearray(data)
    for place in places:
        for bit in range(8) if place not in windows else (place % 8,):
            changed[place] ^= 1 << bit
            with pytest.raises(GzipIndexError):
                GzipIndex.load(changed)
            changed[place] ^= 1 << bit
    assert GzipIndex.load(changed).points


def test_more_bytes_are_noticed() -> None:
    _, data, _ = whole()
    with pytest.raises(GzipIndexError, match=f"expected the end at position {len(data):,}"):
        GzipIndex.load(data + b"\0")


def test_a_newer_section_is_refused() -> None:
    _, data, section = whole()
    newer = bytearray(data[:-4])
    newer[section + 8] |= 4  # a flag without a meaning yet
    newer += struct.pack("<I", zlib.crc32(newer))
    with pytest.raises(GzipIndexError, match="or what fastidx adds for 3 points, at position"):
        GzipIndex.load(newer)


def loaded_or_refused(data: bytes) -> GzipIndex | None:
    """Load an index, or see that it is refused as it should be."""
    try:
        return GzipIndex.load(data)
    except GzipIndexError as error:
        refusal = str(error)
    assert re.match(r"<bytes>: (point [0-9,]+( of [0-9,]+)?: )?expected .*, found .*; ", refusal)
    return None


@given(indexes(most=3), st.data())
def test_whatever_happens_to_an_index_of_others(index: GzipIndex, draw: st.DataObject) -> None:
    index.crcs = index.fingerprint = None
    data = bytearray(saved(index))
    del data[data.rindex(b"fastidx\1") :]
    nrows = struct.unpack_from("<I", data, 31)[0]
    for _ in range(draw.draw(st.integers(1, 3))):
        place = draw.draw(st.integers(0, min(len(data), HEADER_NBYTES + 18 * nrows) - 1))
        data[place] ^= 1 << draw.draw(st.integers(0, 7))
    del data[draw.draw(st.integers(len(data) - 3, len(data)) | st.integers(0, len(data))) :]
    loaded = loaded_or_refused(bytes(data))
    if isinstance(loaded, GzipIndex):
        assert GzipIndex.load(saved(loaded)).points == loaded.points


@given(st.binary(max_size=300))
def test_anything_behind_the_magic(rest: bytes) -> None:
    loaded_or_refused(b"GZIDX" + rest)


@pytest.mark.parametrize(
    "data",
    [
        gzidx([(10, 0, 0, 0)], count=2**32 - 1),
        gzidx([(10, 0, 0, 1)], window=2**32 - 1),
        gzidx([(10, 0, 0, 1)] * 1000, window=2**32 - 1, compressed=2**63, uncompressed=2**63),
        gzidx([(10, 0, 0, 0)]) + b"fastidx\1" + struct.pack("<BI", 3, 2**32 - 1),
    ],
)
@pytest.mark.parametrize("kind", [bytes, io.BytesIO, Dribble])
def test_no_number_decides_how_much_memory_is_taken(data: bytes, kind: Any) -> None:
    source = kind(data)
    tracemalloc.start()
    try:
        with pytest.raises(GzipIndexError):
            GzipIndex.load(source)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


# The file that an index belongs to


class Reads:
    """A file's bytes by position, and what was asked for."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def __call__(self, pos: int, nbytes: int) -> memoryview:
        self.asked.append((pos, nbytes))
        return memoryview(self.data)[pos : pos + nbytes]


def made_from(data: bytes) -> GzipIndex:
    index = GzipIndex(len(data), len(data), MIB, [start(0)], name="x.gzidx")
    index.fingerprint = fingerprint(len(data), Reads(data))
    return index


@pytest.mark.parametrize("nbytes", [0, 1, 18, 4095, 4096, 4097, 8191, 8192, 8193, 100_000])
def test_the_same_file_is_accepted(nbytes: int) -> None:
    reads = Reads(os.urandom(nbytes))
    made_from(reads.data).check(nbytes, reads)
    assert len(reads.asked) <= 2
    asked = [pos for begin, n in reads.asked for pos in range(begin, begin + n)]
    assert asked == sorted({*range(min(nbytes, 4096)), *range(max(0, nbytes - 4096), nbytes)})


@pytest.mark.parametrize("nbytes", [1, 18, 4097, 8193, 100_000])
def test_another_file_of_the_same_size_is_refused(nbytes: int) -> None:
    data = os.urandom(nbytes)
    index = made_from(data)
    for place in {0, min(4095, nbytes - 1), max(0, nbytes - 4096), nbytes - 1}:
        other = bytearray(data)
        other[place] ^= 1
        with pytest.raises(GzipIndexError, match="found another of the same size") as caught:
            index.check(nbytes, Reads(bytes(other)), source="x.gz")
        assert str(caught.value).startswith("x.gz: expected the file that x.gzidx was made from ")
        assert str(caught.value).endswith("; build the index again")


def test_a_file_of_another_size_is_refused_unread() -> None:
    reads = Reads(bytes(1001))
    with pytest.raises(GzipIndexError) as caught:
        made_from(bytes(1000)).check(1001, reads, source="x.gz")
    assert str(caught.value) == (
        "x.gz: expected the file that x.gzidx was made from, of 1,000 bytes, "
        "found one of 1,001 bytes; build the index again"
    )
    assert reads.asked == []


def test_without_a_fingerprint_the_size_decides() -> None:
    reads = Reads(bytes(1000))
    GzipIndex(1000, 5000, MIB, [start()]).check(1000, reads)
    assert reads.asked == []


def test_a_file_that_shrinks_meanwhile() -> None:
    index = made_from(bytes(10_000))
    with pytest.raises(TruncatedError, match="expected 4,096 bytes at position 5,904, found 96"):
        index.check(10_000, Reads(bytes(6_000)))


def test_stored_data_changes_the_fingerprint() -> None:
    one, other = (
        gzip_member(data, body=Deflate().stored(data, final=True).getvalue())
        for data in (bytes(1000), pattern(1000))
    )
    # The trap: whatever the data is, its own CRC-32 behind it leaves the same CRC-32 of the file.
    assert zlib.crc32(one[:-4]) == zlib.crc32(other[:-4]) and one != other
    with pytest.raises(GzipIndexError):
        made_from(one).check(len(other), Reads(other))


# Use


def test_an_index_goes_to_other_processes() -> None:
    index, _, _ = whole()
    assert pickle.loads(pickle.dumps(index)) == index
    assert len(repr(index)) < 300


def test_decodes_from_every_block_after_saving() -> None:
    text = b"".join(b"%d squared is %d; " % (i, i * i) for i in range(6000))
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 1)
    content = compressor.compress(text) + compressor.flush()
    index = GzipIndex.load(saved(index_of(content, *scan(content))))
    assert {point.bit % 8 for point in index.points} == set(range(8))
    for point in index.points:
        expected = text[point.offset : point.offset + 1000]
        assert decode_from(content, point, len(expected)) == expected


def test_data_may_expand_as_far_as_deflate_goes() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31, 1)
    content = compressor.compress(bytes(1_000_000)) + compressor.flush()
    index = index_of(content, *scan(content))
    assert len(index.points) > 10
    assert len(content) * 700 < 1_000_000
    assert GzipIndex.load(saved(index)) == index
