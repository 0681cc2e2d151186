"""The header module, and that each of its messages says file, expected, found, what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastidx import errors
from fastidx.errors import HeaderError, IdxError, TruncatedError, UnsupportedDTypeError
from fastidx.format.header import (
    IdxHeader,
    header_for,
    header_length,
    parse_header,
)
from fastidx.format.recognise import describe_content

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
# Products with float64 stay within what an array can hold.
SHAPES = st.lists(st.integers(0, 2**19), max_size=3).map(tuple) | st.just((2**32 - 1, 2**28 - 1))
FILE = "folder/train-images-idx3-ubyte.gz"


def message_of(function: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(IdxError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


# Errors


@pytest.mark.parametrize("name", errors.__all__)
def test_error_is_a_valueerror_under_one_root_and_survives_pickling(name: str) -> None:
    cls = getattr(errors, name)
    error = pickle.loads(pickle.dumps(cls("f.gz: the whole message")))
    assert type(error) is cls
    assert str(error) == "f.gz: the whole message"
    assert isinstance(error, errors.IdxError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.ChecksumError, errors.CorruptError),
        (errors.TruncatedError, EOFError),
        (errors.UnsupportedDTypeError, TypeError),
    ],
)
def test_errors_are_also_what_python_would_raise(child: type, parent: type) -> None:
    assert issubclass(child, parent)
    assert not issubclass(errors.HeaderError, (EOFError, TypeError, errors.CorruptError))


# IdxHeader


@given(st.sampled_from(sorted(TYPES)), SHAPES)
def test_header_survives_the_round_trip(code: int, shape: tuple[int, ...]) -> None:
    header = IdxHeader(code, shape)
    data = header.to_bytes()
    assert data[:4] == bytes([0, 0, code, len(shape)])
    assert data[4:] == b"".join(dim.to_bytes(4, "big") for dim in shape)
    assert parse_header(data + b"data", name=FILE) == header
    assert header_length(data, name=FILE) == len(data) == header.header_nbytes


@pytest.mark.parametrize(("code", "name"), TYPES.items())
def test_dtype_is_native_and_file_dtype_big_endian(code: int, name: str) -> None:
    header = IdxHeader(code, (2,))
    assert header.dtype == np.dtype(name)
    assert header.dtype.isnative
    assert header.file_dtype == np.dtype(">" + name)
    assert header.file_dtype.newbyteorder(">") == header.file_dtype


@pytest.mark.parametrize(
    ("shape", "size", "nbytes", "item_nbytes"),
    [
        ((), 1, 4, 4),
        ((7,), 7, 28, 4),
        ((60000, 28, 28), 47040000, 188160000, 3136),
        ((0, 28, 28), 0, 0, 3136),
        ((5, 0), 0, 0, 0),
        ((2**32 - 1, 2**29), (2**32 - 1) << 29, (2**32 - 1) << 31, 2**31),
    ],
)
def test_header_counts(shape: tuple[int, ...], size: int, nbytes: int, item_nbytes: int) -> None:
    header = IdxHeader(0x0C, shape)
    assert header.ndim == len(shape)
    assert (header.size, header.nbytes, header.item_nbytes) == (size, nbytes, item_nbytes)


def test_header_is_immutable_and_hashable() -> None:
    header = IdxHeader(0x08, (3,), "gzip", 23)
    with pytest.raises(AttributeError):
        header.shape = (4,)  # type: ignore[misc]
    assert hash(header) == hash(IdxHeader(0x08, (3,), "gzip", 23))
    assert header != IdxHeader(0x08, (3,))


# header_length and parse_header


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_header_is_parsed(kind: Callable[[bytes], Any]) -> None:
    data = kind(bytes.fromhex("00000d02 00000002 00000003 ffff"))
    assert header_length(data, name=FILE) == 12
    assert parse_header(data, name=FILE) == IdxHeader(0x0D, (2, 3))


def test_empty_file_is_named_as_such() -> None:
    with pytest.raises(TruncatedError) as caught:
        header_length(b"", name=FILE)
    for part in (FILE, "at least 4 bytes", "empty file (0 bytes)", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_beginning_of_a_magic_number_is_truncated(length: int) -> None:
    start = bytes.fromhex("00000803")[:length]
    with pytest.raises(TruncatedError) as caught:
        header_length(start, name=FILE)
    for part in (FILE, "at least 4 bytes", f"only {start.hex(' ')};", "cut", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("length", [4, 7, 8, 15])
def test_cut_header_is_truncated(length: int) -> None:
    data = IdxHeader(0x08, (60000, 28, 28)).to_bytes()[:length]
    with pytest.raises(TruncatedError) as caught:
        parse_header(data, name=FILE)
    for part in (FILE, "16 bytes (3 dimensions)", f"only {length};", "cut", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize("code", [0x00, 0x07, 0x0A, 0x0F, 0xFF])
def test_unknown_type_code_names_the_known_ones(code: int) -> None:
    message = message_of(header_length, bytes([0, 0, code, 1]), name=FILE)
    for part in (FILE, f"found 0x{code:02X};", "0x08 (uint8)", "0x0E (float64)", "damaged"):
        assert part in message
    with pytest.raises(HeaderError):
        header_length(bytes([0, 0, code]), name=FILE)


def test_more_dimensions_than_numpy_holds_are_refused() -> None:
    shape = (1,) * 64
    assert parse_header(IdxHeader(8, shape).to_bytes(), name=FILE).shape == shape
    message = message_of(parse_header, IdxHeader(8, (1,) * 65).to_bytes(), name=FILE)
    for part in (FILE, "at most 64 dimensions", "found 65", "damaged", "fetch it again"):
        assert part in message


@pytest.mark.parametrize("prefix", [b"\x12\x34\x56\x78", b"\x00\x01\x08\x03", b"\xfe", b"\x00\x10"])
def test_unrecognised_bytes_are_shown(prefix: bytes) -> None:
    with pytest.raises(HeaderError) as caught:
        header_length(prefix, name=FILE)
    for part in (FILE, "starts with 00 00", f"found {prefix.hex(' ')};", "fetch it again"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        (0x08, (2**32 - 1, 2**32 - 1)),
        (0x0E, (2**30, 2**30)),
        (0x08, (0, 2**32 - 1, 2**32 - 1)),
        (0x08, (2**32 - 1,) * 64),
    ],
)
def test_sizes_that_no_array_can_have_are_refused(code: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(HeaderError) as caught:
        parse_header(IdxHeader(code, shape).to_bytes(), name=FILE)
    for part in (FILE, "at most 9,223,372,036,854,775,807", f"{shape[-1]:,} elements", "damaged"):
        assert part in str(caught.value)


@given(st.sampled_from(sorted(TYPES)), st.lists(st.sampled_from([0, 1, 2**31, 2**32 - 1])))
def test_sizes_with_empty_dimensions_pass_exactly_where_numpy_makes_them(
    code: int, dims: list[int]
) -> None:
    shape = (0, *dims[:5])
    data = IdxHeader(code, shape).to_bytes()
    try:
        np.empty(shape, TYPES[code])
    except ValueError:
        message_of(parse_header, data, name=FILE)
    else:
        assert parse_header(data, name=FILE).shape == shape


@given(st.sampled_from([b"", b"\0", b"\0\0\x08", b"\0\0\x0d\2"]), st.binary(max_size=24))
def test_any_bytes_give_a_header_or_one_of_two_errors(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = parse_header(data, name=FILE)
    except (HeaderError, TruncatedError):
        assert message_of(parse_header, data, name=FILE).startswith(f"{FILE}: expected ")
    else:
        assert data.startswith(header.to_bytes())


# Recognition


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def zip_of(name: str | None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if name:
            archive.writestr(name, "x")
    return file.getvalue()


def tar_of(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return file.getvalue()


S3_ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'
XHTML = b'<?xml version="1.0"?><!DOCTYPE x><html xmlns="http://www.w3.org/1999/xhtml">'
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(8)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)

# Content, its name, what the message tells to do.
CLASSICS = [
    (b"<!DOCTYPE html>\n<title>404</title>", "an HTML page", "open it in a text editor"),
    (b"\xef\xbb\xbf \n<HTML lang='en'><body>", "an HTML page", "check the address"),
    (b"<!-- cached --><html>", "an HTML page", "fetch the file again"),
    (XHTML, "an HTML page", "fetch the file again"),
    (S3_ERROR, "XML text", "an error message in place of the file"),
    (b"<Error>no such key</Error>", "XML text", "an error message in place of the file"),
    (json.dumps({"message": "rate limit"}).encode(), "JSON text", "check the address"),
    (b"[\n  1, 2]", "JSON text", "check the address"),
    (b"{}", "JSON text", "check the address"),
    (b"7,0,0,255,0\n2,0,0", "comma-separated numbers", "numpy.loadtxt"),
    (b"Not Found\r\n", "plain text", "check the address"),
    ("nicht gefunden: übel".encode()[:-3], "plain text", "check the address"),
    ("Zugriff verweigert".encode("utf-16"), "UTF-16 text", "check the address"),
    (gzip.compress(b"\0\0\x08\1"), "a gzip file", "gzipped once more than needed"),
    (gzip.compress(b"").decode("utf-8", "replace").encode(), "decoded as text", "binary mode"),
    (bz2.compress(b"x"), "a bzip2 file", "bunzip2"),
    (lzma.compress(b"x"), "an xz file", "unxz"),
    (b"\x28\xb5\x2f\xfd\x04\x00", "a zstd file", "unzstd"),
    (b"\x04\x22\x4d\x18\x64\x40", "an lz4 file", "unlz4"),
    (zip_of("train-images"), "a zip archive", "unzip"),
    (zip_of(None), "an empty zip archive", "fetch it again"),
    (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive", "7z x"),
    (tar_of("train-images"), "a tar archive", "tar -xf"),
    (saved(lambda f: np.save(f, np.zeros(3))), "a .npy file", "numpy.load"),
    (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128), "a MATLAB .mat file", "loadmat"),
    (b"MATLAB 7.3 MAT-file".ljust(512) + HDF5, "a MATLAB .mat file of version 7.3", "h5py"),
    (HDF5, "an HDF5 file", "h5py"),
    (PNG, "a PNG image", "Pillow"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image", "Pillow"),
    (b"PAR1\x15\x00", "a Parquet file", "pyarrow"),
    (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "macOS metadata", "without the leading '._'"),
    (LFS, "a Git LFS pointer", "git lfs pull"),
    (pickle.dumps({"data": 1}, 4), "a Python pickle", "only if you trust"),
    (bytes(600), "only zero bytes", "never filled"),
    (struct.pack("<I", 0x0803), "written in little-endian byte order", "'>I'"),
]


@pytest.mark.parametrize(("content", "name", "remedy"), CLASSICS, ids=[c[1] for c in CLASSICS])
def test_classic_is_recognised_and_told_what_to_do(content: bytes, name: str, remedy: str) -> None:
    assert name in (describe_content(content) or "")
    with pytest.raises(HeaderError) as caught:
        header_length(content, name=FILE)
    for part in (FILE, "expected an IDX file", f"found {describe_content(content)} (", remedy):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"<!DO", "an HTML page"),
        (b"<htm", "an HTML page"),
        (b'{"er', "JSON text"),
        (b"\x93NUM", "a .npy file"),
        (b"\xfd7zX", "an xz file"),
        (b"\x89HDF", "an HDF5 file"),
        (bytes(4), "only zero bytes as far as was read"),
        (b"", "an empty file"),
    ],
)
def test_four_bytes_are_enough_for_most(start: bytes, name: str) -> None:
    assert describe_content(start) == name


@pytest.mark.parametrize("content", [b"\0\0\x08\3", b"\0\0\x0e\0", b"\0", b"\x12\x34\xfe", b"a\0b"])
def test_idx_and_unknown_content_get_no_name(content: bytes) -> None:
    assert describe_content(content) is None


def test_message_shows_text_as_text_and_binary_as_hex() -> None:
    message = message_of(header_length, b'{"error": "' + b"x" * 5000, name=FILE)
    assert """it starts with '{"error": "xxxx""" in message
    assert len(message) < 400
    message = message_of(header_length, b"\x89PNG\r\n\x1a\n\0\0\0", name=FILE)
    assert "it starts with 89 50 4e 47 0d 0a 1a 0a)" in message


