"""load(index=...): as without, but no thread has to guess where to start."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deflate_writer import gzip_member
from reader_cases import FORMS, TYPES, Array, assert_same, compressible, form

import fastidx
from fastidx import ChecksumError, GzipIndex, GzipIndexError, IdxError, reference
from fastidx.gzipped.stretches import Stretches

GZIP_FORMS = [name for name in FORMS if name not in ("plain", "xz")]
ITEMS = compressible((3000, 41), "i2")
FILE = form(ITEMS, "small blocks")


def index_of(content: bytes | bytearray, spacing: int = 5000) -> GzipIndex:
    with fastidx.open(content) as reader:
        return reader.build_index(spacing=spacing)


def by_another(index: GzipIndex) -> GzipIndex:
    """The same without what only fastidx adds."""
    return replace(index, crcs=None, fingerprint=None)


@pytest.fixture
def no_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither speculation nor the search for members is to be needed."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the index should do")

    monkeypatch.setattr("fastidx.reading.strategies.ParallelLoad", refuse)
    monkeypatch.setattr("fastidx.reading.strategies.load_tasks", refuse)
    monkeypatch.setattr("fastidx.reading.load._read_items", refuse)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the stretches that are decoded."""
    numbers: list[int] = []
    decode = Stretches.decode

    def noted(self: Stretches, number: int, *args: Any) -> Any:
        numbers.append(number)
        return decode(self, number, *args)

    monkeypatch.setattr(Stretches, "decode", noted)
    return numbers


@pytest.mark.usefixtures("no_guessing")
@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_each_stretch_is_decoded_by_one_thread(
    dtype: str, threads: int, decoded: list[int]
) -> None:
    array = compressible((3000, 40), dtype)
    content = form(array, "small blocks")
    index = index_of(content)
    assert_same(fastidx.load(content, threads=threads, index=index), array)
    assert set(decoded) == set(range(len(index.points)))
    # An item that lies across a cut takes the stretch before once more.
    assert len(decoded) <= len(index.points) + 4 * threads * (array.itemsize > 1)


@pytest.mark.parametrize("name", GZIP_FORMS)
@pytest.mark.parametrize("spacing", [300, 10**9])
@pytest.mark.parametrize("foreign", [False, True])
def test_any_form_and_spacing(name: str, spacing: int, foreign: bool) -> None:
    content = form(ITEMS, name)
    index = index_of(content, spacing)
    index = by_another(index) if foreign else index
    for threads in (None, 1, 2):
        assert_same(fastidx.load(content, threads=threads, index=index), ITEMS)


