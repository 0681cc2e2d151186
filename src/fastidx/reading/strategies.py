"""The ways in which several threads load one file."""

from __future__ import annotations

from fastidx.codecs.access import read_in_threads
from fastidx.codecs.ranges import PlainAccess
from fastidx.errors import IdxError
from fastidx.gzipped.access import GzipAccess
from fastidx.gzipped.checkpoints import CheckpointLog
from fastidx.gzipped.index import GzipIndex
from fastidx.gzipped.members import find_tasks, load_tasks, may_have_members
from fastidx.gzipped.parallel import ParallelLoad
from fastidx.items.destination import Destination
from fastidx.sources.protocol import Source


def load_plain_in_threads(source: Source, items: Destination, threads: int) -> bool:
    """Load a plain file; return False if its data are not all there, or too few to divide."""
    return read_in_threads(PlainAccess(source), items, items.header.header_nbytes, threads)


def load_gzip_in_threads(
    source: Source,
    items: Destination,
    index: GzipIndex | None,
    *,
    threads: int,
    verify: bool,
) -> bool:
    """Load a gzip file; return False if anything is wrong with it.

    Threads start where an index says, or where members begin, or else where they guess that a block
    begins. The serial decoder then says what is wrong.

    Parameters
    ----------
    source : Source
        Threads can read its ranges at the same time.
    items : Destination
    index : GzipIndex or None
    threads : int
        At least 2.
    verify : bool
        Whether to compare the checksums.
    """
    if index is not None and _load_with_index(source, items, index, threads=threads, verify=verify):
        return True
    nbytes = items.header.header_nbytes + items.header.nbytes
    if may_have_members(source, nbytes):
        data = source.read_all(threads)
        tasks = find_tasks(data, nbytes)
        if tasks is not None:
            return load_tasks(data, source.name, items, tasks, threads=threads, verify=verify)
    source.restart_at(0)
    return ParallelLoad(source, items, threads=threads, verify=verify).run()


def _load_with_index(
    source: Source,
    items: Destination,
    index: GzipIndex,
    *,
    threads: int,
    verify: bool,
) -> bool:
    """Load a gzip file of which an index says where its stretches are; False if anything is wrong.

    The file itself has the last word: its footer must state the CRC-32 and the length of all
    stretches together. That is so for a file of one member. A file of several is left to those who
    compare each member with its own footer.
    """
    header = items.header
    log = CheckpointLog.of_index(index, header.header_nbytes + header.nbytes)
    if log.nbytes != header.header_nbytes + header.nbytes:
        return False
    access = GzipAccess(source, log, verify=verify)
    if verify and not access.may_be_one_member():
        return False
    try:
        if not read_in_threads(access, items, header.header_nbytes, threads):
            return False
    except IdxError:
        return False
    return not verify or access.agrees_with_footer()
