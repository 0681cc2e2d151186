"""A load can be interrupted, and other threads run meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from deflate_writer import (
    END_OF_BLOCK,
    CodeLength,
    Deflate,
    Match,
    Repeat,
    gzip_header,
    gzip_member,
    lengths_for,
)
from worker import Worker

import fastidx
from fastidx import reference

PACKAGE = str(Path(fastidx.__file__).parent)


def endless_blocks(header: bytes) -> bytes:
    """200 MB of dynamic blocks with nothing in them: two code tables for ten bytes, no output."""
    litlen = lengths_for({ord("a"): 1, END_OF_BLOCK: 1}, 257)
    lengths: list[CodeLength] = [Repeat(18, 97), 1, Repeat(18, 138), Repeat(18, 20), 1, 0]
    block = Deflate()
    for _ in range(8):  # whatever the number of bits in one, eight end at a byte
        block.dynamic([], litlen, code_lengths=lengths)
    once = block.getvalue()
    return gzip_header() + Deflate().stored(header).getvalue() + once * (200_000_000 // len(once))


def endless_output(header: bytes) -> bytes:
    """50 MB of the longest matches in two bits each: a thousand times as much comes out."""
    block = Deflate()
    block.dynamic(
        [0] + [Match(258, 1)] * 6400, lengths_for({285: 1, 0: 2, END_OF_BLOCK: 2}, 286), [1]
    )
    block.stored()  # ends at a byte
    once = block.getvalue()
    return gzip_header() + Deflate().stored(header).getvalue() + once * (50_000_000 // len(once))


def seconds_to_interrupt(make: Callable[[bytes], bytes], nbytes: int) -> float:
    """How long load() goes on after SIGINT, which comes once it has stayed in one call."""
    source, sent = make(fastidx.IdxHeader(0x08, (nbytes,)).to_bytes()), [0.0]

    def interrupt() -> None:
        main, looks, place = threading.main_thread().ident, 0, None
        while looks < 1000:
            frame = sys._current_frames()[main or 0]
            inside = frame.f_code.co_filename.startswith(PACKAGE)
            looks = looks + 1 if inside and place == (frame, frame.f_lasti) else 0
            place = frame, frame.f_lasti
        sent[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        fastidx.load(source, strict=False)
    except KeyboardInterrupt:
        return time.monotonic() - sent[0]
    except fastidx.IdxError as error:
        raise AssertionError("load() ended before it was interrupted") from error
    raise AssertionError("load() has decoded a stream without an end")


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize("make", [endless_blocks, endless_output])
@pytest.mark.parametrize("nbytes", [1, 50_000_000])
def test_interrupt_ends_a_long_load_at_once(
    elsewhere: Worker, make: Callable[[bytes], bytes], nbytes: int
) -> None:
    # Hundredths of a second; either stream to its end would take ten seconds or more.
    assert elsewhere(seconds_to_interrupt, make, nbytes) < 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_load_works_after_an_interrupt(elsewhere: Worker) -> None:
    elsewhere(seconds_to_interrupt, endless_blocks, 1)
    loaded = elsewhere(fastidx.load, gzip_member(reference.dumps(np.array([120], np.uint8))))
    assert loaded.tobytes() == b"x"


def levels_seen_while_loading() -> int:
    """How many states of a half-filled array another thread sees during load()."""
    rng = np.random.default_rng(1)
    piece = (1 + rng.geometric(0.1, 1 << 20).clip(0, 200)).astype(np.uint8).tobytes()
    header = fastidx.IdxHeader(0x08, (64 * len(piece),)).to_bytes()
    compressor = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_HUFFMAN_ONLY)
    body = compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(header)
    for _ in range(64):
        crc = zlib.crc32(piece, crc)
    stream = Deflate().stored(header).getvalue() + body * 64 + b"\3\0"  # an empty final block
    file = gzip_header() + stream + crc.to_bytes(4, "little")
    file += (len(header) + 64 * len(piece)).to_bytes(4, "little")

    out = np.zeros(64 * len(piece), np.uint8)
    probes, levels, done = out[:: 1 << 16], set(), threading.Event()

    def watch() -> None:
        while not done.is_set():
            levels.add(np.count_nonzero(probes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        fastidx.load(file, out=out)
    finally:
        done.set()
        watcher.join()
    assert probes.all()
    return len(levels - {0, len(probes)})


def test_other_threads_run_while_load_decodes(elsewhere: Worker) -> None:
    # One that held the GIL would show an empty array, and then a full one.
    assert elsewhere(levels_seen_while_loading) >= 3
