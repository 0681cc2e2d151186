"""Fetch one file: from the first mirror that has it, complete and verified, or not at all.

pooch downloads to a temporary file, compares the hash and moves the file into place; the transfer
itself, which goes on where a connection broke off and recognises what is not the file, is here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from fastidx.base import network, settings
from fastidx.base.network import one_line
from fastidx.format.typecodes import PREFIX_NBYTES

from .copies import foreign_content
from .errors import DownloadError
from .registry import Dataset, File, describe, names_by_hash

__all__ = ["download", "locked", "urls_of"]

_CHUNK_NBYTES = 64 * 1024
# A transfer that broke off has made progress if it brought as much as this.
_PROGRESS_NBYTES = 1 << 20
_INCOMPLETE = ".incomplete"
_PORTAL = (
    "sends an HTML page in place of the file, as a captive portal (the log-in page of a network) "
    "does: open the address in a browser to see which, and log in"
)


class _Refused(Exception):
    """The mirror does not have the file; the message says what it has."""


class _Broken(Exception):
    """The transfer broke off, and may be taken up again."""


class _Packages(NamedTuple):
    pooch: Any
    requests: Any
    tqdm: Any
    filelock: Any


def urls_of(dataset: Dataset, file: File) -> list[str]:
    """Return the addresses of a file, in the order to try them in.

    The environment variable ``FASTIDX_MIRROR`` replaces the public mirrors: one or more addresses,
    separated by spaces, below which each data set has a folder.
    """
    private = settings.mirrors()
    if private:
        return [f"{base.rstrip('/')}/{dataset.folder}/{file.name}" for base in private]
    return [base + file.name for base in dataset.mirrors]


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the right to change a folder, which is made if need be; wait until others let it go.

    Raises
    ------
    DownloadError
        If the folder cannot be written to.
    ImportError
        If a package for downloads is missing.
    """
    filelock = _packages().filelock
    lock = filelock.FileLock(folder / ".fastidx.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        _refuse_folder(folder, error)
    try:
        yield
    finally:
        lock.release()


def download(dataset: Dataset, file: File, folder: Path, *, max_nbytes: int) -> Path:
    """Fetch a file into a folder that is locked.

    Parameters
    ----------
    dataset : Dataset
        Which the file belongs to.
    file : File
        What to fetch.
    folder : Path
        Where to put it.
    max_nbytes : int
        A size beyond which it cannot be the file, in case its size is not known.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        If no mirror has it or the folder cannot take it; nothing is left behind then.
    """
    packages = _packages()
    _check_room(file, folder)
    incomplete = folder / _INCOMPLETE
    failures: list[str] = []
    try:
        # What a process left there that was killed; none that lives is at work, by the lock.
        shutil.rmtree(incomplete, ignore_errors=True)
        for url in urls_of(dataset, file):
            transfer = _Transfer(file, max_nbytes, packages)
            try:
                _retrieve(url, file, incomplete, transfer, packages.pooch)
            except _Refused as error:
                failures.append(f"{network.without_secrets(url)}: {error}")
                continue
            except (
                ValueError,
                network.SlowTransferError,
                packages.requests.RequestException,
            ) as error:
                failures.append(f"{network.without_secrets(url)}: {one_line(error)}")
                continue
            return (incomplete / file.name).replace(folder / file.name)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(file, folder) from error
        _refuse_folder(folder, error)
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)
    raise DownloadError(
        f"{describe(dataset, file)} could not be fetched:\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + "check the connection and try again, set FASTIDX_MIRROR to a mirror that has "
        f"{dataset.folder}/{file.name}, or put the file ({file.expected}) at {folder / file.name}"
    )


def _packages() -> _Packages:
    try:
        return _Packages(
            import_module("pooch"),
            import_module("requests"),
            import_module("tqdm"),
            import_module("filelock"),
        )
    except ImportError as error:
        raise ImportError(
            f"downloading a data set needs {error.name}, which is not installed here; install it "
            'with: pip install "fastidx[datasets]"; files that are already here load without it'
        ) from error


def _retrieve(url: str, file: File, folder: Path, transfer: _Transfer, pooch: Any) -> None:
    """Let pooch download and verify the file, without its reports to stderr."""
    known_hash = f"sha256:{file.sha256}" if file.sha256 else f"md5:{file.md5}"
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash, fname=file.name, path=folder, downloader=transfer)
    finally:
        logger.setLevel(level)


