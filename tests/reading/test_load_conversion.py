"""dtype, scale, offset and lut of load(): numpy's results, from every kind of source and thread."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from gzip_streams import digits, stream
from test_load import Unseekable

import fastidx
from fastidx import ConversionError, reference
from fastidx.gzipped import parallel

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "u1": np.frombuffer(digits(300_000), np.uint8),
    "i1": np.frombuffer(digits(300_000), np.int8),
    "i2": np.frombuffer(digits(300_000), np.int16),
    "i4": np.frombuffer(digits(300_000), np.int32),
    "f4": np.random.default_rng(1).normal(size=70_000).astype(np.float32),
    "f8": np.random.default_rng(2).normal(size=70_000),
}
RESULTS = ["float16", "float32", "float64", "bool", "int64"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_CHUNK_NBYTES", 16 * 1024)
    monkeypatch.setattr(parallel, "_MIN_CHUNK_NBYTES", 2 * 1024)


def expected(values: np.ndarray[Any, Any], dtype: str) -> np.ndarray[Any, Any]:
    exact = values.astype(np.float64) * 0.125 + 3
    return (np.rint(exact) if dtype == "int64" else exact).astype(dtype)


@pytest.mark.parametrize("source", ["gzip", "plain", "file", "pipe"])
@pytest.mark.parametrize("dtype", RESULTS)
@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_scaled(kind: str, dtype: str, source: str) -> None:
    values = ARRAYS[kind]
    if dtype == "float16":
        values = np.clip(values, -1000, 1000) if kind != "i1" else values
    plain = reference.dumps(values)
    content = plain if source == "plain" else stream(plain)
    for threads in (1, 3):
        opened: Any = {"file": io.BytesIO, "pipe": Unseekable}.get(source, bytes)(content)
        loaded = fastidx.load(opened, dtype=dtype, scale=0.125, offset=3, threads=threads)
        assert loaded.dtype == dtype
        assert loaded.flags.writeable
        assert np.array_equal(loaded, expected(values, dtype))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_tutorials_division_is_one_call(threads: int) -> None:
    content = stream(reference.dumps(ARRAYS["u1"]))
    loaded = fastidx.load(content, scale=Fraction(1, 255), threads=threads)
    assert loaded.dtype == np.float64
    assert np.array_equal(loaded, ARRAYS["u1"] / 255.0)
    single = fastidx.load(content, dtype="f4", scale=Fraction(1, 255), threads=threads)
    assert np.array_equal(single, (ARRAYS["u1"] / 255.0).astype(np.float32))


def test_real_images(data_dir: Any) -> None:
    path = data_dir / "t10k-images-idx3-ubyte.gz"
    loaded = fastidx.load(path, dtype="float32", scale=Fraction(1, 255), threads=2)
    assert np.array_equal(loaded, (fastidx.load(path) / 255.0).astype(np.float32))


@pytest.mark.parametrize("threads", [1, 3])
def test_lut(threads: int) -> None:
    lut = np.random.default_rng(5).integers(-(2**40), 2**40, 256)
    content = stream(reference.dumps(ARRAYS["u1"]))
    assert np.array_equal(fastidx.load(content, lut=lut, threads=threads), lut[ARRAYS["u1"]])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
def test_out_has_the_type_of_the_result(dtype: str, threads: int) -> None:
    content = stream(reference.dumps(ARRAYS["u1"]))
    out = np.empty(300_000, dtype)
    assert fastidx.load(content, dtype=dtype, out=out, threads=threads) is out
    assert np.array_equal(out, ARRAYS["u1"])
    with pytest.raises(ValueError, match="int64"):
        fastidx.load(content, dtype="int64", out=out)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["u1", "i4", "f4"])
def test_what_does_not_fit_is_refused_by_name(kind: str, threads: int) -> None:
    values = ARRAYS[kind].copy()
    values[:] = 1
    values[40_000] = 200
    content = stream(reference.dumps(values))
    with pytest.raises(ConversionError, match=r"int8.*200") as raised:
        fastidx.load(content, dtype="int8", threads=threads)
    assert isinstance(raised.value, fastidx.IdxError)


def test_the_first_value_that_does_not_fit_is_named_whatever_the_threads() -> None:
    values = ARRAYS["u1"].copy()
    values[values > 127] = 0
    values[[70_000, 250_000]] = [201, 202]
    content = stream(reference.dumps(values))
    for threads in (1, 2, 5):
        with pytest.raises(ConversionError, match="201"):
            fastidx.load(content, dtype="int8", threads=threads)


def test_values_that_do_not_occur_are_not_refused() -> None:
    values = np.minimum(ARRAYS["u1"], 127)
    loaded = fastidx.load(stream(reference.dumps(values)), dtype="int8")
    assert np.array_equal(loaded, values)


def test_meaningless_conversions_are_refused() -> None:
    with pytest.raises(TypeError, match="dtype"):
        fastidx.load(reference.dumps(ARRAYS["u1"]), dtype="complex64")
    with pytest.raises(ValueError, match="lut"):
        fastidx.load(reference.dumps(ARRAYS["i4"]), lut=np.zeros(256))
