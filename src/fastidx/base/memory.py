"""New memory, placed so that it is cheap to write to."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

Bytes1D: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint8]]

# A cache line, the widest vector unit, and what lets other libraries share the array's memory.
_ALIGNMENT = 64

# Left free in front. The data of a file begin a few bytes into a page, and so does a large block;
# to copy between two addresses that are nearly equal in their lowest twelve bits is slow, because
# a CPU takes loads for loads of what it is about to store.
_HEAD_NBYTES = 512

# What x86-64, and ARM with its smallest pages, can map at once.
_HUGE_PAGE_NBYTES = 2 << 20


def for_results(nbytes: int) -> Bytes1D:
    """Return memory for an array that is handed out, aligned to 64 bytes."""
    block = np.empty(_HEAD_NBYTES + nbytes + _ALIGNMENT, np.uint8)
    start = _HEAD_NBYTES + -_address(block) % _ALIGNMENT
    return block[start : start + nbytes]


def in_huge_pages(nbytes: int) -> Bytes1D:
    """Return memory that lies in huge pages, if the system has them and it fills any.

    Linux has a huge page ready in 40 us, but takes 700 us for the 512 small ones in its place.
    Those it takes where a block does not begin or end at the border of a huge page, so this is part
    of a larger block. Of the rest nothing is used, but the last huge page may reach into it: up to
    2 MiB more. That huge pages are wanted, numpy says for each block of 4 MiB.
    """
    if nbytes < _HUGE_PAGE_NBYTES:
        return np.empty(nbytes, np.uint8)
    block = np.empty(nbytes + 2 * _HUGE_PAGE_NBYTES, np.uint8)
    start = -_address(block) % _HUGE_PAGE_NBYTES
    return block[start : start + nbytes]


def _address(block: Bytes1D) -> int:
    return int(block.__array_interface__["data"][0])
