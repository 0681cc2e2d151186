"""Members of zip archives: which one, from what sources, and what can be wrong with them."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastidx
from fastidx import (
    ChecksumError,
    CorruptError,
    HeaderError,
    IdxError,
    TrailingDataError,
    TruncatedError,
)
from fastidx.reference import dumps

IMAGES = np.arange(30 * 5 * 7, dtype=np.int32).reshape(30, 5, 7) * 1_000_003
LABELS = np.arange(30, dtype=np.uint8)
PLAIN = dumps(IMAGES)
FORMS = {"plain": PLAIN, "gzip": gzip.compress(PLAIN, mtime=0), "xz": lzma.compress(PLAIN)}
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
TWO = {
    "gzip/train-images.gz": FORMS["gzip"],
    "gzip/train-labels.gz": gzip.compress(dumps(LABELS), mtime=0),
}


def zipped(
    members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.comment = comment
    return file.getvalue()


def assert_images(loaded: Any) -> None:
    np.testing.assert_array_equal(loaded, IMAGES, strict=True)


class Unseekable(io.BytesIO):
    def seekable(self) -> bool:
        return False


class ShortReads(io.BytesIO):
    """Seeks, but gives few bytes at a time, whatever is asked for."""

    def read(self, nbytes: int | None = -1, /) -> bytes:
        return super().read(7 if nbytes is None or nbytes < 0 else min(7, nbytes))

    def readinto(self, out: Any) -> int:
        return super().readinto(memoryview(out)[:7])


# --- The only member -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("make", [bytes, memoryview, io.BytesIO, ShortReads])
def test_archive_of_one_file_is_that_file(content: bytes, method: int, make: Any) -> None:
    assert_images(fastidx.load(make(zipped({"images": content}, method))))


@pytest.mark.parametrize("kind", [str, Path])
def test_archive_by_path_is_closed_again(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "train"
    path.write_bytes(zipped({"images": FORMS["gzip"]}))
    assert_images(fastidx.load(kind(path)))
    assert fastidx.info(kind(path)).compression == "gzip"


def test_archive_in_an_open_file_leaves_it_open(tmp_path: Path) -> None:
    content = zipped({"images": FORMS["gzip"]})
    (tmp_path / "file").write_bytes(b"something before" + content)
    for buffering in (-1, 0):
        with (tmp_path / "file").open("rb", buffering=buffering) as file:
            file.seek(16)
            header = fastidx.info(file)
            assert file.tell() == 16
            assert_images(fastidx.load(file))
            assert not file.closed
    assert (header.shape, header.compression) == (IMAGES.shape, "gzip")
    assert header.compressed_nbytes == len(FORMS["gzip"])


def test_result_is_as_from_a_file() -> None:
    archive = zipped({"images": FORMS["gzip"]})
    out = np.empty(IMAGES.shape, np.int32)
    assert fastidx.load(archive, out=out) is out
    assert_images(out)
    assert_images(fastidx.load(archive, threads=2))
    assert fastidx.load(archive).ctypes.data % 64 == 0
    np.testing.assert_array_equal(fastidx.load(archive, scale=0.5), IMAGES * 0.5)


def test_archive_with_a_comment() -> None:
    assert_images(fastidx.load(zipped({"images": PLAIN}, comment=b"PK" * 10_000)))


def test_zip64(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with (
        zipfile.ZipFile(path, "w") as archive,
        archive.open("images", "w", force_zip64=True) as file,
    ):
        file.write(PLAIN)
    assert_images(fastidx.load(path))


# --- One of several ------------------------------------------------------------------------------


def test_the_one_idx_file_is_found_by_content() -> None:
    others = {
        "folder/": b"",
        "train-labels-idx1-ubyte": b"a text under this name",
        "__MACOSX/._images": bytes.fromhex("00051607") + bytes(100),
        "__MACOSX/images": PLAIN,
        "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "empty": b"",
        "a.gz": gzip.compress(b"a text, compressed"),
    }
    for content in FORMS.values():
        assert_images(fastidx.load(zipped({**others, "images.txt": content})))
    with pytest.raises(HeaderError, match=r"picture\.png.*none of which"):
        fastidx.load(zipped({name: others[name] for name in others if "MACOSX" not in name}))


def test_several_idx_files_are_listed_with_the_way_to_name_one(tmp_path: Path) -> None:
    path = tmp_path / "gzip.zip"
    path.write_bytes(zipped({"readme.txt": b"...", **TWO}))
    with pytest.raises(IdxError, match="2 IDX files") as raised:
        fastidx.load(path)
    message = str(raised.value)
    assert all(name in message for name in TWO)
    assert "readme" not in message
    example = message.partition('"')[2].partition('"')[0]
    assert example == f"zip://gzip/train-images.gz::{path}"
    assert_images(fastidx.load(example))


def test_of_a_file_object_one_of_several_is_named_by_zipfile() -> None:
    for source in (zipped(TWO), io.BytesIO(zipped(TWO))):
        with pytest.raises(IdxError, match=r'ZipFile\(\.\.\.\)\.open\("gzip/train-images\.gz"\)'):
            fastidx.load(source)


@pytest.mark.parametrize("slash", ["", "/"])
def test_member_by_name(slash: str, tmp_path: Path) -> None:
    path = tmp_path / "gzip.zip"
    path.write_bytes(zipped(TWO))
    images = f"zip://{slash}gzip/train-images.gz::{path}"
    assert_images(fastidx.load(images))
    assert fastidx.info(images).shape == IMAGES.shape
    labels = fastidx.load(f"zip://gzip/train-labels.gz::{path}")
    np.testing.assert_array_equal(labels, LABELS, strict=True)


def test_wrong_names_are_told(tmp_path: Path) -> None:
    path = tmp_path / "gzip.zip"
    path.write_bytes(zipped(TWO))
    with pytest.raises(HeaderError, match=r"member gzip/test.*found gzip/train-images\.gz, "):
        fastidx.load(f"zip://gzip/test::{path}")
    with pytest.raises(ValueError, match="zip://MEMBER::ARCHIVE") as raised:
        fastidx.load(f"zip://{path}")
    assert not isinstance(raised.value, IdxError)
    with pytest.raises(FileNotFoundError, match=r"other\.zip"):
        fastidx.load(f"zip://gzip/train-images.gz::{tmp_path}/other.zip")
    path.write_bytes(FORMS["gzip"])
    with pytest.raises(HeaderError, match=r"expected a zip archive.*found a gzip file"):
        fastidx.load(f"zip://gzip/train-images.gz::{path}")
    with pytest.raises(ValueError, match="storage_options"):
        fastidx.load(f"zip://x::{path}", storage_options={"key": "x"})


def test_too_many_members_to_look_into_are_listed_in_part() -> None:
    members = {f"{i:03}.png": b"" for i in range(100)}
    with pytest.raises(IdxError, match=r"100 files.*000\.png, .*023\.png and 76 more"):
        fastidx.load(zipped(members))


def test_archive_without_files() -> None:
    with pytest.raises(HeaderError, match="without files"):
        fastidx.load(zipped({"folder/": b"", "__MACOSX/x": b""}))
    with pytest.raises(HeaderError, match="empty zip archive"):
        fastidx.load(zipped({}))


# --- Opened by the user --------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_member_that_the_user_opened(content: bytes, method: int) -> None:
    for make in (io.BytesIO, Unseekable):
        with zipfile.ZipFile(make(zipped({"images": content}, method))) as archive:
            with archive.open("images") as member:
                assert_images(fastidx.load(member))
            with archive.open("images") as member:
                assert fastidx.info(member).shape == IMAGES.shape
                assert make is Unseekable or fastidx.load(member).shape == IMAGES.shape


def test_archive_in_an_archive_by_way_of_an_open_member() -> None:
    outer = zipped({"inner.zip": zipped({"images": FORMS["gzip"]})})
    with zipfile.ZipFile(io.BytesIO(outer)) as archive, archive.open("inner.zip") as member:
        assert_images(fastidx.load(member))
    with pytest.raises(HeaderError, match="zip archive"):
        fastidx.load(outer)


class CountingBytesIO(io.BytesIO):
    nread = 0

    def read(self, nbytes: int | None = -1, /) -> bytes:
        data = super().read(nbytes)
        self.nread += len(data)
        return data


def test_open_member_is_read_once_and_info_reads_little(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, 3_000_000, dtype=np.uint8)
    content = zipped({"noise": dumps(noise)})
    for function, most in ((fastidx.load, 1.01), (fastidx.info, 0.2)):
        file = CountingBytesIO(content)
        with zipfile.ZipFile(file) as archive, archive.open("noise") as member:
            function(member)
        assert file.nread < most * len(content)
        with gzip.open(CountingBytesIO(gzip.compress(dumps(noise), 1))) as unzipped:
            function(unzipped)
            raw: Any = unzipped.fileobj
            assert raw.nread < most * len(content)


# --- What is wrong -------------------------------------------------------------------------------


def test_source_that_cannot_seek_is_refused() -> None:
    with pytest.raises(io.UnsupportedOperation, match="BytesIO"):
        fastidx.load(Unseekable(zipped({"images": PLAIN})))


def test_cut_archive_is_truncated() -> None:
    archive = zipped({"images": FORMS["gzip"]})
    for length in range(1, len(archive), 7):
        with pytest.raises(IdxError) as raised:
            fastidx.load(archive[:length])
        assert length < 4 or isinstance(raised.value, TruncatedError)


def test_damaged_member() -> None:
    for method in METHODS.values():
        archive = bytearray(zipped({"images": PLAIN}, method))
        archive[2000] ^= 0xFF
        with pytest.raises((CorruptError, TruncatedError), match="zip://images::"):
            fastidx.load(archive)


@pytest.mark.parametrize("strict", [True, False])
def test_wrong_crc_of_a_member(strict: bool) -> None:
    for content in (PLAIN, PLAIN + b"more", PLAIN + bytes(1_000_000)):
        archive = bytearray(zipped({"images": content}, zipfile.ZIP_STORED))
        archive[2000] ^= 0xFF
        with pytest.raises((ChecksumError, TrailingDataError)) as raised:
            fastidx.load(archive, strict=strict)
        assert isinstance(raised.value, ChecksumError) or strict


def test_damage_inside_is_told_of_the_inner_file() -> None:
    damaged = bytearray(FORMS["gzip"])
    damaged[-8] ^= 1
    with pytest.raises(ChecksumError, match=r"zip://images::.*gzip member 1"):
        fastidx.load(zipped({"images": bytes(damaged)}))
    assert_images(fastidx.load(zipped({"images": bytes(damaged)}), verify=False))
    with pytest.raises(TruncatedError, match="items complete"):
        fastidx.load(zipped({"images": FORMS["gzip"][:-100]}))
    with pytest.raises(TrailingDataError):
        fastidx.load(zipped({"images": PLAIN + b"more"}))
    assert_images(fastidx.load(zipped({"images": PLAIN + b"more"}), strict=False))


def patched(archive: bytes, local: int, central: int, value: bytes) -> bytes:
    """Change a field in a member's local and central headers (APPNOTE.TXT, 4.3.7 and 4.3.12)."""
    out = bytearray(archive)
    for magic, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
        at = archive.index(magic) + offset
        out[at : at + len(value)] = value
    return bytes(out)


