"""Files of several gzip members, decoded side by side.

A gzip file may be many members in a row (RFC 1952, section 2.2), each of which can be decoded on
its own. The BGZF convention of the SAM/BAM format (section 4.1 of its specification) says in each
header how long the member is; in other files the headers can be searched for. Either way, ISIZE
tells what a member decodes to, so that each has its place in the result before anything is decoded.

A boundary that was not one is noticed, since the member before it then does not end there, or not
with the right checksum. Then the load starts again with the serial decoder, which says
what is wrong.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np

from fastidx._kernel import GzipDecoder
from fastidx.base.threads import run_all
from fastidx.codecs.plain import PlainDecoder
from fastidx.errors import IdxError
from fastidx.items.destination import Destination
from fastidx.sources.memory import MemorySource
from fastidx.sources.protocol import Source

# ID1 ID2 CM, FLG without reserved bits, MTIME, XFL and OS as writers set them: in compressed data,
# one false match in about 10**12 bytes.
_MEMBER_HEADER = re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL)
_BGZF_HEADER = b"\x1f\x8b\x08\x04"
_MIN_MEMBER_NBYTES = 18  # header of 10 bytes, footer of 8

# Compressed bytes that one task decodes: as many members as that takes.
_TASK_NBYTES = 256 * 1024


@dataclass(frozen=True)
class _Task:
    """Members in a row: where they lie in the file, and their data in what it decodes to."""

    begin: int
    end: int
    data_begin: int
    data_end: int


def may_have_members(source: Source, decoded_nbytes: int) -> bool:
    """Whether a file that should decode to so much may be of several members.

    It is not if its last four bytes, ISIZE of the last member, account for all of that.
    """
    nbytes = source.nbytes or 0
    last = source.read_range(max(0, nbytes - 4), nbytes)
    return len(last) == 4 and _isize(last, 4) != decoded_nbytes % 2**32


def find_tasks(data: memoryview, decoded_nbytes: int) -> list[_Task] | None:
    """Divide a file at the boundaries of its members.

    Parameters
    ----------
    data : memoryview
        The compressed file.
    decoded_nbytes : int
        Size of what it should decode to.

    Returns
    -------
    list of _Task or None
        None if the file seems to be of one member, or its members do not add up.
    """
    if len(data) < _MIN_MEMBER_NBYTES:
        return None
    begins = _bgzf_begins(data) or [found.start() for found in _MEMBER_HEADER.finditer(data)]
    if not begins or begins[0] != 0:
        return None
    tasks = []
    begin = data_begin = data_end = 0
    for member_begin, member_end in zip(begins, [*begins[1:], len(data)], strict=True):
        if member_end - member_begin < _MIN_MEMBER_NBYTES:
            return None
        data_end += _isize(data, member_end)
        if member_end - begin >= _TASK_NBYTES or member_end == len(data):
            tasks.append(_Task(begin, member_end, data_begin, data_end))
            begin, data_begin = member_end, data_end
    return tasks if data_end == decoded_nbytes and len(tasks) > 1 else None


def load_tasks(
    data: memoryview,
    name: str,
    items: Destination,
    tasks: list[_Task],
    *,
    threads: int,
    verify: bool,
) -> bool:
    """Decode the members into ``items``; False if anything is wrong."""

    def load(task: _Task) -> bool:
        return _load_task(data, name, items, task, verify)

    try:
        return all(run_all(load, tasks, threads))
    except IdxError:
        return False


def _isize(data: memoryview, end: int) -> int:
    """Read ISIZE of the member that ends there."""
    return int(struct.unpack_from("<I", data, end - 4)[0])


def _bgzf_begins(data: memoryview) -> list[int] | None:
    """Follow the members of a BGZF file by their lengths; None if it is none."""
    begins = []
    pos = 0
    while pos < len(data):
        begins.append(pos)
        nbytes = _bgzf_nbytes(data, pos)
        if nbytes is None or pos + nbytes > len(data):
            return None
        pos += nbytes
    return begins


def _bgzf_nbytes(data: memoryview, pos: int) -> int | None:
    """Read from the subfield BC how long the member at ``pos`` is."""
    if data[pos : pos + 4] != _BGZF_HEADER or pos + 12 > len(data):
        return None
    end = pos + 12 + struct.unpack_from("<H", data, pos + 10)[0]
    pos += 12
    while pos + 6 <= min(end, len(data)):
        name, nbytes, value = struct.unpack_from("<2sHH", data, pos)
        if name == b"BC" and nbytes == 2:
            return int(value) + 1
        pos += 4 + int(nbytes)
    return None


def _load_task(data: memoryview, name: str, items: Destination, task: _Task, verify: bool) -> bool:
    """Deliver the items that begin in a task's data; the last may end in the data behind it."""
    item = items.item_nbytes
    header_nbytes = items.header.header_nbytes
    first = max(0, task.data_begin - header_nbytes + item - 1) // item * item
    stop = max(0, task.data_end - header_nbytes + item - 1) // item * item
    decoder = GzipDecoder(MemorySource(data[task.begin : task.end], name), verify=verify)
    skipped = np.empty(header_nbytes + first - task.data_begin, np.uint8)
    if decoder.read_into(skipped) < len(skipped):
        return False
    first += items.read(decoder, first, stop)
    if first < stop:
        edge = np.empty(item, np.uint8)
        begun = (task.data_end - header_nbytes) % item
        behind = GzipDecoder(MemorySource(data[task.end :], name), verify=False, read_ahead=False)
        if (
            first + item != stop
            or decoder.read_into(edge) != begun
            or behind.read_into(edge[begun:]) < item - begun
        ):
            return False
        items.read(PlainDecoder(MemorySource(edge.data, name)), first, stop)
    return decoder.at_end() and not decoder.truncated
