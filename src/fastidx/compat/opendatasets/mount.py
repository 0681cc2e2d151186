"""Files mounted in a folder, by a process of their own.

A server in this process would hang it as soon as it reads a memory-mapped file without letting go
of the interpreter's lock, for which the server would wait.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

__all__ = ["MountContext", "MountError", "unmount"]

_TIMEOUT_S = 30.0
_PAUSE_S = 0.01
_INSTALL = "install it with: apt install fuse3 libfuse2 (Debian, Ubuntu) or dnf install fuse3 fuse"

# The server finds the same packages, wherever this process has them from.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from fastidx.compat.opendatasets.server import main
main(json.loads(sys.argv[2]))
"""


class MountError(OSError):
    """A folder cannot be mounted; the message says what it takes."""


class MountContext:
    """A mount that lasts as long as a ``with`` statement, or from `start` to `stop`.

    Parameters
    ----------
    sources : callable
        Returns the files to mount by their names; called with a scratch folder when it starts.
    mount_point : str or PathLike, optional
        An empty folder, made if it is not there; by default a new temporary one.
    """

    def __init__(
        self,
        sources: Callable[[Path], dict[str, Path]],
        mount_point: str | os.PathLike[str] | None = None,
    ) -> None:
        self._sources = sources
        self._mount_point = None if mount_point is None else Path(mount_point)
        self._is_temporary = mount_point is None
        self._server: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None

    @property
    def mount_point(self) -> str:
        """The folder; a temporary one is made when it is first asked for."""
        if self._mount_point is None:
            self._mount_point = Path(tempfile.mkdtemp(prefix="fastidx-mount-"))
        return str(self._mount_point)

    def start(self) -> None:
        """Mount the files.

        Raises
        ------
        ImportError
            If mfusepy is missing.
        MountError
            If FUSE is missing, or the folder cannot be mounted on.
        """
        if self._server is not None:
            raise MountError(errno.EBUSY, "is mounted already; stop it first", self.mount_point)
        _check_system()
        folder = Path(self.mount_point)
        _prepare(folder)
        self._scratch = Path(tempfile.mkdtemp(prefix="fastidx-mount-"))
        try:
            sources = self._sources(self._scratch)
            self._serve(folder, {name: str(path) for name, path in sources.items()})
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Unmount the files. Those that are open stay readable until they are closed."""
        server, self._server = self._server, None
        if server is not None:
            unmount(self.mount_point)
            if server.stdin is not None:
                server.stdin.close()
            try:
                server.wait(timeout=1)
            except subprocess.TimeoutExpired:
                # It goes on as long as a file is open; its end must be waited for all the same.
                threading.Thread(target=server.wait, daemon=True).start()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._is_temporary and self._mount_point is not None:
            with contextlib.suppress(OSError):
                self._mount_point.rmdir()
            self._mount_point = None

    def __enter__(self) -> MountContext:
        """Mount the files."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unmount the files."""
        self.stop()

    def _serve(self, folder: Path, sources: dict[str, str]) -> None:
        arguments = [json.dumps(list(map(str, sys.path))), json.dumps([str(folder), sources])]
        with tempfile.TemporaryFile() as output:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *arguments],
                stdin=subprocess.PIPE,  # closed when this process ends, however it does
                stdout=subprocess.DEVNULL,
                stderr=output,
                start_new_session=True,  # so that Ctrl-C does not reach it
            )
            give_up = time.monotonic() + _TIMEOUT_S
            while not folder.is_mount():
                ended = self._server.poll() is not None
                if ended or time.monotonic() > give_up:
                    output.seek(0)
                    raise _not_mounted(folder, output.read().decode(errors="replace"), ended)
                time.sleep(_PAUSE_S)


def unmount(folder: str | os.PathLike[str]) -> None:
    """Detach what is mounted on a folder, if anything is."""
    program = _fusermount()
    if program is not None:
        subprocess.run([program, "-u", "-z", os.fspath(folder)], capture_output=True, check=False)


def _fusermount() -> str | None:
    return shutil.which("fusermount3") or shutil.which("fusermount")


def _check_system() -> None:
    """Say what is missing before anything is fetched or started."""
    if sys.platform != "linux":
        raise MountError(
            errno.ENOTSUP,
            f"mounting works on Linux only, this is {sys.platform}; use download() instead",
        )
    if importlib.util.find_spec("mfusepy") is None:
        raise ImportError(
            "mounting needs mfusepy, which is not installed here; "
            f'install it with: pip install "fastidx[mount]"; if FUSE itself is missing, {_INSTALL}'
        )
    if _fusermount() is None:
        raise MountError(errno.ENOENT, f"mounting needs FUSE, found no fusermount3; {_INSTALL}")
    if not Path("/dev/fuse").exists():
        raise MountError(
            errno.ENODEV,
            "mounting needs the device /dev/fuse, which is not here; load the module (modprobe "
            "fuse), or start the container with --device /dev/fuse --cap-add SYS_ADMIN",
        )


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        unmount(folder)  # left behind by a server that was killed
        occupied = False
    if occupied or folder.is_mount():
        raise MountError(
            errno.ENOTEMPTY, "expected an empty folder to mount on, found it in use", str(folder)
        )


def _not_mounted(folder: Path, output: str, ended: bool) -> MountError:
    lines = [line for line in output.splitlines() if line.strip()]
    reason = lines[-1] if lines else "no message"
    if "libfuse" in output:
        reason = f"libfuse is missing ({reason}); {_INSTALL}"
    elif not ended:
        reason = f"no answer within {_TIMEOUT_S:.0f} s ({reason})"
    return MountError(errno.EIO, f"cannot be mounted on: {reason}", str(folder))
