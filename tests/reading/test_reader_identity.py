"""A reader in another process reads the file that it was opened with, or says that it cannot."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reader_cases import compressible, form
from worker import Worker

import fastidx
from fastidx import SourceChangedError, TrailingDataError, TruncatedError

ITEMS = compressible((500, 41), "u1")
OTHER = ITEMS[::-1]
EACH_FORM = pytest.mark.parametrize("name", ["plain", "gzip", "xz"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@EACH_FORM
def test_pickled_reader_finds_its_path_after_a_change_of_folder(name: str, folder: Path) -> None:
    Path("file").write_bytes(form(ITEMS, name))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "file").write_bytes(form(OTHER, name))
    with fastidx.open("file") as reader:
        os.chdir("elsewhere")
        with pickle.loads(pickle.dumps(reader)) as again:
            np.testing.assert_array_equal(again[3:9], ITEMS[3:9])


@EACH_FORM
def test_pickled_reader_refuses_another_file_in_its_place(name: str, folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(form(ITEMS, name))
    with fastidx.open(path) as reader:
        pickled = pickle.dumps(reader)
    path.unlink()
    path.write_bytes(form(OTHER, name))
    os.utime(path, ns=(1, 1))
    with pytest.raises(SourceChangedError, match="expected the file that the reader was opened"):
        pickle.loads(pickled)


def items_of_child(make: str, folder: str) -> tuple[Any, Any]:
    """Read items in turn in a process and its fork; return what each has found."""
    path = Path(folder, "file")
    with fastidx.open(globals()[make](path)) as reader:
        _ = reader[0]
        answer = Path(folder, "answer")
        child = os.fork()
        if child == 0:
            try:
                found: Any = [reader[i].tobytes() for i in range(0, 500, 7)]
            except RuntimeError as error:
                found = str(error)
            answer.write_bytes(pickle.dumps(found))
            os._exit(0)
        ours = [reader[i].tobytes() for i in range(499, 0, -7)]
        os.waitpid(child, 0)
        return ours, pickle.loads(answer.read_bytes())


def by_path(path: Path) -> Path:
    return path


def open_file(path: Path) -> Any:
    return path.open("rb")


def tar_member(path: Path) -> Any:
    archive = path.with_suffix(".tar")
    with tarfile.open(archive, "w") as writing:
        writing.add(path, "file")
    return tarfile.open(archive).extractfile("file")


@EACH_FORM
@pytest.mark.parametrize("make", ["by_path", "open_file", "tar_member"])
def test_forked_reader_reads_right_or_refuses(
    make: str, name: str, tmp_path: Path, isolated: Worker
) -> None:
    (tmp_path / "file").write_bytes(form(ITEMS, name))
    ours, theirs = isolated(items_of_child, make, str(tmp_path))
    assert ours == [ITEMS[i].tobytes() for i in range(499, 0, -7)]
    if make == "tar_member":
        assert "found a forked one, which shares the file's position" in theirs
    else:
        assert theirs == [ITEMS[i].tobytes() for i in range(0, 500, 7)]


@EACH_FORM
@pytest.mark.parametrize("threads", [1, 2])
def test_file_rewritten_while_it_is_loaded(
    name: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    items = compressible((40_000, 41), "u1")
    path.write_bytes(form(items, name))
    read, calls = os.preadv, []

    def read_and_rewrite(descriptor: int, buffers: list[Any], position: int) -> int:
        n = read(descriptor, buffers, position)
        calls.append(n)
        if len(calls) == 2:
            path.write_bytes(form(items[::-1], name))
            os.utime(path, ns=(1, 1))
        return n

    monkeypatch.setattr(os, "preadv", read_and_rewrite)
    with pytest.raises(SourceChangedError, match="written to meanwhile"):
        fastidx.load(path, threads=threads)


@pytest.mark.parametrize("read", [np.asarray, list, lambda reader: list(reader.batches(3))])
@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (5, 0)])
@pytest.mark.parametrize("name", ["plain", "gzip", "xz"])
def test_file_without_data_is_checked(read: Any, shape: tuple[int, ...], name: str) -> None:
    content = form(np.empty(shape, np.uint8), name)
    with fastidx.open(content) as reader:
        read(reader)
    header = fastidx.IdxHeader(8, shape).to_bytes()
    more = {"plain": header + b"more"}.get(name)
    if more is None:
        more = form(np.frombuffer(header + b"more", np.uint8), "plain")[8:]
        more = compressed(more, name)
    with fastidx.open(more) as reader, pytest.raises(TrailingDataError):
        read(reader)
    if name != "plain":
        with fastidx.open(content[:-4]) as reader, pytest.raises(TruncatedError):
            read(reader)


def compressed(data: bytes, name: str) -> bytes:
    import gzip
    import lzma

    return gzip.compress(data, mtime=0) if name == "gzip" else lzma.compress(data)


def test_mmap_and_bytes_io_are_put_back_by_info(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "file"
    path.write_bytes(form(ITEMS, "gzip"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for given in (mapped, io.BytesIO(path.read_bytes()), file):
            assert fastidx.info(given).shape == ITEMS.shape
            assert given.tell() == 0
            with fastidx.open(given) as reader:
                np.testing.assert_array_equal(reader[400], ITEMS[400])
                np.testing.assert_array_equal(reader[3], ITEMS[3])


def test_file_object_at_its_end_says_so() -> None:
    file = io.BytesIO(form(ITEMS, "plain"))
    file.read()
    with pytest.raises(TruncatedError, match=r"found its end.*seek\(0\)"):
        fastidx.load(file)


def test_folder_given_for_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(IsADirectoryError, match="found a folder of 1 entries"):
        fastidx.load(tmp_path)
