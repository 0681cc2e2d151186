"""An interrupt between any two steps of a load leaves no thread, no lock and no hang."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from worker import Worker

import fastidx

PACKAGE = str(Path(fastidx.__file__).parent)
NITEMS = 400_000


def sample() -> bytes:
    """A gzip file of many small blocks, large enough for several threads."""
    rng = np.random.default_rng(3)
    data = rng.integers(0, 40, NITEMS, dtype=np.uint8).tobytes()
    content = fastidx.IdxHeader(0x08, (NITEMS,)).to_bytes() + data
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31, 4)
    return compressor.compress(content) + compressor.flush()


def left_threads() -> list[str]:
    """Threads that live. One whose start was interrupted may be listed without having begun."""
    threads = [t for t in threading.enumerate() if t.name.startswith("fastidx")]
    return [t.name for t in threads if t.is_alive()]


class Interrupt:
    """Raises KeyboardInterrupt before the n-th line that the main thread runs in a load."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def interrupt_each_line(source: Any, first: int, step: int) -> tuple[int, list[str]]:
    """Interrupt loads at their lines; return how many were, and what was left of any."""
    faults: list[str] = []
    line, interrupted = first, 0
    while True:
        started = time.monotonic()
        sys.settrace(Interrupt(line))
        try:
            fastidx.load(source, threads=3)
            return interrupted, faults  # the load has no more lines
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        if left := left_threads():
            faults.append(f"line {line}: left {left}")
        if time.monotonic() - started > 5:
            faults.append(f"line {line}: took {time.monotonic() - started:.1f} s")
        line += step


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("kind", ["gzip", "plain"])
def test_interrupt_at_each_line(isolated: Worker, first: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    plain = fastidx.load(sample())
    if kind == "gzip":
        path.write_bytes(sample())
    else:
        fastidx.save(path, plain)
    interrupted, faults = isolated(interrupt_each_line, path, first, 4)
    assert faults == []
    assert interrupted > 30


def interrupt_at_random(content: bytes, rounds: int) -> list[str]:
    """Interrupt loads by a signal at random times, as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    rng = np.random.default_rng(7)
    faults = []
    for n in range(rounds):
        with contextlib.suppress(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(1e-5, 0.006)))
            fastidx.load(content, threads=2)
            signal.setitimer(signal.ITIMER_REAL, 0)
        if left := left_threads():
            faults.append(f"round {n}: left {left}")
    return faults


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_interrupt_at_random_times(isolated: Worker) -> None:
    assert isolated(interrupt_at_random, sample(), 400) == []
