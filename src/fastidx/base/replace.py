"""Where files are written: file objects, and paths, whose old file stays until the new is whole."""

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
        """What has a ``write`` method for bytes."""

        def write(self, data: bytes, /) -> object:
            """Write bytes, all of them or as many as the result says."""


def path_of(target: object) -> str | None:
    """Return the path that ``target`` is, None for a file object."""
    if isinstance(target, (str, os.PathLike)):
        return os.fsdecode(target)
    if hasattr(target, "write"):
        return None
    raise TypeError(
        "target: expected a path or a binary file object, which has a write method, "
        f"found {type(target).__name__}"
    )


def write_all(file: Writable, parts: Iterable[bytes]) -> None:
    """Write these bytes to a file that may take fewer at a time."""
    for part in parts:
        rest = part
        while rest:
            written = file.write(rest)
            # Only an unbuffered file may write less than it was given; others may return anything.
            if not isinstance(written, int) or written >= len(rest):
                break
            if written <= 0:
                raise OSError(errno.EIO, f"the file accepted none of {len(rest)} bytes")
            rest = rest[written:]


@contextlib.contextmanager
def replacement(name: str) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of ``name`` if all goes well."""
    path, mode = _replaceable(name)
    if path is None:
        with open(name, "wb") as file:
            yield file
        return
    # In the same folder, since only within one file system is a replacement one step; and with
    # a name of its own, since one derived from the target's could be too long.
    temporary = os.path.join(os.path.dirname(path), f".fastidx-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename in (None, temporary):
            error.filename = name
        raise


def _replaceable(name: str) -> tuple[str | None, int | None]:
    """Return the file to replace and its permissions, None if there is none yet.

    Without a path to replace, the file is to be opened as it is: that is a pipe or a device, which
    a replacement would destroy, or a folder, where opening gives the natural error.
    """
    try:
        status = os.stat(name)
    except FileNotFoundError:
        if not name or name.endswith((os.sep, "/")):
            raise
        return _without_link(name), None
    if not stat.S_ISREG(status.st_mode):
        return None, None
    path = _without_link(name)
    # A replacement needs no permission to write the old file; to be refused it is still natural.
    os.close(os.open(path, os.O_WRONLY))
    return path, stat.S_IMODE(status.st_mode)


def _without_link(path: str) -> str:
    # Not for all: an absolute path can be out of reach where the relative one is not.
    return os.path.realpath(path) if os.path.islink(path) else path
