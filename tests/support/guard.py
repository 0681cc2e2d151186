"""Memory between two pages that nobody may touch: one byte too far and the process ends."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE


def guarded(nbytes: int, *, at_end: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`nbytes` writable bytes that end (or start) exactly at a page without access."""
    npages = max(-(-nbytes // PAGE), 1)
    region = np.frombuffer(mmap.mmap(-1, (npages + 2) * PAGE), np.uint8)
    for page in (0, npages + 1):
        _forbid(region.ctypes.data + page * PAGE)
    inside = region[PAGE : (npages + 1) * PAGE]
    inside[:] = 0xA5
    return inside[inside.size - nbytes :] if at_end else inside[:nbytes]


def guarded_copy(data: bytes, *, at_end: bool) -> memoryview:
    """`data` in such memory, as a buffer that cannot be written."""
    memory = guarded(len(data), at_end=at_end)
    memory[:] = np.frombuffer(data, np.uint8)
    return memoryview(memory).toreadonly()


def _forbid(address: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if libc.mprotect(address, PAGE, 0):  # PROT_NONE
        raise OSError(ctypes.get_errno(), "mprotect failed")
