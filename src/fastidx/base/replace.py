"""Write files so that a path holds either the old file or the whole new one.

The new content goes to a temporary file in the folder of the target, is synchronised with the disk
and then renamed to the target. Whatever fails before the renaming, an interrupt included, leaves
the old file as it was and nothing beside it. After the renaming the folder is synchronised, too.

A process that is killed while it writes leaves a temporary file, `.fastidx-` and 16 hexadecimal
digits and `.tmp`. Processes hold a lock on the file that they write, so another process that
writes into the folder removes such a file when it is old and not locked.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from typing import Protocol

    class Writable(Protocol):
        """An object with a ``write`` method for bytes."""

        def write(self, data: bytes, /) -> object:
            """Write bytes: all of them, or as many as the result says."""


_TEMPORARY_NAME = r"\.fastidx-[0-9a-f]{16}\.tmp"

# A file that its process changed in the last hour is no leftover, even if locks do not work, as in
# some network file systems.
_LEFTOVER_AGE_S = 3600

# The folders in which this process has looked for leftovers.
_searched: set[str] = set()


def path_of(target: object) -> str | None:
    """Return ``target`` as a path; None if it is a file object.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(target, (str, os.PathLike)):
        return os.fsdecode(target)
    if hasattr(target, "write"):
        return None
    raise TypeError(
        "target: expected a path or a binary file object, which has a write method, "
        f"found {type(target).__name__}"
    )


def write_all(file: Writable, pieces: Iterable[bytes]) -> None:
    """Write these bytes to a file that may take fewer at a time."""
    for piece in pieces:
        rest = piece
        while rest:
            written = file.write(rest)
            # Only an unbuffered file may write less than it got; others may return anything.
            if not isinstance(written, int) or written >= len(rest):
                break
            if written <= 0:
                raise OSError(errno.EIO, f"the file accepted none of {len(rest)} bytes")
            rest = rest[written:]


@contextlib.contextmanager
def replacement(target: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file to write to, which takes the place of ``target`` when the block ends.

    Parameters
    ----------
    target : str or PathLike
        The new file keeps the permissions of the file that it replaces. A symbolic link is
        followed. A pipe or a device is not replaced, but opened and written to.

    Yields
    ------
    binary file
        Empty and open for writing. If the block raises, the file is removed.

    Raises
    ------
    OSError
        If the file cannot be written; its ``filename`` is the target. Errors that the block raises
        about other files keep theirs.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastidx.base.replace import replacement
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacement(os.path.join(folder, "labels")) as file:
    ...         nbytes = file.write(b"content")
    ...     print(os.listdir(folder))
    ['labels']
    """
    with _replacing(os.fspath(target)) as (file, _):
        yield file


@contextlib.contextmanager
def replacement_path(target: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a path for a library that opens its files itself; otherwise like `replacement`.

    Yields
    ------
    str
        An empty file in the folder of the target, to be overwritten in place.
    """
    with _replacing(os.fspath(target)) as (_, path):
        yield path


@contextlib.contextmanager
def _replacing(target: str) -> Iterator[tuple[BinaryIO, str]]:
    """Yield the file to write to, and its path."""
    temporary = None
    is_callers = False  # whether the caller's code runs, whose errors may be about other files
    try:
        path, mode = _replaceable(target)
        if path is None:
            with open(target, "wb") as file:
                is_callers = True
                yield file, target
            return
        # A replacement is one step only within a file system, so the temporary file is in the
        # same folder. Its name does not contain the target's, as it could then be too long.
        folder = os.path.dirname(path)
        _remove_leftovers(folder)
        temporary = os.path.join(folder, f".fastidx-{os.urandom(8).hex()}.tmp")
        with _new_file(temporary, mode, target) as file:
            is_callers = True
            yield file, temporary
            is_callers = False
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(folder)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if not is_callers and isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = target
        raise


class _NamedFile(io.FileIO):
    """A new file whose errors name the file that it will become."""

    def __init__(self, path: str, creation_mode: int, target: str) -> None:
        self._target = target
        super().__init__(path, "xb", opener=lambda path, flags: os.open(path, flags, creation_mode))

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = self._target
            raise


@contextlib.contextmanager
def _new_file(path: str, mode: int | None, target: str) -> Iterator[BinaryIO]:
    """Create a file and lock it; ``mode`` is its permissions, None for the usual ones.

    At no time are the permissions wider than the final ones.
    """
    creation_mode = 0o666 if mode is None else mode & 0o777  # and the umask takes away from it
    with io.BufferedWriter(_NamedFile(path, creation_mode, target)) as file:
        if mode is not None:
            if os.name == "posix":
                os.fchmod(file.fileno(), mode)
            else:
                os.chmod(path, mode)
        _lock(file.fileno())
        yield file


def _sync_folder(folder: str) -> None:
    """Write a folder to the disk, and with it the new name of a file, where the system can."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder or ".", os.O_RDONLY)
    except PermissionError:  # a file can be renamed in a folder that cannot be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: str) -> None:
    """Remove the temporary files of killed processes: those that are old and not locked.

    Each process looks into a folder once, as reading a large folder takes longer than a save.
    """
    key = os.path.abspath(folder)
    if key in _searched:
        return
    _searched.add(key)
    with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
        for entry in entries:
            if re.fullmatch(_TEMPORARY_NAME, entry.name):
                with contextlib.suppress(OSError):
                    _remove_leftover(entry.path)


def _remove_leftover(path: str) -> None:
    status = os.lstat(path)
    age_s = time.time() - status.st_mtime
    if age_s < _LEFTOVER_AGE_S or not stat.S_ISREG(status.st_mode):
        return
    if os.name != "posix":
        os.unlink(path)  # Windows refuses to remove a file that is open
        return
    if status.st_uid != os.geteuid():
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # Only the file that is locked here may go. By now another may have taken its name.
        if _lock(descriptor) and os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            os.unlink(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed; return False if it is locked, or if the system cannot."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def _replaceable(target: str) -> tuple[str | None, int | None]:
    """Return the path of the file to replace, and its permissions; None where there are none.

    The path is None for a pipe or a device, which a replacement would destroy, and for a folder,
    where opening it raises the error that users know. The permissions are None for a new file.
    """
    try:
        status = os.stat(target)
    except FileNotFoundError:
        if not target or target.endswith((os.sep, "/")):
            raise
        return _without_link(target), None
    if not stat.S_ISREG(status.st_mode):
        return None, None
    path = _without_link(target)
    # Renaming asks for no permission to write the old file. Users expect that it is needed.
    os.close(os.open(path, os.O_WRONLY))
    return path, stat.S_IMODE(status.st_mode)


def _without_link(path: str) -> str:
    # Only for links: an absolute path can be out of reach where the relative one is not.
    return os.path.realpath(path) if os.path.islink(path) else path