class _Transfer:
    """Copies what is at a URL into a file: pooch's downloader."""

    def __init__(self, file: File, max_nbytes: int, packages: _Packages) -> None:
        self._file = file
        self._max_nbytes = file.nbytes or max_nbytes
        self._requests = packages.requests
        self._tqdm = packages.tqdm.tqdm
        # What a break in the connection is; urllib3 comes with requests.
        self._breaks = (
            packages.requests.ConnectionError,
            packages.requests.Timeout,
            import_module("urllib3.exceptions").HTTPError,
            _Broken,
        )
        self._restart()

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download; pooch has created the file, readable by nobody else."""
        path = Path(output_file)
        path.unlink()
        with (
            path.open("xb") as out,
            self._requests.Session() as session,
            # None: no bar where stderr is not a terminal
            self._tqdm(
                total=self._file.nbytes,
                unit="B",
                unit_scale=True,
                desc=self._file.name,
                disable=None,
            ) as bar,
        ):
            self._transfer(session, url, out, bar)
        self._check()

    def _transfer(self, session: Any, url: str, out: BinaryIO, bar: Any) -> None:
        breaks = farthest = 0
        while True:
            try:
                return self._attempt(session, url, out, bar)
            except self._breaks as error:
                # Without ranges each attempt begins anew, and may break at the same point forever.
                breaks = 0 if self._nbytes >= farthest + _PROGRESS_NBYTES else breaks + 1
                farthest = max(farthest, self._nbytes)
                if breaks >= network.ATTEMPTS:
                    what = f"broke off after {farthest:,} bytes" if farthest else "sent nothing"
                    raise _Refused(
                        f"{what}, {breaks} times in a row ({one_line(error)})"
                    ) from error
                time.sleep(network.pause_s(breaks + 1))

    def _attempt(self, session: Any, url: str, out: BinaryIO, bar: Any) -> None:
        """Ask for what is still missing, and take it."""
        timeout_s = (network.CONNECT_S, network.SILENCE_S)
        with session.get(url, stream=True, timeout=timeout_s, headers=self._headers()) as response:
            if not self._continues(response):
                self._restart()
                out.seek(0)
                out.truncate()
                self._validator = response.headers.get("ETag", "")
            bar.n = self._nbytes
            # Undecoded, for some servers call a .gz file a page that was compressed in transit.
            for chunk in _chunks(response.raw):
                if self._nbytes == 0:
                    self._check_start(chunk, response)
                self._nbytes += len(chunk)
                if self._nbytes > self._max_nbytes:
                    raise _Refused(f"sends more than the {self._max_nbytes:,} bytes expected")
                for digest in self._digests:
                    digest.update(chunk)
                out.write(chunk)
                bar.update(len(chunk))
        if self._file.nbytes is not None and self._nbytes < self._file.nbytes:
            raise _Broken(f"sent {self._nbytes:,} of {self._file.nbytes:,} bytes")

    def _headers(self) -> dict[str, str]:
        headers = dict(network.HEADERS)
        if self._nbytes:
            headers["Range"] = f"bytes={self._nbytes}-"
            if self._validator.startswith('"'):  # a weak one is not allowed (RFC 9110, 13.1.5)
                headers["If-Range"] = self._validator
        return headers

    def _continues(self, response: Any) -> bool:
        """Return whether the answer goes on where the last one broke off; False: it is all."""
        status = response.status_code
        if status == 206:
            if response.headers.get("Content-Range", "").startswith(f"bytes {self._nbytes}-"):
                return True
            self._restart()  # so that the next attempt asks for no range
            raise _Broken("sent another range than was asked for")
        if status == 416 and self._nbytes:
            self._restart()
            raise _Broken("has no such range")
        if status == 200:
            return False
        if status == network.NETWORK_AUTHENTICATION_REQUIRED:
            raise _Refused(_PORTAL)
        problem = f"HTTP {status} {response.reason}"
        raise _Broken(problem) if status in network.RETRIED else _Refused(problem)

    def _check_start(self, chunk: bytes, response: Any) -> None:
        """Refuse early what cannot be the file."""
        content = foreign_content(chunk, self._file)
        if content is not None and "HTML" in content:
            raise _Refused(_PORTAL)
        if content is not None:
            raise _Refused(f"sends {content} in place of the file ({chunk[:40]!r})")
        length = response.headers.get("Content-Length", "")
        if self._file.nbytes is not None and length.isdigit() and int(length) != self._file.nbytes:
            raise _Refused(f"announces {int(length):,} bytes, expected {self._file.nbytes:,}")

    def _check(self) -> None:
        """Compare the hash, and say what came instead; pooch compares the file's own afterwards."""
        sha256, md5 = (digest.hexdigest() for digest in self._digests)
        if (self._file.sha256 or sha256, self._file.md5 or md5) == (sha256, md5):
            return
        names = names_by_hash()
        name = names.get(sha256) or names.get(md5)
        found = f"it is {name}" if name else f"{self._nbytes:,} bytes, SHA-256 {sha256}"
        raise _Refused(f"not the file ({self._file.expected}): {found}")

    def _restart(self) -> None:
        self._nbytes = 0
        self._validator = ""
        self._digests = (hashlib.sha256(), hashlib.md5(usedforsecurity=False))


def _chunks(raw: Any) -> Iterator[bytes]:
    """Yield the body as it comes, without waiting for whole chunks, so that the rate is known.

    The first chunk is long enough to recognise the content by it.
    """
    guard = network.RateGuard()
    nbytes, read = (_CHUNK_NBYTES, getattr(raw, "read1", None))  # urllib3 has it since 2.1
    if read is None:
        nbytes, read = 256, raw.read
    begin: bytes | None = b""
    while chunk := read(nbytes, decode_content=False):
        guard.received(len(chunk))
        if begin is not None:
            begin = chunk = begin + chunk
            if len(chunk) < PREFIX_NBYTES:
                continue
            begin = None
        yield chunk
    if begin:
        yield begin


def _check_room(file: File, folder: Path) -> None:
    if file.nbytes is not None and shutil.disk_usage(folder).free < file.nbytes:
        raise _no_room(file, folder)


def _no_room(file: File, folder: Path) -> DownloadError:
    needed = "" if file.nbytes is None else f" for {file.nbytes:,} bytes"
    free = shutil.disk_usage(folder).free
    return DownloadError(
        f"{folder / file.name}: expected room on the disk{needed}, found {free:,} bytes free; "
        "free some, or choose another folder with root= or FASTIDX_DATA_DIR"
    )


def _refuse_folder(folder: Path, error: OSError) -> NoReturn:
    raise DownloadError(
        f"{folder}: expected a folder that can be written to, found: "
        f"{error.strerror or error}; choose another with root= or FASTIDX_DATA_DIR"
    ) from error
