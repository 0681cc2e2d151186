"""Errors of two families, and what else the drop-in modules share."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from compat_peers import idx_bytes

import fastidx
from fastidx import ChecksumError, CorruptError, HeaderError, IdxError, TruncatedError
from fastidx.compat.arrays import load_images, load_labels, unwrapped
from fastidx.compat.errors import GZIP_ERRORS, errors_also

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def caught(error: IdxError, types: dict[type[IdxError], tuple[type[Exception], ...]]) -> IdxError:
    with pytest.raises(IdxError) as info, errors_also(types):
        raise error
    return info.value


def test_error_is_of_both_families() -> None:
    error = caught(ChecksumError("f: bad"), {**GZIP_ERRORS, IdxError: (RuntimeError,)})
    for kind in (ChecksumError, CorruptError, RuntimeError, gzip.BadGzipFile, zlib.error):
        assert isinstance(error, kind)
    assert str(error) == "f: bad"
    assert type(error).__name__ == "ChecksumError"
    assert error.__suppress_context__


def test_only_the_types_that_apply() -> None:
    types: dict[type[IdxError], tuple[type[Exception], ...]] = {
        TruncatedError: (struct.error,),
        HeaderError: (RuntimeError,),
    }
    error = caught(TruncatedError("f: cut"), types)
    assert isinstance(error, struct.error) and not isinstance(error, RuntimeError)


def test_error_stays_as_it_is_where_that_is_enough() -> None:
    original = TruncatedError("f: cut")
    assert caught(original, {TruncatedError: (EOFError, ValueError)}) is original
    assert caught(original, {}) is original


def test_equal_errors_have_equal_types() -> None:
    types: dict[type[IdxError], tuple[type[Exception], ...]] = {IdxError: (RuntimeError,)}
    one, other = caught(HeaderError("1"), types), caught(HeaderError("2"), types)
    assert type(one) is type(other)


def test_error_is_picklable() -> None:
    error = caught(ChecksumError("f: bad"), {**GZIP_ERRORS})
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)


def test_unread_gzip_file_is_unwrapped(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    with gzip.open(path) as file:
        inner = unwrapped(file)
        assert inner is not file
        np.testing.assert_array_equal(fastidx.load(inner), IMAGES)
        assert file.read() == b""


def test_other_files_are_not_unwrapped(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(idx_bytes(IMAGES)))
    with gzip.open(path) as file:
        file.read(1)
        assert unwrapped(file) is file
    with path.open("rb") as raw:
        raw.read(5)
        with gzip.GzipFile(fileobj=raw) as file:
            assert unwrapped(file) is file
    with gzip.GzipFile(fileobj=io.BytesIO(), mode="w") as writer:
        assert unwrapped(writer) is writer
    assert unwrapped(path) is path


def test_images_and_labels_are_told_apart() -> None:
    labels = idx_bytes(np.array([1, 2], np.uint8))
    with pytest.raises(HeaderError, match=r"expected images .*found uint8 of shape \(2,\)"):
        load_images(labels)
    with pytest.raises(HeaderError, match=r"expected labels .*found uint8 of shape \(2, 3, 4\)"):
        load_labels(idx_bytes(IMAGES))
    with pytest.raises(HeaderError, match=r"expected labels .*found int16"):
        load_labels(idx_bytes(np.array([1, 2], np.int16)))


def test_sources_are_named(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(idx_bytes(IMAGES))
    with path.open("rb") as file:
        for source in (path, str(path), file):
            with pytest.raises(HeaderError) as info:
                load_labels(source)
            assert str(info.value).startswith(f"{path}: expected labels")
    with pytest.raises(HeaderError, match="<bytes>: expected labels"):
        load_labels(path.read_bytes())


@pytest.mark.parametrize(
    "module", ["idx2numpy", "keras", "mlxtend", "mnist", "opendatasets", "python_mnist"]
)
def test_nothing_heavy_is_imported(module: str) -> None:
    program = (
        f"import sys, fastidx.compat.{module}; "
        "print({'torch', 'PIL', 'pandas', 'pyspark', 'pyarrow', 'mfusepy', 'adlfs', 'pooch'}"
        " & sys.modules.keys())"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
