"""One thread and several give the same array or the same kind of error, whatever the options."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gzip_streams import digits, idx, stream

import fastidx
from fastidx import GzipIndex, IdxError

DATA = idx(digits(300_000))


def members(data: bytes) -> bytes:
    return b"".join(
        gzip.compress(data[i : i + 40_000], mtime=0) for i in range(0, len(data), 40_000)
    )


def bgzf(data: bytes) -> bytes:
    import io

    file = io.BytesIO()
    fastidx.save(file, fastidx.load(data), compression="bgzf")
    return file.getvalue()


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "one member": stream,
    "members": members,
    "bgzf": bgzf,
}


def footer_changed(content: bytes, crc: int = 0, nbytes: int = 0) -> bytes:
    old_crc, old_nbytes = struct.unpack("<II", content[-8:])
    return content[:-8] + struct.pack("<II", old_crc ^ crc, (old_nbytes + nbytes) % 2**32)


def flipped(content: bytes, place: float) -> bytes:
    at = int(len(content) * place)
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda content: content,
    "ISIZE more by one": lambda content: footer_changed(content, nbytes=1),
    "ISIZE less by one": lambda content: footer_changed(content, nbytes=-1),
    "CRC": lambda content: footer_changed(content, crc=1),
    "no footer": lambda content: content[:-8],
    "half a footer": lambda content: content[:-3],
    "cut": lambda content: content[: len(content) * 2 // 3],
    "flipped early": lambda content: flipped(content, 0.1),
    "flipped late": lambda content: flipped(content, 0.8),
    "zeros behind": lambda content: content + bytes(100),
    "junk behind": lambda content: content + b"junk",
    "another member behind": lambda content: content + gzip.compress(b"more", mtime=0),
}


def outcome(source: Any, **options: Any) -> Any:
    try:
        return zlib.crc32(fastidx.load(source, **options))
    except IdxError as error:
        return type(error), str(error)


def index_of(content: bytes) -> GzipIndex | None:
    try:
        with fastidx.open(content) as reader:
            return reader.build_index(spacing=40_000)
    except IdxError:
        return None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_threads_agree(
    container: Callable[[bytes], bytes], damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    sound = container(DATA)
    content = damage(sound)
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    for verify in (True, False):
        for strict in (True, False):
            options = {"verify": verify, "strict": strict}
            for source in (content, path):
                serial = outcome(source, threads=1, **options)
                for threads in (2, 3, 5):
                    assert outcome(source, threads=threads, **options) == serial, options


@pytest.mark.parametrize("damage", ["none", "ISIZE more by one", "CRC", "zeros behind"])
@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_an_index_changes_nothing(container: Callable[[bytes], bytes], damage: str) -> None:
    content = DAMAGES[damage](container(DATA))
    index = index_of(container(DATA))
    assert index is not None
    index.compressed_nbytes = len(content)
    index.fingerprint = None
    for verify in (True, False):
        for strict in (True, False):
            options = {"verify": verify, "strict": strict}
            serial = outcome(content, threads=1, **options)
            for threads in (2, 4):
                assert outcome(content, threads=threads, index=index, **options) == serial, options


@pytest.mark.parametrize("nbytes", [-5, -1, 0, 1, 50, 500_000])
def test_plain_files_agree(nbytes: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA[:nbytes] if nbytes < 0 else DATA + bytes(nbytes))
    for strict in (True, False):
        serial = outcome(path, threads=1, strict=strict)
        for threads in (2, 3):
            assert outcome(path, threads=threads, strict=strict) == serial
    assert np.array_equal(fastidx.load(DATA), fastidx.load(stream(DATA)))
