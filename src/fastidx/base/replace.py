"""Write files so that a path holds either the old file or the whole new one.

The new content goes to a temporary file in the folder of the target, is synchronised with the disk
and then renamed to the target. Whatever fails before the renaming, an interrupt included, leaves
the old file as it was and nothing beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing import Protocol

    class Writable(Protocol):
        """An object with a ``write`` method for bytes."""

        def write(self, data: bytes, /) -> object:
            """Write bytes: all of them, or as many as the result says."""


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
        If the file cannot be written; its ``filename`` is the target.

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
    with _replacing(os.fspath(target)) as (path, is_temporary), open(path, "wb") as file:
        yield file
        if is_temporary:
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def replacement_path(target: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a path for a library that opens its files itself; otherwise like `replacement`.

    Yields
    ------
    str
        An empty file in the folder of the target, to be overwritten.
    """
    with _replacing(os.fspath(target)) as (path, is_temporary):
        yield path
        if is_temporary:
            with open(path, "ab") as file:
                os.fsync(file.fileno())


@contextlib.contextmanager
def _replacing(target: str) -> Iterator[tuple[str, bool]]:
    """Yield the path to write to, and whether it is a temporary file that replaces the target."""
    path, mode = _replaceable(target)
    if path is None:
        yield target, False
        return
    # A replacement is one step only within a file system, so the temporary file is in the same
    # folder. Its name does not contain the target's, as it could then be too long.
    temporary = os.path.join(os.path.dirname(path), f".fastidx-{os.urandom(8).hex()}.tmp")
    try:
        open(temporary, "xb").close()
        if mode is not None:
            os.chmod(temporary, mode)
        yield temporary, True
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = target
        raise


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
