"""Saving to a path: the whole new file takes the place of the old one, or nothing changes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saving import OLD, names, unchanged_file

from fastidx import reference
from fastidx.writing.save import save

Array = np.ndarray[Any, Any]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and file types")
MIB = 1 << 20


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    yield from unchanged_file(tmp_path)


@pytest.mark.parametrize("kind", [str, Path])
def test_existing_file_is_replaced(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(bytes(1000))
    save(kind(path), np.zeros(3, "u1"))
    assert path.read_bytes() == reference.dumps(np.zeros(3, "u1"))
    assert names(tmp_path) == ["a.idx"]


def test_relative_and_long_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    longest = "n" * 252 + ".gz"
    save(longest, np.zeros(3, "u1"))
    save("a", np.zeros(3, "u1"))
    assert names(tmp_path) == ["a", longest]


def test_a_reader_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"
    save(path, np.arange(3 * MIB, dtype="u1"))
    mapped = np.memmap(path, "u1", "r", offset=8)
    if os.name == "nt":
        pytest.skip("Windows does not replace a file that is mapped")
    save(path, mapped[::-1])
    assert np.array_equal(reference.load_frombuffer(path), np.arange(3 * MIB, dtype="u1")[::-1])
    assert np.array_equal(mapped, np.arange(3 * MIB, dtype="u1"))


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_mode_of_the_old_file_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(OLD)
    path.chmod(mode)
    save(path, np.zeros(3, "u1"))
    assert stat.S_IMODE(path.stat().st_mode) == mode


@POSIX
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_mode_of_a_new_file_follows_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save(tmp_path / "a.idx", np.zeros(3, "u1"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.idx").stat().st_mode) == 0o666 & ~umask


@POSIX
def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    link, loose = tmp_path / "link.idx", tmp_path / "loose.idx"
    (folder / "file").write_bytes(OLD)
    link.symlink_to(Path("folder", "file"))
    loose.symlink_to(Path("folder", "new"))
    for path, target in ((link, folder / "file"), (loose, folder / "new")):
        save(path, np.zeros(3, "u1"))
        assert path.is_symlink()
        assert target.read_bytes() == reference.dumps(np.zeros(3, "u1"))
    assert names(folder) == ["file", "new"]


@POSIX
def test_loop_of_links_is_an_error_and_stays(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match="loop") as caught:
        save(loop, np.zeros(3, "u1"))
    assert caught.value.errno == errno.ELOOP
    assert loop.is_symlink()


@POSIX
def test_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    save(pipe, np.arange(MIB, dtype="u1"))
    reader.join(10)
    assert received == [reference.dumps(np.arange(MIB, dtype="u1"))]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
def test_device_is_written_to_and_not_replaced() -> None:
    save(os.devnull, np.zeros(3, "u1"))
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def fail_in_zlib(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    patch.setattr(zlib, "crc32", fail)


def fail_in_fsync(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: int) -> None:
        raise error

    patch.setattr(os, "fsync", fail)


def fail_in_replace(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    patch.setattr(os, "replace", fail)


@pytest.mark.parametrize("error", [OSError(5, "broken"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("fail", [fail_in_zlib, fail_in_fsync, fail_in_replace])
def test_failure_at_any_stage_leaves_the_old_file_alone(
    old: Path, monkeypatch: pytest.MonkeyPatch, fail: Any, error: BaseException
) -> None:
    fail(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        save(old, np.arange(100, dtype="u1"))
    monkeypatch.undo()
    assert caught.value is error


@pytest.mark.parametrize("fail", [fail_in_zlib, fail_in_fsync, fail_in_replace])
def test_failure_leaves_no_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Any
) -> None:
    fail(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "new.gz", np.arange(100, dtype="u1"))
    assert not names(tmp_path)


def test_array_that_fails_touches_nothing(old: Path) -> None:
    class Failing:
        def __array__(self, dtype: object = None, copy: object = None) -> Array:
            raise RuntimeError("no array today")

    with pytest.raises(RuntimeError, match="no array today"):
        save(old, Failing())


def test_all_is_on_the_disk_before_the_old_file_goes(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[int] = []

    def replace(_: str, target: str) -> None:
        assert synchronised == [len(reference.dumps(np.zeros(9, "u1")))]
        assert Path(target).read_bytes() == OLD
        raise InterruptedError(errno.EINTR, "seen")

    monkeypatch.setattr(os, "fsync", lambda fd: synchronised.append(os.fstat(fd).st_size))
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(InterruptedError, match="seen"):
        save(old, np.zeros(9, "u1"), compression=None)


def test_missing_folder_is_named_by_the_callers_path(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "a.idx"
    with pytest.raises(FileNotFoundError) as caught:
        save(path, np.zeros(3, "u1"))
    assert caught.value.filename == str(path)
    assert not names(tmp_path)


@pytest.mark.parametrize("name", ["folder", "folder/", "new/", ""])
def test_folder_or_no_name_is_a_natural_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    # Python's own open says IsADirectoryError for some, and on Windows PermissionError.
    with pytest.raises(OSError, match=r"(?i)directory|permission"):
        save(name, np.zeros(3, "u1"))
    assert names(tmp_path) == ["folder"]
    assert not names(Path("folder"))


# Saves to the first argument. The superuser becomes nobody after all imports.
UNPRIVILEGED = """
import os, sys
import numpy as np
import fastidx.writing.compress
from fastidx.writing.save import save
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    save(sys.argv[1], np.zeros(3, "u1"))
except PermissionError as error:
    print(error.filename)
"""


def unprivileged(name: str, folder: Path) -> str:
    # The process starts in the folder, as it may not enter the folders above it.
    command = [sys.executable, "-c", UNPRIVILEGED, name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@POSIX
def test_read_only_folder_is_a_natural_error(old: Path) -> None:
    folder = old.parent
    folder.chmod(0o555)
    old.chmod(0o666)
    try:
        assert unprivileged("old.gz", folder) == "old.gz"
        assert unprivileged("new.gz", folder) == "new.gz"
    finally:
        folder.chmod(0o700)


@POSIX
def test_read_only_file_is_not_replaced(old: Path) -> None:
    folder = old.parent
    folder.chmod(0o777)
    old.chmod(0o444)
    assert unprivileged("old.gz", folder) == "old.gz"


@POSIX
def test_writable_file_in_a_writable_folder_is_replaced_by_anyone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path = tmp_path / "a.idx"
    path.write_bytes(OLD)
    path.chmod(0o666)
    assert unprivileged("a.idx", tmp_path) == ""
    assert path.read_bytes() == reference.dumps(np.zeros(3, "u1"))


LIMITED = """
import resource, sys
import numpy as np
from fastidx.writing.save import save
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
try:
    save(sys.argv[1], np.zeros(3_000_000, "u1"), compression=None)
except OSError as error:
    print(error.errno, error.filename)
"""


@POSIX
def test_full_disk_leaves_the_old_file_alone(old: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(old)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(old)]
