"""Load and save many files at once, each with several threads; all must be as with one thread.

    PYTHONPATH=tests/support python tests/stress_threads.py [--seconds N] [--at-once N] [--seed N]

pytest does not collect this: how long it runs is yours to say. Made for ThreadSanitizer
(``tests/sanitize.sh --thread``), which sees a race when two threads meet, so they should meet
often: chunks are tiny, there are far more threads than processors, and Python switches between them
at every opportunity. Of use without it too: a wrong result, a wrong error, a hang or a thread left
behind ends the program with a message and a status that is not 0.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gzip_streams import digits, flushed, idx, stream

import fastidx
from fastidx import reference
from fastidx.gzipped import members, parallel

DATA_NBYTES = 120_000
DAMAGED_PER_FILE = 12
THREADS = range(2, 7)

Options = dict[str, Any]
Outcome = tuple[Any, ...]
Job = Callable[[int], Outcome]  # of a number of threads

OPTIONS: dict[str, list[Options]] = {
    "u1": [
        {},
        {"dtype": "float32", "scale": Fraction(1, 255)},
        {"lut": np.arange(256, dtype=np.float64) ** 2},
        {"dtype": "int8"},  # refused where it meets 128 or more
        {"verify": False, "strict": False},
    ],
    "i2": [{}, {"dtype": "float64", "scale": 0.5, "offset": -1}, {"dtype": "uint8"}],
    "f8": [{}, {"dtype": "float32"}],
}


def small_pieces(patch: pytest.MonkeyPatch) -> None:
    """Divide files of some kilobytes among many threads."""
    patch.setattr(parallel, "_CHUNK_NBYTES", 4096)
    patch.setattr(parallel, "_MIN_CHUNK_NBYTES", 512)
    patch.setattr(parallel, "_STALENESS_NBYTES", 512)
    patch.setattr(parallel, "_SEARCH_NBYTES", 512)
    patch.setattr(parallel, "_PART_NSYMBOLS", 5_000)
    patch.setattr(parallel, "_CAPACITY", 60_000)
    patch.setattr(members, "_TASK_NBYTES", 2_000)
    patch.setattr("fastidx.sources.buffered.CHUNK_NBYTES", 8192)


def outcome(function: Callable[[], Any]) -> Outcome:
    """What a call returns, or the error that it raises, in a form that can be compared."""
    try:
        result = function()
    except (fastidx.IdxError, ValueError) as error:
        return type(error), str(error)
    return result.dtype, result.shape, result.tobytes()


def files(seed: int) -> list[tuple[str, bytes]]:
    """Contents of all kinds, each with the type of its items."""
    data = digits(DATA_NBYTES, seed)
    noise = np.random.default_rng(seed).integers(0, 256, DATA_NBYTES // 2, np.uint8)
    bgzf = io.BytesIO()
    fastidx.save(bgzf, noise.reshape(-1, 20) // 8, compression="bgzf")
    whole = idx(data)
    return [
        ("u1", stream(whole, mem=4)),
        ("u1", stream(whole, 1, mem=1)),
        ("u1", stream(idx(noise.tobytes()))),
        ("u1", flushed(whole, 3_000, 2)),
        ("u1", stream(idx(data[:40_000] + bytes(300_000) + data[:40_000]), mem=2)),
        ("u1", b"".join(stream(whole[i : i + 9_001]) for i in range(0, len(whole), 9_001))),
        ("u1", bgzf.getvalue()),
        ("i2", stream(idx(data, "i2"), mem=3)),
        ("f8", stream(reference.dumps(np.frombuffer(data, "u1").astype("f8")[:15_000]), mem=4)),
    ]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with one bit flipped, or cut."""
    at = rng.randrange(10, len(content))
    if rng.random() < 0.3:
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def load_job(source: bytes | Path, options: Options) -> Job:
    return lambda threads: outcome(lambda: fastidx.load(source, threads=threads, **options))


