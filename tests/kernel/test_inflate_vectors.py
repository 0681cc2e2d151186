"""Every vector of the public suites: its verdict and output, whole and in pieces, on both paths."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zlib_oracle import verdict, zlib_inflate

from fastidx import CorruptError, IdxError, TrailingDataError, TruncatedError

SIZES = (None, 1, 2, 3, 7, 64)
ALL_CHUNKS = list(itertools.product(SIZES, SIZES))
# For streams of more than 20,000 bytes in or out: no mixed sizes, they would take most of the time.
FEW_CHUNKS = [(a, b) for a, b in ALL_CHUNKS if a == b or a is None or b is None]
MAX_NBYTES = 2_000_000


def vectors(expect: str) -> list[Any]:
    """The vectors of one verdict, as parameters of a test."""
    path = Path(os.environ.get("FASTIDX_TEST_DATA", "nowhere"), "deflate-vectors.json")
    if not path.is_file():
        reason = "FASTIDX_TEST_DATA holds no deflate-vectors.json"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason))]
    found = json.loads(path.read_text())
    return [
        pytest.param(vector, id=f"{i}-{vector['name']}")
        for i, vector in enumerate(found)
        if vector["expect"] == expect
    ]


def stream(vector: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes and the container; a raw vector's verdict is for the stream, so it ends there."""
    data = bytes.fromhex(vector["hex"])
    if vector["kind"] == "gzip":
        return data, "gzip"
    if vector["expect"] == "ok":
        decompressor = zlib.decompressobj(-15)
        decompressor.decompress(data)
        data = data[: len(data) - len(decompressor.unused_data)]
    return data, "raw"


def sha256_of_output(vector: dict[str, Any]) -> str:
    if isinstance(vector["out"], str):
        return hashlib.sha256(bytes.fromhex(vector["out"])).hexdigest()
    return str(vector["out_sha256"])


def assert_same_in_pieces(
    inflate: Callable[..., bytes], data: bytes, container: str, whole: bytes | type[IdxError]
) -> None:
    nbytes = max(len(data), len(whole) if isinstance(whole, bytes) else 0)
    for in_chunk, out_chunk in ALL_CHUNKS if nbytes < 20_000 else FEW_CHUNKS:
        options = {"max_nbytes": MAX_NBYTES, "in_chunk": in_chunk, "out_chunk": out_chunk}
        in_pieces = verdict(inflate, data, container=container, **options)
        assert in_pieces == whole, (in_chunk, out_chunk)


@pytest.mark.parametrize("vector", vectors("ok"))
def test_good_vector_gives_its_output_in_pieces_of_any_size(
    inflate: Callable[..., bytes], vector: dict[str, Any]
) -> None:
    data, container = stream(vector)
    whole = inflate(data, container=container, max_nbytes=MAX_NBYTES)
    assert hashlib.sha256(whole).hexdigest() == sha256_of_output(vector)
    assert_same_in_pieces(inflate, data, container, whole)


@pytest.mark.parametrize("vector", vectors("error"))
def test_bad_vector_is_refused_for_zlibs_reason_in_pieces_of_any_size(
    inflate: Callable[..., bytes], vector: dict[str, Any]
) -> None:
    data, container = stream(vector)
    kind = verdict(zlib_inflate, data, container=container)
    whole = verdict(inflate, data, container=container, max_nbytes=MAX_NBYTES)
    assert isinstance(whole, type)
    if container == "raw":  # a footer that is both false and cut can be called either
        assert whole == kind
    assert_same_in_pieces(inflate, data, container, whole)


@pytest.mark.parametrize("vector", vectors("ok"))
def test_good_vector_needs_every_byte_and_no_more(
    inflate: Callable[..., bytes], vector: dict[str, Any]
) -> None:
    data, container = stream(vector)
    with pytest.raises(TruncatedError):
        inflate(data[:-1], container=container, max_nbytes=MAX_NBYTES)
    with pytest.raises(TrailingDataError):
        inflate(data + b"x", container=container, max_nbytes=MAX_NBYTES)


@pytest.mark.parametrize("vector", vectors("ok"))
def test_good_vector_is_refused_without_room_for_its_last_byte(
    inflate: Callable[..., bytes], vector: dict[str, Any]
) -> None:
    data, container = stream(vector)
    nbytes = len(zlib_inflate(data, container))
    if nbytes:
        with pytest.raises(IdxError) as raised:
            inflate(data, container=container, max_nbytes=nbytes - 1)
        assert not isinstance(raised.value, CorruptError | TruncatedError)
    assert len(inflate(data, container=container, max_nbytes=nbytes)) == nbytes
