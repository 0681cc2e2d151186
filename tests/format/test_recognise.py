"""Files that are no IDX files are recognised, named, and come with advice."""

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

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import message_of

from fastidx.errors import HeaderError
from fastidx.format.header import header_length
from fastidx.format.recognise import describe_content

FILE = "folder/train-images-idx3-ubyte.gz"


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

# Content, its name, and what the message advises.
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
    (b"7,0,0,255,0\n2,0,0", "a table of comma-separated values (CSV)", "numpy.loadtxt"),
    (b"7," + b"0," * 500, "(CSV)", "delimiter=',')"),
    (b"0,0,0,0,8,12," + b"0," * 500, "(CSV)", "delimiter=','"),
    (b"label,1x1,1x2,1x3" * 40, "(CSV)", "delimiter=',', skiprows=1)"),
    (b"label,pixel0\n5,0\n0,255\n", "(CSV)", "skiprows=1"),
    (b'"label";"pixel0";"pixel1"\r\n5;0;0\r\n', "semicolon-separated", "delimiter=';', skiprows"),
    (b"5\t0\t0.5\n4\t0\t1e-3\n", "numbers as text", "numpy.loadtxt(...)"),
    (b"label\tpixel\n4\t0\n", "tab-separated", r"delimiter='\t', skiprows=1)"),
    (b"5.0 0.0\n4.0 -1e3\n", "numbers as text", "numpy.loadtxt(...)"),
    (b"00000803 0000ea60 0000001c", "an IDX file as hexadecimal text", "bytes.fromhex"),
    (b"0000080300000002" + b"00" * 300, "an IDX file as hexadecimal text", "bytes.fromhex"),
    (b"00 00 08 03 00 00 EA 60\n00 00", "an IDX file as hexadecimal text", "bytes.fromhex"),
    (b"00,00,08,03,00,00,ea,60", "an IDX file as hexadecimal text", "bytes.fromhex"),
    (b"0x00, 0x00, 0x0D, 0x02, 0x00", "an IDX file as hexadecimal text", "bytes.fromhex"),
    (b"1f8b0800a3b5c0000003", "a gzip file as hexadecimal text", "bytes.fromhex"),
    (b"00000000: 0000 0803 0000 ea60  .......`", "a hexadecimal dump", "xxd -r"),
    (b"00000000  1f 8b 08 00 00 00 00 00 |........|", "a hexadecimal dump", "xxd -r"),
    (b"AAAIAwAA6mAAAAAcAAAAHA==", "an IDX file as base64 text", "base64.b64decode"),
    (b"H4sIAAAAAAAA/2NgYOBgYGBgBA==", "a gzip file as base64 text", "base64.b64decode"),
    (pickle.dumps({"data": 1}, 0), "a Python pickle", "only if you trust"),
    (pickle.dumps([1, 2], 0), "a Python pickle", "only if you trust"),
    (pickle.dumps(np.zeros(3), 0), "a Python pickle", "only if you trust"),
    (pickle.dumps({"data": 1}, 1), "a Python pickle", "only if you trust"),
    (pickle.dumps(np.zeros(3), 1), "a Python pickle", "only if you trust"),
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
    "content",
    [
        b"Sorry, we could not find it",
        b"a line, with a comma\nand one, with another\nand none",
        b"[section]\nkey = value\n",
        b"cab 12 face",
        b"404\n",
        b"AAAI r plane",
    ],
)
def test_other_text_is_plain_text(content: bytes) -> None:
    message = message_of(header_length, content, name=FILE)
    assert "found plain text" in message
    assert "loadtxt" not in message and "fromhex" not in message
    assert "open it in a text editor" in message and "has probably sent" not in message


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