def out_job(content: bytes) -> Job:
    expected = fastidx.load(content, threads=1)

    def job(threads: int) -> Outcome:
        return outcome(lambda: fastidx.load(content, threads=threads, out=np.empty_like(expected)))

    return job


def save_job(array: np.ndarray[Any, Any]) -> Job:
    def job(threads: int) -> Outcome:
        file = io.BytesIO()
        fastidx.save(file, array, compression="bgzf", threads=threads)
        return (file.getvalue(),)

    return job


def all_jobs(folder: Path, seed: int) -> list[Job]:
    rng = random.Random(seed)
    jobs = []
    for number, (dtype, content) in enumerate(files(seed)):
        path = folder / str(number)
        path.write_bytes(content)
        for options in OPTIONS[dtype]:
            jobs += [load_job(content, options), load_job(path, options)]
        jobs += [out_job(content), save_job(fastidx.load(content, threads=1))]
        for _ in range(DAMAGED_PER_FILE):
            options = rng.choice(OPTIONS[dtype])
            jobs.append(load_job(damaged(content, rng), options))
    return jobs


class Stress:
    """Jobs done by several threads at once, until the time is up or one goes wrong."""

    def __init__(self, jobs: list[Job], seed: int) -> None:
        self.jobs = jobs
        self.seed = seed
        self.expected = [job(1) for job in jobs]
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()  # of the counts
        self.wrong: list[str] = []

    def count_adoptions(self, patch: pytest.MonkeyPatch) -> None:
        """Count what must happen often, or else the threads had nothing to do with each other."""
        run = parallel.ParallelLoad.run

        def counted(load: parallel.ParallelLoad) -> bool:
            done = run(load)
            with self.lock:
                self.counts["chunks adopted"] += load.nadopted
            return done

        patch.setattr(parallel.ParallelLoad, "run", counted)

    def run(self, seconds: float, at_once: int) -> None:
        """Do jobs at random; returns when all threads have ended."""
        until = time.monotonic() + seconds
        workers = [
            threading.Thread(target=self._work, args=(until, random.Random(self.seed + i)))
            for i in range(at_once)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self, until: float, rng: random.Random) -> None:
        while time.monotonic() < until and not self.wrong:
            number = rng.randrange(len(self.jobs))
            threads = rng.choice(THREADS)
            try:
                found = self.jobs[number](threads)
            except BaseException as error:
                self.wrong.append(f"job {number} with {threads} threads raised {error!r}")
                raise
            if found != self.expected[number]:
                brief = f"{found!r:.300}, expected {self.expected[number]!r:.300}"
                self.wrong.append(f"job {number} with {threads} threads: found {brief}")
            with self.lock:
                self.counts["errors, as expected" if isinstance(found[0], type) else "results"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="how long (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=4, help="loads at once (%(default)s)")
    parser.add_argument("--seed", type=int, default=20261120, help="(%(default)s)")
    arguments = parser.parse_args()
    sys.setswitchinterval(1e-5)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        small_pieces(patch)
        stress = Stress(all_jobs(Path(folder), arguments.seed), arguments.seed)
        stress.count_adoptions(patch)
        faulthandler.dump_traceback_later(2 * arguments.seconds + 60, exit=True)  # it hangs
        stress.run(arguments.seconds, arguments.at_once)
        faulthandler.cancel_dump_traceback_later()
    print(f"seed {arguments.seed}, {len(stress.jobs)} jobs:", dict(stress.counts))
    if threading.active_count() != 1:
        stress.wrong.append(f"threads left behind: {threading.enumerate()}")
    for kind in ("results", "errors, as expected", "chunks adopted"):
        if stress.counts[kind] < arguments.seconds:
            stress.wrong.append(f"hardly anything was tested: {kind}: {stress.counts[kind]}")
    if stress.wrong:
        raise SystemExit("\n".join(stress.wrong))


if __name__ == "__main__":
    main()