@pytest.mark.usefixtures("no_guessing")
@pytest.mark.parametrize("foreign", [False, True])
def test_index_in_a_file(foreign: bool, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(FILE)
    index = index_of(FILE)
    beside, elsewhere = tmp_path / "file.gz.gzidx", tmp_path / "elsewhere"
    (by_another(index) if foreign else index).save(beside)
    index.save(elsewhere)
    for where in ("auto", beside, str(elsewhere), index):
        assert_same(fastidx.load(path, threads=2, index=where), ITEMS)
    with path.open("rb") as file:
        assert_same(fastidx.load(file, threads=2, index=index), ITEMS)
    assert_same(fastidx.load(io.BytesIO(FILE), threads=2, index=index), ITEMS)


@pytest.mark.usefixtures("no_guessing")
@pytest.mark.parametrize("options", [{"dtype": "f4", "scale": 0.5}, {"dtype": "i8", "offset": 3}])
def test_casts_and_out(options: dict[str, Any]) -> None:
    with_index = {"threads": 2, "index": index_of(FILE), **options}
    expected = reference.load(FILE) * options.get("scale", 1) + options.get("offset", 0)
    out = np.empty(ITEMS.shape, options["dtype"])
    assert fastidx.load(FILE, out=out, **with_index) is out
    assert_same(out, expected.astype(options["dtype"]))


@pytest.mark.usefixtures("no_guessing")
def test_lut() -> None:
    array = compressible((3000, 41))
    content = form(array, "small blocks")
    table = np.arange(256.0) ** 0.5
    loaded = fastidx.load(content, threads=2, index=index_of(content), lut=table)
    assert_same(loaded, table[array])


def test_auto_is_nothing_where_there_is_none(tmp_path: Path) -> None:
    for name in FORMS:
        (tmp_path / name).write_bytes(form(ITEMS, name))
        assert_same(fastidx.load(tmp_path / name, index="auto"), ITEMS)
        assert_same(fastidx.load(form(ITEMS, name), index="auto"), ITEMS)


def test_index_for_what_can_have_none_is_refused() -> None:
    index = index_of(FILE)
    for source in (form(ITEMS, "plain"), io.BufferedReader(Unseekable(FILE))):
        with pytest.raises(ValueError, match="expected a gzip file that can seek"):
            fastidx.load(source, index=index)


class Unseekable(io.BytesIO):
    """A file that cannot seek."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize("threads", [1, 2])
def test_stale_index_is_refused(threads: int, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    index_of(FILE).save(tmp_path / "file.gz.gzidx")
    longer, other = form(ITEMS[::-1], "gzip"), bytearray(FILE)
    other[-6] ^= 1
    for content, found in ((longer, "found one of"), (other, "another of the same size")):
        path.write_bytes(content)
        with pytest.raises(GzipIndexError, match=f"{path}: .*{found}.*build the index again"):
            fastidx.load(path, threads=threads, index="auto")


def test_missing_index_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fastidx.load(FILE, index=tmp_path / "nowhere")


# --- Damage --------------------------------------------------------------------------------------


def outcome(function: Callable[[], Array]) -> Array | str:
    try:
        return function()
    except IdxError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("name", GZIP_FORMS)
def test_damage_is_met_as_without(name: str, foreign: bool) -> None:
    content = bytearray(form(ITEMS, name))
    index = replace(index_of(content), fingerprint=None)
    index = by_another(index) if foreign else index
    for place in range(20, len(content), len(content) // 25):
        content[place] ^= 1 << place % 8
        with_index = outcome(lambda: fastidx.load(content, threads=2, index=index))
        without = outcome(lambda: fastidx.load(content, threads=1))
        content[place] ^= 1 << place % 8
        assert isinstance(with_index, str) == isinstance(without, str), place
        assert not isinstance(without, str) or with_index == without


@pytest.mark.parametrize("foreign", [False, True])
def test_index_that_lies_costs_time_only(foreign: bool) -> None:
    """Of another file of the same size, and without a fingerprint, an index is no use."""
    content = form(ITEMS, "stored")
    other = replace(index_of(form(ITEMS[::-1], "stored")), fingerprint=None)
    other = by_another(other) if foreign else other
    shifted = [point._replace(bit=point.bit - 8 * (point.bit > 9000)) for point in other.points]
    for index in (other, replace(other, points=shifted)):
        assert_same(fastidx.load(content, threads=2, index=index), ITEMS)


def test_no_checksum_is_compared_if_not_asked_for() -> None:
    content = gzip_member(reference.dumps(ITEMS), crc=1)
    with fastidx.open(content, verify=False) as reader:
        index = reader.build_index(spacing=5000)
    assert_same(fastidx.load(content, threads=2, index=index, verify=False), ITEMS)
    with pytest.raises(ChecksumError):
        fastidx.load(content, threads=2, index=index)


@pytest.mark.parametrize("nbytes", [-500, 500])
def test_data_that_are_not_as_many_as_the_header_says(nbytes: int) -> None:
    data = (reference.dumps(ITEMS) + bytes(500))[: 12 + ITEMS.nbytes + nbytes]
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 1)
    content = compressor.compress(data) + compressor.flush()
    index = index_of(content)
    with_index = outcome(lambda: fastidx.load(content, threads=2, index=index))
    assert with_index == outcome(lambda: fastidx.load(content, threads=1))
    assert isinstance(with_index, str)
    with fastidx.open(content, index=index) as reader:
        assert_same(reader[7], ITEMS[7])
        with pytest.raises(
            IdxError, match="claims more" if nbytes < 0 else "found (over )?[0-9,]* ?more"
        ):
            reader[2999]
    if nbytes > 0:
        loaded = fastidx.load(content, threads=2, index=index, strict=False)
        assert_same(loaded, ITEMS)


@pytest.mark.usefixtures("no_guessing")
def test_real_images(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "train-images-idx3-ubyte.gz"
    with fastidx.open(path) as reader:
        reader.build_index().save(tmp_path / "index")
    expected = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
    loaded = fastidx.load(path, threads=2, index=tmp_path / "index")
    assert_same(loaded.reshape(-1), expected)
