"""Fetch a range of a file by HTTP, and check that the answer is that range."""

from __future__ import annotations

import re
from typing import Any

from fastidx.base import network
from fastidx.errors import TruncatedError


class NoRangesError(Exception):
    """The server answers a request for a range with the whole file."""


def http_range(file: Any, begin: int, end: int, name: str) -> bytes:
    """Fetch the bytes from ``begin`` to ``end`` of a file.

    fsspec's own method returns the body of any answer with status 206, although a cache may answer
    with a range of its own blocks, and a server may encode the body.

    Parameters
    ----------
    file : fsspec.implementations.http.HTTPFile
    begin, end : int
        ``begin < end``, and ``end`` is at most the file's size.
    name : str
        What messages call the file.

    Returns
    -------
    bytes
        The beginning of this range, at least a byte of it; none if the file ends before it.

    Raises
    ------
    NoRangesError
        If the server ignores ranges and ``begin`` is not 0.
    TruncatedError
        If the answer does not contain the beginning of the range.
    OSError
        If the answer is encoded, or says nothing about the range that it contains.
    """
    from fsspec.asyn import sync

    data: bytes = sync(file.loop, _fetch, file, begin, end, name)
    return data


async def _fetch(file: Any, begin: int, end: int, name: str) -> bytes:
    options = dict(file.kwargs)
    headers = {**options.pop("headers", {}), **network.IDENTITY}
    headers["Range"] = f"bytes={begin}-{end - 1}"
    request = file.session.get(file.fs.encode_url(file.url), headers=headers, **options)
    async with await request as answer:
        if answer.status == 416:
            return b""
        answer.raise_for_status()
        encoding = answer.headers.get("Content-Encoding", "")
        if answer.status != 206:
            if begin:
                raise NoRangesError
            return await _read(answer, 0, end)
        if encoding not in ("", "identity"):
            raise OSError(
                f"{name}: expected bytes {begin:,} to {end:,} as they are in the file, found them "
                f"encoded ({encoding}); download the file first"
            )
        said = answer.headers.get("Content-Range", "")
        matched = re.match(r"bytes (\d+)-(\d+)/", said)
        if matched is None:
            raise _other_range(name, begin, end, f"Content-Range {said!r}")
        first, stop = int(matched[1]), int(matched[2]) + 1
        if not first <= begin < stop:
            raise _other_range(name, begin, end, f"bytes {first:,} to {stop:,}")
        data = await _read(answer, begin - first, min(end, stop) - begin)
        if not data:
            raise _other_range(name, begin, end, "an empty answer")
        return data


async def _read(answer: Any, skip: int, nbytes: int) -> bytes:
    """Read a body: drop its first bytes, return the next ones, and leave the rest."""
    guard = network.RateGuard()
    data = bytearray()
    while len(data) < skip + nbytes:
        chunk = await answer.content.readany()
        if not chunk:
            break
        guard.received(len(chunk))
        data += chunk
    return bytes(memoryview(data)[skip : skip + nbytes])


def _other_range(name: str, begin: int, end: int, found: str) -> TruncatedError:
    return TruncatedError(
        f"{name}: expected the bytes {begin:,} to {end:,} from the server, found {found}; "
        "try again, or download the file first"
    )