def test_member_that_zipfile_cannot_read() -> None:
    archive = zipped({"images": PLAIN})
    with pytest.raises(IdxError, match="encrypted"):
        fastidx.load(patched(archive, 6, 8, b"\1\0"))
    with pytest.raises(IdxError, match="another method"):
        fastidx.load(patched(archive, 8, 10, b"\x09\0"))


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_untrue_size_takes_no_memory(method: int) -> None:
    claims = fastidx.IdxHeader(8, (2**20, 2**11)).to_bytes()
    archive = zipped({"images": claims + bytes(1000)}, method)
    huge = patched(archive, 22, 24, (2**31 + len(claims)).to_bytes(4, "little"))
    tracemalloc.start()
    try:
        with pytest.raises((TruncatedError, CorruptError)):
            fastidx.load(huge)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


@hypothesis.given(st.data())
def test_hostile_archive_is_refused_by_an_idx_error(data: st.DataObject) -> None:
    archive = bytearray(zipped({"a": FORMS["gzip"], "b": b"..."}, comment=b"c"))
    for _ in range(data.draw(st.integers(1, 4))):
        # Mostly in the headers: there is the most to be misunderstood.
        near = data.draw(st.sampled_from([0, len(archive)]))
        i = (near + data.draw(st.integers(-160, 40))) % len(archive)
        archive[i] = data.draw(st.integers(0, 255))
    with contextlib.suppress(IdxError):
        loaded = fastidx.load(archive)
        assert zlib.crc32(loaded.tobytes()) == zlib.crc32(IMAGES.tobytes())