@given(st.binary(max_size=600))
def test_recognition_never_fails_and_never_claims_an_idx_file(data: bytes) -> None:
    assert describe_content(b"\0\0\x0b\2" + data) is None
    assert describe_content(data) != ""


# header_for


@pytest.mark.parametrize("order", ["<", ">", "="])
@pytest.mark.parametrize(("code", "name"), TYPES.items())
def test_header_for_ignores_the_byte_order(code: int, name: str, order: str) -> None:
    assert header_for(np.zeros((2, 0, 5), dtype=order + name)) == IdxHeader(code, (2, 0, 5))
    assert header_for(np.array(1, dtype=order + name)) == IdxHeader(code, ())


WIDE = [
    (np.array([-(2**31), 2**31 - 1]), "astype('int32')"),
    (np.array([2**31]), "astype('float64')"),
    (np.array([-(2**53), 2**53]), "astype('float64')"),
    (np.array([2**53 + 1]), "no type of IDX holds all its values exactly"),
    (np.array([2**63], dtype=">u8"), "no type of IDX holds all its values exactly"),
    (np.array([5], dtype=">u8"), "astype('int32')"),
    (np.empty((0, 3), dtype=np.int64), "astype('int32')"),
]


@pytest.mark.parametrize(("array", "advice"), WIDE, ids=str)
def test_advice_for_64_bit_integers_follows_the_values(
    array: np.ndarray[Any, Any], advice: str
) -> None:
    message = message_of(header_for, array, name=FILE)
    assert f"found {array.dtype.name};" in message
    assert advice in message


