"""Index files go both ways between fastidx and the packages whose format they have."""

from __future__ import annotations

import functools
import gzip
import io
import itertools
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from gzip_blocks import Scan, decode_from, header_end, index_of, intervals, scan

import fastidx
from fastidx.gzipped.index import GzipIndex, fingerprint
from fastidx.reference import dumps
from fastidx.writing.save import save

RAPIDGZIP = "import sys, rapidgzip; sys.exit(rapidgzip.cli())"


class Sample(NamedTuple):
    content: bytes
    data: bytes


def words(nbytes: int, seed: int = 1) -> bytes:
    """Text of few letters: matches at all distances, and codes of all lengths."""
    return bytes(random.Random(seed).choices(b"abcdefghijkl    ", range(1, 17), k=nbytes))


def compressed(data: bytes, level: int = 6, memlevel: int = 3, strategy: int = 0) -> bytes:
    """One member, of many blocks: with little memory zlib ends them early."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, 31, memlevel, strategy)
    return compressor.compress(data) + compressor.flush()


def flushed(data: bytes) -> bytes:
    """A member with stored blocks behind any bit: empty ones, by which zlib flushes."""
    kinds = [zlib.Z_SYNC_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_FULL_FLUSH]
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [
        compressor.compress(data[i : i + 20_000]) + compressor.flush(kinds[i // 20_000 % 3])
        for i in range(0, len(data), 20_000)
    ]
    return b"".join(parts) + compressor.flush()


def bgzf(data: bytes | np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    save(file, array, compression="bgzf")
    return file.getvalue()


def _sample(name: str) -> bytes:
    text = words(300_000)
    noise = random.Random(2).randbytes(60_000)
    match name:
        case "dynamic blocks":
            return compressed(text)
        case "far matches":
            return compressed(text[:40_000] + noise + text[8_000:90_000] + noise[::-1])
        case "stored blocks":
            return compressed(noise * 4, level=0)
        case "no matches":
            return compressed(text, strategy=zlib.Z_HUFFMAN_ONLY)
        case "flushed":
            return flushed(text)
        case "members":
            sizes = 5_000, 120_000, 300, 0, 90_000, 40_000, 40_000, 1, 0
            return b"".join(compressed(words(n, seed=n)) for n in sizes)
        case "BGZF":
            return bgzf(text)
        case "padded members":
            return compressed(text) + bytes(512) + compressed(words(90_000, 3)) + bytes(1000)
    raise KeyError(name)


NAMES = [
    "dynamic blocks",
    "far matches",
    "stored blocks",
    "no matches",
    "flushed",
    "members",
    "BGZF",
    "padded members",
]


def with_each(programs: Iterable[str]) -> list[tuple[str, str]]:
    """Pair each sample with each program that can read it: rapidgzip stops at padding."""
    pairs = itertools.product(NAMES, programs)
    return [p for p in pairs if p[0] != "padded members" or not p[1].startswith("rapidgzip")]


@functools.cache
def sample(name: str) -> Sample:
    content = _sample(name)
    return Sample(content, gzip.decompress(content))


@functools.cache
def scanned(name: str) -> Scan:
    return scan(sample(name).content)


@pytest.fixture(scope="module")
def train_images(data_dir: Path) -> Sample:
    content = (data_dir / "train-images-idx3-ubyte.gz").read_bytes()
    return Sample(content, gzip.decompress(content))


# Indexes by others


def by_indexed_gzip(path: Path, **options: Any) -> bytes:
    indexed_gzip = pytest.importorskip("indexed_gzip")
    with indexed_gzip.IndexedGzipFile(str(path), **options) as file:
        file.build_full_index()
        out = io.BytesIO()
        file.export_index(fileobj=out)
    return out.getvalue()


def by_rapidgzip(path: Path) -> bytes:
    rapidgzip = pytest.importorskip("rapidgzip")
    out = path.with_suffix(".rapidgzip")
    with rapidgzip.open(str(path), parallelization=2) as file:
        file.export_index(str(out))
    return out.read_bytes()


def rapidgzip_command(path: Path, *options: str) -> bytes:
    """Run rapidgzip on a file, in chunks of 16 KiB so that few points are too close for it."""
    pytest.importorskip("rapidgzip")
    command = [
        sys.executable,
        "-c",
        RAPIDGZIP,
        "-P",
        "2",
        "--chunk-size",
        "16",
        *options,
        str(path),
    ]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout


def by_rapidgzip_command(path: Path, *options: str) -> bytes:
    out = path.with_suffix(".command")
    rapidgzip_command(path, *options, "--export-index", str(out), "--force", "--count")
    return out.read_bytes()


WRITERS: dict[str, Callable[[Path], bytes]] = {
    "indexed_gzip": functools.partial(by_indexed_gzip, spacing=33_000),
    "indexed_gzip, larger windows": functools.partial(
        by_indexed_gzip, spacing=41_000, window_size=40_000
    ),
    "rapidgzip": by_rapidgzip,
    "rapidgzip, small chunks": by_rapidgzip_command,
    "rapidgzip, whole windows": lambda path: by_rapidgzip_command(path, "--no-sparse-windows"),
}


def check_decodes(index: GzipIndex, content: bytes, data: bytes) -> None:
    """Decode from every point with zlib, all that comes before the next."""
    assert (index.compressed_nbytes, index.uncompressed_nbytes) == (len(content), len(data))
    assert index.points[0].bit == 8 * header_end(content)
    for point, (begin, end) in zip(index.points, intervals(index), strict=True):
        assert decode_from(content, point, end - begin) == data[begin:end]


@pytest.mark.parametrize(("name", "writer"), with_each(WRITERS))
def test_decodes_with_an_index_by_another(name: str, writer: str, tmp_path: Path) -> None:
    content, data = sample(name)
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    index = GzipIndex.load(WRITERS[writer](path))
    assert index.crcs is None and index.fingerprint is None
    assert writer == "rapidgzip" or len(index.points) > 3
    check_decodes(index, content, data)
    index.check(len(content), lambda pos, n: content[pos : pos + n])


_TEXT = words(400_000, seed=4)
IMAGES = np.frombuffer(_TEXT, np.uint8).reshape(1000, 400)
_IDX = dumps(IMAGES)
IDX_FILES = {
    "dynamic blocks": compressed(_IDX),
    "no matches": compressed(_IDX, strategy=zlib.Z_HUFFMAN_ONLY),
    "flushed": flushed(_IDX),
    "stored blocks": compressed(_IDX, level=0),
    "members": b"".join(compressed(_IDX[i : i + 90_000]) for i in range(0, len(_IDX), 90_000)),
    "BGZF": bgzf(IMAGES),
}


@pytest.mark.parametrize("name", IDX_FILES)
@pytest.mark.parametrize("writer", WRITERS)
def test_reader_and_load_use_an_index_by_another(
    name: str, writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(IDX_FILES[name])
    (tmp_path / "x.gz.gzidx").write_bytes(WRITERS[writer](path))
    monkeypatch.setattr("fastidx.reading.reader._MIN_PARALLEL_NBYTES", 20_000)
    order = random.Random(7).sample(range(1000), 60)
    # At 4 MiB, the spacing that rapidgzip notes, stretches are not decoded as a whole.
    for most in (1 << 20, 1 << 30):
        monkeypatch.setattr("fastidx.gzipped.access._MOST_STRETCH_NBYTES", most)
        with fastidx.open(path, index="auto", threads=2) as reader:
            assert reader._log.complete
            for i in order:
                np.testing.assert_array_equal(reader[i], IMAGES[i])
            np.testing.assert_array_equal(reader[order], IMAGES[order])
            np.testing.assert_array_equal(reader[13:977], IMAGES[13:977])
            np.testing.assert_array_equal(np.concatenate(list(reader.batches(64))), IMAGES)
    loaded = fastidx.load(path, index="auto", threads=2)
    np.testing.assert_array_equal(loaded, IMAGES, strict=True)


def test_others_leave_windows_out(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(sample("no matches").content)
    points = GzipIndex.load(by_rapidgzip_command(path)).points
    assert sum(point.bit % 8 > 0 and not point.window for point in points) > 3


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["indexed_gzip", "rapidgzip", "rapidgzip, small chunks"])
def test_decodes_real_data_with_an_index_by_another(
    writer: str, train_images: Sample, tmp_path: Path
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(train_images.content)
    make = functools.partial(by_indexed_gzip, spacing=1 << 20)
    index = GzipIndex.load(make(path) if writer == "indexed_gzip" else WRITERS[writer](path))
    assert len(index.points) > 10
    # Which places rapidgzip takes depends on its threads.
    assert len({point.bit % 8 for point in index.points}) > 4
    check_decodes(index, *train_images)


def test_an_index_of_nothing_is_refused(tmp_path: Path) -> None:
    indexed_gzip = pytest.importorskip("indexed_gzip")
    path, out = tmp_path / "x.gz", io.BytesIO()
    path.write_bytes(sample("members").content)
    with indexed_gzip.IndexedGzipFile(str(path)) as file:
        file.export_index(fileobj=out)
    with pytest.raises(ValueError, match="at least one point to start from, found none"):
        GzipIndex.load(out.getvalue())


def test_an_index_of_the_begin_only(tmp_path: Path) -> None:
    indexed_gzip = pytest.importorskip("indexed_gzip")
    path, out = tmp_path / "x.gz", io.BytesIO()
    content, data = sample("dynamic blocks")
    path.write_bytes(content)
    with indexed_gzip.IndexedGzipFile(str(path), spacing=33_000) as file:
        file.seek(100_000)
        file.export_index(fileobj=out)
    index = GzipIndex.load(out.getvalue())
    assert index.uncompressed_nbytes == 0 and 1 < len(index.points) < 8
    for point in index.points:
        assert decode_from(content, point, 50_000) == data[point.offset :][:50_000]


def test_an_index_by_gztool_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(sample("members").content)
    with pytest.raises(ValueError, match="found an index of gztool"):
        GzipIndex.load(by_rapidgzip_command(path, "--index-format", "gztool"))


# Ours, read by others


Places = list[tuple[int, int]]  # offsets and numbers of bytes


def reads_of_indexed_gzip(path: Path, index: Path, places: Places, **options: Any) -> list[bytes]:
    indexed_gzip = pytest.importorskip("indexed_gzip")
    with indexed_gzip.IndexedGzipFile(str(path), buffer_size=8192, **options) as file:
        file.import_index(str(index))
        return [file.pread(nbytes, offset) for offset, nbytes in places]


def reads_of_rapidgzip(path: Path, index: Path, places: Places) -> list[bytes]:
    rapidgzip = pytest.importorskip("rapidgzip")
    found = []
    with rapidgzip.open(str(path), parallelization=2) as file:
        file.import_index(str(index))
        for offset, nbytes in places:
            file.seek(offset)
            found.append(file.read(nbytes))
    return found


def reads_of_rapidgzip_command(path: Path, index: Path, places: Places) -> list[bytes]:
    ranges = ",".join(f"{nbytes}@{offset}" for offset, nbytes in places)
    options = "--import-index", str(index), "--ranges", ranges, "--decompress", "--stdout"
    out = io.BytesIO(rapidgzip_command(path, *options))
    return [out.read(nbytes) for _, nbytes in places]


READERS: dict[str, Callable[[Path, Path, Places], list[bytes]]] = {
    "indexed_gzip": functools.partial(reads_of_indexed_gzip, auto_build=False),
    "indexed_gzip, building": reads_of_indexed_gzip,
    "rapidgzip": reads_of_rapidgzip,
    "rapidgzip, small chunks": reads_of_rapidgzip_command,
}


def places_in(index: GzipIndex, rng: np.random.Generator) -> Places:
    """Return offsets and lengths: around each point, at both ends, and anywhere."""
    offsets = [point.offset + shift for point in index.points for shift in (-1, 0, 1)]
    offsets += rng.integers(0, index.uncompressed_nbytes, 50).tolist()
    offsets += [0, index.uncompressed_nbytes - 1, index.uncompressed_nbytes - 40_000]
    places = []
    for offset in rng.permutation([o for o in offsets if 0 <= o < index.uncompressed_nbytes])[:60]:
        nbytes = rng.choice([1, 28, 784, 40_000])
        places.append((int(offset), min(int(nbytes), index.uncompressed_nbytes - int(offset))))
    return places


def check_reads(
    reader: str, index: GzipIndex, data: bytes, folder: Path, rng: np.random.Generator
) -> None:
    """Let another package read ``x.gz`` in the folder with our index of it."""
    index.save(folder / "x.gzidx")
    assert GzipIndex.load(folder / "x.gzidx") == index
    places = places_in(index, rng)
    found = READERS[reader](folder / "x.gz", folder / "x.gzidx", places)
    assert found == [data[offset : offset + nbytes] for offset, nbytes in places]


@pytest.mark.parametrize(("name", "reader"), with_each(READERS))
def test_others_read_with_our_index(
    name: str, reader: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    content, data = sample(name)
    assert scanned(name).data == data
    (tmp_path / "x.gz").write_bytes(content)
    index = index_of(content, *scanned(name))
    check_decodes(index, content, data)
    check_reads(reader, index, data, tmp_path, rng)


def test_the_samples_reach_what_is_special() -> None:
    points = {name: index_of(sample(name).content, *scanned(name)).points for name in NAMES}
    assert {point.bit % 8 for point in points["dynamic blocks"]} == set(range(8))
    for name in ("flushed", "members", "padded members"):
        assert sum(point.bit % 8 > 0 for point in points[name]) > 5
    assert sum(not point.window for point in points["members"]) == 9
    assert any(0 < len(point.window) < 32768 for point in points["members"])


@pytest.mark.parametrize("reader", READERS)
def test_others_read_real_labels_with_our_index(
    reader: str, data_dir: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    data = gzip.decompress((data_dir / "train-labels-idx1-ubyte.gz").read_bytes())
    content = compressed(data, memlevel=2)
    (tmp_path / "x.gz").write_bytes(content)
    index = index_of(content, *scan(content))
    assert len(index.points) > 20
    check_reads(reader, index, data, tmp_path, rng)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("writer", ["indexed_gzip", "rapidgzip, small chunks"])
def test_others_read_real_images_with_a_converted_index(
    writer: str, reader: str, train_images: Sample, tmp_path: Path, rng: np.random.Generator
) -> None:
    content, data = train_images
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    make = functools.partial(by_indexed_gzip, spacing=1 << 20)
    index = GzipIndex.load(make(path) if writer == "indexed_gzip" else WRITERS[writer](path))
    index.crcs = [zlib.crc32(data[begin:end]) for begin, end in intervals(index)]
    index.fingerprint = fingerprint(len(content), lambda pos, n: content[pos : pos + n])
    index.spacing = 1 << 20
    check_reads(reader, index, data, tmp_path, rng)


@pytest.mark.parametrize("reader", [r for r in READERS if r != "rapidgzip"])
def test_others_do_use_our_windows(reader: str, tmp_path: Path) -> None:
    content, data = sample("flushed")
    index = index_of(content, *scanned("flushed"))
    index.points = [point._replace(window=bytes(len(point.window))) for point in index.points]
    index.save(tmp_path / "x.gzidx")
    (tmp_path / "x.gz").write_bytes(content)
    (found,) = READERS[reader](tmp_path / "x.gz", tmp_path / "x.gzidx", [(90_000, 100_000)])
    assert len(found) == 100_000 and found != data[90_000:190_000]


def as_version_0(index: bytes) -> bytes:
    """Return the same index as older versions of indexed_gzip wrote it."""
    (count,) = struct.unpack_from("<I", index, 31)
    rows = list(struct.iter_unpack("<QQBB", index[35 : 35 + 18 * count]))
    windows = io.BytesIO(index[35 + 18 * count :])
    kept = [windows.read(32768) if row[3] else bytes(32768) for row in rows]
    header = index[:5] + b"\0" + index[6:35]
    return b"".join([header, *(struct.pack("<QQB", *row[:3]) for row in rows), *kept[1:]])


@pytest.mark.parametrize("name", ["dynamic blocks", "flushed", "members"])
def test_decodes_with_an_index_of_version_0(name: str, tmp_path: Path) -> None:
    content, data = sample(name)
    path, index_path = tmp_path / "x.gz", tmp_path / "x.gzidx"
    path.write_bytes(content)
    old = as_version_0(by_indexed_gzip(path, spacing=33_000))
    index_path.write_bytes(old)
    check_decodes(GzipIndex.load(index_path), content, data)
    for reads in READERS.values():
        assert reads(path, index_path, [(150_000, 100_000)]) == [data[150_000:250_000]]
