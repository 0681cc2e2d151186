"""Names of files and members, as messages show them, and as they are used."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastidx
from fastidx import IdxError

HOSTILE = "a\x1b[2J\nb\x9b.gz"


def test_control_characters_of_a_path_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / HOSTILE
    path.write_bytes(b"junk")
    for source in (path, path.open("rb")):
        with pytest.raises(IdxError) as raised:
            fastidx.load(source)
        assert str(raised.value).isprintable()
        assert r"a\x1b[2J\nb\x9b.gz" in str(raised.value)
        if source is not path:
            source.close()  # type: ignore[union-attr]


def test_control_characters_of_members_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(HOSTILE, b"junk")
    for source in (path, f"zip://{HOSTILE}::{path}", f"zip://\x1b::{path}"):
        with pytest.raises(IdxError) as raised:
            fastidx.load(source)
        assert str(raised.value).isprintable()


def test_index_beside_a_file_with_a_hostile_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / HOSTILE
    items = np.arange(5000, dtype=np.int32)
    fastidx.save(path, items)
    with fastidx.open(path) as reader:
        reader.build_index(spacing=4096).save(f"{path}.gzidx")
    with fastidx.open(path, index="auto") as reader:
        assert reader.build_index().name == "<GzipIndex>"
        assert reader[4000] == 4000


def members(**content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file.getvalue()


IMAGES = fastidx.IdxHeader(8, (3,)).to_bytes() + b"abc"


def changed(archive: bytes, number: int, local: int, central: int, value: bytes) -> bytes:
    """Change a field in the headers of a member (APPNOTE.TXT, sections 4.3.7 and 4.3.12)."""
    out = bytearray(archive)
    for magic, offset in ((b"PK\3\4", local), (b"PK\1\2", central)):
        at = -1
        for _ in range(number + 1):
            at = archive.index(magic, at + 1)
        out[at + offset : at + offset + len(value)] = value
    return bytes(out)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((6, 8, b"\1\0"), "encrypted"),
        ((8, 10, b"\x09\0"), "compressed by another method"),
        ((8, 10, b"\x5d\0"), "compressed by another method"),
        ((14, 16, b"\0\0\0\0"), "other data"),
    ],
)
def test_member_that_cannot_be_judged_may_be_meant(
    change: tuple[int, int, bytes], reason: str
) -> None:
    """Else the archive of two sets would give the one that is whole for the other."""
    archive = changed(members(train=IMAGES, test=IMAGES), 0, *change)
    with pytest.raises(IdxError, match=f"train.*{reason}|cannot be judged"):
        fastidx.load(archive)
    other = changed(members(notes=b"some notes", test=IMAGES), 0, *change)
    with pytest.raises(IdxError, match="1 IDX files and 1 that cannot be judged") as raised:
        fastidx.load(other)
    assert reason in str(raised.value)
    assert "notes" in str(raised.value)


def test_lzma_member_with_a_giant_dictionary_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("images", IMAGES)
    content = bytearray(file.getvalue())
    assert fastidx.load(bytes(content)).tobytes() == b"abc"
    data = 30 + len("images")
    assert content[data + 2 : data + 4] == b"\5\0"
    content[data + 5 : data + 9] = (0xFFFF_0000).to_bytes(4, "little")
    with pytest.raises(IdxError, match="at most 1,024 MiB to decode, found one that asks for"):
        fastidx.load(bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_of_all_methods_are_named(method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(
            "images", fastidx.IdxHeader(8, (5000,)).to_bytes() + bytes(range(250)) * 20
        )
    content = file.getvalue()
    for place in range(45, 120):
        damaged = content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]
        with pytest.raises(IdxError, match=r"zip://images::|table of contents"):
            fastidx.load(damaged)