NEAREST = {
    "bool": "astype('uint8'), which holds every bool exactly",
    ">u2": "astype('int32'), which holds every uint16 exactly",
    "float16": "astype('float32'), which holds every float16 exactly",
    "complex64": "no type of IDX holds such values",
    "object": "no type of IDX holds such values",
    "U3": "no type of IDX holds such values",
    "S3": "no type of IDX holds such values",
    "M8[s]": "no type of IDX holds such values",
    "m8[s]": "no type of IDX holds such values",
    "i4,f4": "no type of IDX holds such values",
}


@pytest.mark.parametrize(("dtype", "advice"), NEAREST.items())
def test_unsupported_type_names_the_nearest_that_fits(dtype: str, advice: str) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        header_for(np.zeros(2, dtype=dtype), name=FILE)
    types = "uint8, int8, int16, int32, float32, float64"
    for part in (FILE, f"that IDX has ({types})", "found ", advice):
        assert part in str(caught.value)


def test_advice_for_uint32_is_float64_and_int32_where_that_would_do() -> None:
    small = message_of(header_for, np.array([2**31 - 1], dtype="u4"))
    large = message_of(header_for, np.array([2**31], dtype="u4"))
    for message in (small, large):
        assert "astype('float64'), which holds every uint32 exactly" in message
    assert "astype('int32'), which holds the values of this array" in small
    assert "int32')" not in large


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long double is float64 here")
def test_advice_for_long_double_warns_of_rounding() -> None:
    message = message_of(header_for, np.zeros(2, dtype=np.longdouble))
    assert "astype('float64'), the nearest, which rounds" in message


def test_dimension_of_33_bits_is_refused() -> None:
    widest = np.broadcast_to(np.uint8(0), (2**32 - 1,))
    assert header_for(widest).shape == (2**32 - 1,)
    too_wide = np.broadcast_to(np.uint8(0), (2, 2**32))
    with pytest.raises(HeaderError) as caught:
        header_for(too_wide, name=FILE)
    for part in (FILE, "at most 4,294,967,295", "found 4,294,967,296", "save it in parts"):
        assert part in str(caught.value)
