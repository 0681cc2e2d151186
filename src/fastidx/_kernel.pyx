# cython: language_level=3, boundscheck=False, wraparound=False
"""The C kernel for Python: buffers, the GIL, and statuses turned into exceptions.

Each function here has one shape: it acquires the buffers, runs C with the GIL released for a
bounded amount of work, looks for signals and checks the status. Paths, shapes and policy live in
the Python modules. kernel/binding/ has one file for each job.
"""

# Not declared as freethreading_compatible: no free-threaded Python has run the tests of threads,
# and one that imports this module turns its GIL on.

from typing import NamedTuple

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from .errors import ChecksumError, CorruptError, IdxError, TrailingDataError, TruncatedError
from fastidx.base import settings
from fastidx.base.memory import in_huge_pages
from fastidx.base.threads import Cancelled

# RFC 1951, section 3.2.5: no distance is longer.
cdef enum: WINDOW_NBYTES = 32768

# One kernel call takes and makes at most this much, so that it lasts milliseconds and Ctrl-C and
# other threads need not wait: bytes of output bound long matches, bytes of input empty blocks.
cdef enum: CALL_IN_NBYTES = 128 * 1024
cdef enum: CALL_OUT_NBYTES = 4 * 1024 * 1024

# History plus slice, small enough for the L2 cache. The slack spares the kernel, which stops at the
# first symbol past its goal, the checked loop.
cdef enum: SCRATCH_NBYTES = 4 * WINDOW_NBYTES
cdef enum: SCRATCH_SLACK = 512

# What a speculation takes of the input in one go behind where it should end: about a block.
cdef enum: SPECULATION_SLACK = 32 * 1024


include "kernel/binding/cpu.pxi"
include "kernel/binding/verdicts.pxi"
include "kernel/binding/checksums.pxi"
include "kernel/binding/items.pxi"
include "kernel/binding/gzip_decoder.pxi"
include "kernel/binding/guesses.pxi"
include "kernel/binding/front.pxi"
include "kernel/binding/testing.pxi"
