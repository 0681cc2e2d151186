"""Whatever hypothesis thinks of: zlib's compressors, broken streams, whole IDX files, any pieces.

The oracle is zlib: what it makes of the same bytes, verdict and output.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from zlib_oracle import assert_same_verdict, verdict, zlib_inflate

from fastidx import IdxError, reference

Inflate = Callable[..., bytes]
MAX_NBYTES = 1 << 20
DAMAGES = ["flip", "cut", "insert", "delete", "set"]
TYPES = ["u1", "i1", "i2", "i4", "f4", "f8"]

chunk_sizes = st.none() | st.sampled_from([1, 2, 3, 7, 64]) | st.integers(1, 5000)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Bytes such as files have: noise, runs, periods of any length, few symbols, far copies."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = bytearray(draw(st.binary(max_size=40)))
    for kind in draw(
        st.lists(st.sampled_from(["noise", "run", "period", "text", "far"]), max_size=6)
    ):
        nbytes = draw(st.integers(0, 3000))
        if kind == "noise":
            out += rng.bytes(nbytes)
        elif kind == "run":
            out += rng.bytes(1) * nbytes
        elif kind == "period":
            out += (rng.bytes(draw(st.integers(1, 300))) * nbytes)[:nbytes]
        elif kind == "text":
            out += rng.geometric(0.3, nbytes).astype(np.uint8).tobytes()
        else:
            out += rng.bytes(32768 - nbytes) + bytes(out[-nbytes:] if nbytes else b"")
    return bytes(out)


@st.composite
def deflated(draw: st.DrawFn, data: bytes, wbits_sign: int = -1) -> bytes:
    """`data` as zlib compresses it: any level, strategy, window and memory, and flushes inside.

    A `wbits_sign` of -1 gives a bare stream, 16 a gzip member.
    """
    level, mem_level = draw(st.integers(0, 9)), draw(st.integers(1, 9))
    strategies = [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE]
    strategy = draw(st.sampled_from([*strategies, zlib.Z_FIXED]))
    window = draw(st.integers(9, 15))
    wbits = -window if wbits_sign < 0 else window + 16
    compressor = zlib.compressobj(level, zlib.DEFLATED, wbits, mem_level, strategy)
    flushes = [zlib.Z_NO_FLUSH, zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]
    flushes += [zlib.Z_BLOCK]
    out, at = b"", 0
    for cut in sorted(draw(st.lists(st.integers(0, len(data)), max_size=5))):
        out += compressor.compress(data[at:cut]) + compressor.flush(draw(st.sampled_from(flushes)))
        at = cut
    return out + compressor.compress(data[at:]) + compressor.flush()


@st.composite
def raw_streams(draw: st.DrawFn) -> tuple[bytes, bytes]:
    data = draw(payloads())
    return data, draw(deflated(data))


@st.composite
def gzip_files(draw: st.DrawFn, data: bytes | None = None) -> tuple[bytes, bytes]:
    """`data` cut into one to four members, some of them with zeros behind."""
    data = draw(payloads()) if data is None else data
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    file = b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        file += draw(deflated(data[start:end], wbits_sign=16))
        file += bytes(draw(st.sampled_from([0, 0, 0, 1, 2, 513])))
    return data, file


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with a few bits flipped, bytes cut off, put in or taken out."""
    out = bytearray(data)
    for kind in draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3)):
        at = draw(st.integers(0, max(len(out) - 1, 0)))
        if kind == "insert":
            out[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "cut":
            del out[at:]
        elif kind == "delete":
            del out[at : at + draw(st.integers(1, 8))]
        elif out and kind == "flip":
            out[at] ^= 1 << draw(st.integers(0, 7))
        elif out:
            out[at] = draw(st.sampled_from([0, 0xFF, 0x1F, 0x8B]))
    return bytes(out)


@given(raw_streams(), chunk_sizes, chunk_sizes)
def test_raw_stream_of_any_compressor_is_decoded(
    inflate: Inflate, stream: tuple[bytes, bytes], in_chunk: int | None, out_chunk: int | None
) -> None:
    data, compressed = stream
    options = {"max_nbytes": len(data), "in_chunk": in_chunk, "out_chunk": out_chunk}
    assert inflate(compressed, container="raw", **options) == data


@given(gzip_files(), chunk_sizes, chunk_sizes)
def test_gzip_file_of_any_members_is_decoded(
    inflate: Inflate, file: tuple[bytes, bytes], in_chunk: int | None, out_chunk: int | None
) -> None:
    data, compressed = file
    options = {"max_nbytes": len(data), "in_chunk": in_chunk, "out_chunk": out_chunk}
    assert inflate(compressed, container="gzip", **options) == data


def same_verdict(
    inflate: Inflate, data: bytes, container: str, in_chunk: int | None, out_chunk: int | None
) -> None:
    expected = verdict(zlib_inflate, data, container=container)
    options = {"container": container, "max_nbytes": MAX_NBYTES}
    whole = verdict(inflate, data, **options)
    event(expected.__name__ if isinstance(expected, type) else "ok")
    if container == "raw":
        assert_same_verdict(whole, expected)
    else:  # a member can be wrong in several ways, which need not be looked for in the same order
        assert whole == expected or (isinstance(whole, type) and isinstance(expected, type))
    pieces = verdict(inflate, data, **options, in_chunk=in_chunk, out_chunk=out_chunk)
    assert pieces == whole


@given(raw_streams().flatmap(lambda stream: damaged(stream[1])), chunk_sizes, chunk_sizes)
def test_damaged_raw_stream_gets_the_verdict_of_zlib(
    inflate: Inflate, data: bytes, in_chunk: int | None, out_chunk: int | None
) -> None:
    same_verdict(inflate, data, "raw", in_chunk, out_chunk)


@given(st.binary(max_size=60), chunk_sizes, chunk_sizes)
def test_any_bytes_get_the_verdict_of_zlib(
    inflate: Inflate, data: bytes, in_chunk: int | None, out_chunk: int | None
) -> None:
    same_verdict(inflate, data, "raw", in_chunk, out_chunk)
    same_verdict(inflate, b"\x1f\x8b\x08" + data, "gzip", in_chunk, out_chunk)


@given(gzip_files().flatmap(lambda file: damaged(file[1])), chunk_sizes, chunk_sizes)
def test_damaged_gzip_file_gets_the_verdict_of_zlib(
    inflate: Inflate, data: bytes, in_chunk: int | None, out_chunk: int | None
) -> None:
    same_verdict(inflate, data, "gzip", in_chunk, out_chunk)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray[Any, Any]:
    """All six types, no to five dimensions, zero lengths among them, any bits as elements."""
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = rng.bytes(math.prod(shape) * dtype.itemsize)  # floats: every NaN there is
    return np.frombuffer(raw, dtype).reshape(shape)


@given(arrays(), st.data())
def test_idx_file_of_any_array_is_loaded(
    load: Callable[..., Any], array: np.ndarray[Any, Any], data: st.DataObject
) -> None:
    plain = reference.dumps(array)
    _, compressed = data.draw(gzip_files(plain))
    for source in (plain, compressed):
        loaded = load(source)
        assert (loaded.shape, loaded.dtype.str) == (array.shape, array.dtype.newbyteorder("=").str)
        assert loaded.tobytes() == array.tobytes()


@given(
    arrays()
    .flatmap(lambda a: gzip_files(reference.dumps(a)))
    .flatmap(lambda file: damaged(file[1]))
)
def test_damaged_idx_file_is_refused_or_holds_what_zlib_says(
    load: Callable[..., Any], data: bytes
) -> None:
    loaded = verdict(load, data)
    decoded = verdict(zlib_inflate, data, container="gzip")
    if isinstance(loaded, np.ndarray) and data.startswith(b"\x1f\x8b"):
        assert isinstance(decoded, bytes) and reference.dumps(loaded) == decoded
    else:
        assert isinstance(loaded, type) and issubclass(loaded, IdxError)
