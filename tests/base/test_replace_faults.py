"""Replacing under faults: at each system call in turn, before and after it takes effect.

Before the renaming nothing may change; after it the new file is in place. No temporary file stays.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saving import names

from fastidx.base.replace import replacement, replacement_path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX calls and permissions")

real_close, real_open = os.close, os.open
OLD, NEW = b"the old file", b"the new content"
ERRORS: list[Callable[[], BaseException]] = [
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    lambda: OSError(errno.EIO, "Input/output error"),
    lambda: InterruptedError(errno.EINTR, "Interrupted system call"),
    KeyboardInterrupt,
    MemoryError,
]
# The functions through which replace.py reaches the system.
CALLS = ["fchmod", "close", "fsync", "open", "replace", "scandir", "stat", "urandom"]


def old_file(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "file"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return old_file(tmp_path / "folder")


def write_file(target: Path) -> None:
    with replacement(target) as file:
        file.write(NEW)


def write_path(target: Path) -> None:
    with replacement_path(target) as path:
        Path(path).write_bytes(NEW)


class Calls:
    """Records the calls of the functions of os, and raises at one of them, before or after it."""

    def __init__(self, error: BaseException | None = None, at: int = 0, *, after: bool = False):
        self.names: list[str] = []
        self._error, self._at, self._after = error, at, after

    def wrap(self, name: str) -> Callable[..., Any]:
        function = getattr(os, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            if self._error is None or len(self.names) != self._at:
                return function(*args, **kwargs)
            # A descriptor is closed even if closing it fails.
            if self._after or name == "close":
                result = function(*args, **kwargs)
                # The interrupted caller never gets the descriptor.
                if name == "open":
                    real_close(result)
                elif name == "scandir":
                    result.close()
            raise self._error

        return wrapper

    def made_by(self, write: Callable[[Path], None], target: Path) -> BaseException | None:
        """Write; return the error."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self.wrap(name))
            try:
                write(target)
            except BaseException as error:
                return error
        return None


def open_files() -> int:
    return len(names(Path("/dev/fd")))


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("make", ERRORS, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("write", [write_file, write_path])
def test_fault_at_any_call_leaves_one_whole_file(
    tmp_path: Path, write: Callable[[Path], None], make: Callable[[], BaseException], after: bool
) -> None:
    calls = Calls()
    assert calls.made_by(write, old_file(tmp_path / "sound")) is None
    assert set(calls.names) == set(CALLS)
    files = open_files()
    for at, call in enumerate(calls.names, start=1):
        target = old_file(tmp_path / str(at))
        faulty = Calls(make(), at, after=after)
        error = faulty.made_by(write, target)
        assert faulty.names[at - 1] == call
        is_renamed = error is None or "replace" in calls.names[: at if after else at - 1]
        assert target.read_bytes() == (NEW if is_renamed else OLD), call
        assert stat.S_IMODE(target.stat().st_mode) == 0o640, call
        assert names(target.parent) == ["file"], call
        assert open_files() == files, call
        if error is None:
            assert call == "scandir"  # that only looks for leftovers
        else:
            assert type(error) is type(make())
            assert getattr(error, "filename", str(target)) == str(target), call


@pytest.mark.parametrize("write", [write_file, write_path])
@pytest.mark.parametrize(("old_mode", "widest"), [(0o600, 0o600), (0o640, 0o640), (None, 0o644)])
def test_permissions_are_never_wider_than_the_final_ones(
    tmp_path: Path, write: Callable[[Path], None], old_mode: int | None, widest: int
) -> None:
    target = tmp_path / "file"
    if old_mode is not None:
        target.write_bytes(OLD)
        target.chmod(old_mode)
    modes: list[int] = []

    def open_and_look(*args: Any, **kwargs: Any) -> int:
        descriptor = real_open(*args, **kwargs)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    def fchmod_and_look(*args: Any, **kwargs: Any) -> None:
        real_fchmod(*args, **kwargs)
        modes.extend(stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.iterdir())

    real_open, real_fchmod, umask = os.open, os.fchmod, os.umask(0o022)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "open", open_and_look)
            patch.setattr(os, "fchmod", fchmod_and_look)
            write(target)
    finally:
        os.umask(umask)
    assert len(modes) >= 2
    files = [mode for mode in modes if mode != stat.S_IMODE(tmp_path.stat().st_mode)]
    assert not [oct(mode) for mode in files if mode & ~widest]
    assert stat.S_IMODE(target.stat().st_mode) == widest


def test_folder_is_synchronised_after_the_renaming(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised: list[tuple[bool, bytes]] = []

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synchronised.append((is_folder, target.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_file(target)
    assert synchronised == [(False, OLD), (True, NEW)]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_folder_that_cannot_be_synchronised_is_no_error(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real_open, real_fsync = os.open, os.fsync

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if code == errno.EACCES and path == str(target.parent):
            raise OSError(code, os.strerror(code))
        return real_open(path, flags, *args, **kwargs)

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)
    write_file(target)
    assert target.read_bytes() == NEW


@pytest.mark.parametrize("write", [replacement, replacement_path])
def test_errors_of_others_keep_their_file(target: Path, write: Callable[..., Any]) -> None:
    for error in (OSError(errno.EIO, "Input/output error"), OSError(errno.EIO, "bad", "source")):
        filename = error.filename
        with pytest.raises(OSError) as caught, write(target):  # noqa: PT011 - any would do
            raise error
        assert caught.value is error and error.filename == filename


def write_to_closed(target: Path) -> None:
    with replacement(target) as file:
        os.close(file.fileno())
        real_open(os.devnull, os.O_RDONLY)  # takes the number, and cannot be written to
        file.write(NEW)


def test_failed_write_names_the_target(target: Path) -> None:
    with pytest.raises(OSError, match="file descriptor") as caught:
        write_to_closed(target)
    assert caught.value.errno == errno.EBADF
    assert caught.value.filename == str(target)
    assert target.read_bytes() == OLD and names(target.parent) == ["file"]
