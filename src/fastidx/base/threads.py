"""How many threads to use, and how to use them so that none is left behind."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from . import settings

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


# The limit of a container on Linux (cgroup v2): microseconds of CPU time, or "max", in each period
# of so many.
_CPU_LIMIT = "/sys/fs/cgroup/cpu.max"

# How long a thread may take to begin after the system has been asked for it.
_START_S = 1.0
# How often a waiting thread looks whether it is to go on.
_POLL_S = 0.05


def available_threads() -> int:
    """Return how many threads to use where nothing else is said.

    That is what the environment variable ``FASTIDX_THREADS`` says or, without it, the number of
    CPUs that this process may use.
    """
    return settings.threads() or _usable_cpus()


def _usable_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    try:
        with open(_CPU_LIMIT) as file:
            quota, period = file.read().split()
        return min(cpus, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return cpus  # there is no limit, or none that is said so


def check_threads(threads: int) -> int:
    """Return a number of threads, if it is one."""
    if threads < 1:
        raise ValueError(f"threads: expected a positive integer or None, found {threads}")
    return threads


class Cancelled(Exception):
    """Raised in a thread whose caller no longer wants its work."""


class Crew:
    """Threads that work for one caller, who ends them all before it returns.

    The caller shares no lock with them, since an interrupt (Ctrl-C raises `KeyboardInterrupt` in
    the main thread, between any two steps) could leave a lock taken. It sets a flag that the
    threads read.

    Attributes
    ----------
    stopped : bool
        Whether the threads are to end.
    errors : list of BaseException
        What they raised.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.errors: list[BaseException] = []
        self._threads: list[_Thread] = []

    def start(self, work: Callable[[], object]) -> bool:
        """Start a thread; return False if the system has none to give.

        Threads of the crew may call this too.
        """
        if self.stopped:
            return False
        thread = _Thread(self, work)
        self._threads.append(thread)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            self._threads.remove(thread)
            return False
        return True

    def wait(self) -> None:
        """Wait until all threads have ended, also those that they start meanwhile."""
        while self._threads:
            self._threads[0].wait()
            del self._threads[:1]

    def end(self) -> None:
        """Have all threads stop, and wait until they have, even if that is interrupted."""
        interrupt = None
        self.stopped = True
        while self._threads:
            try:
                self.wait()
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt


class _Thread(threading.Thread):
    """A thread of a crew.

    An interrupted `threading.Thread.join` may take a thread for ended that still runs (Python
    3.11), so that the thread itself says when it has begun and when it has finished.
    """

    def __init__(self, crew: Crew, work: Callable[[], object]) -> None:
        super().__init__(name="fastidx", daemon=True)
        self._crew = crew
        self._work = work
        self._begun = self._finished = False
        self._end = threading.Lock()  # free once the thread has finished
        self._end.acquire()

    def run(self) -> None:
        """Work, and note an error."""
        self._begun = True
        try:
            if not self._crew.stopped:
                self._work()
        except Cancelled:
            pass
        except BaseException as error:
            self._crew.errors.append(error)
        finally:
            self._finished = True
            self._end.release()

    def wait(self) -> None:
        """Wait until the thread has ended.

        An interrupt inside `threading.Thread.start` leaves a thread that begins within moments, or
        never.
        """
        deadline = time.monotonic() + _START_S
        while not self._finished:
            self._end.acquire(timeout=_POLL_S)  # an interrupt may leave it taken: the flag counts
            if not self._begun and time.monotonic() > deadline:
                return
        while self in threading.enumerate():
            time.sleep(0)


def run_all(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], threads: int
) -> list[_Result]:
    """Apply a function to all tasks, in this thread and others; return the results in order.

    No more threads are started than there are tasks. Where the system has no more threads, or a
    thread has no memory for a task, this thread does the work.

    The first error stops the others after the task that they are at, and is raised. All threads
    have ended when this returns or raises.
    """
    todo = list(tasks)
    results: dict[int, _Result] = {}
    left: list[int] = []  # tasks for which a thread had no memory
    numbers = itertools.count()  # to take the next number is one step, which needs no lock
    crew = Crew()

    def work(numbers: Iterable[int] = numbers) -> None:
        for number in numbers:
            if number >= len(todo) or crew.errors or crew.stopped:
                return
            results[number] = function(todo[number])

    def work_aside() -> None:
        for number in numbers:
            if number >= len(todo) or crew.errors or crew.stopped:
                return
            try:
                results[number] = function(todo[number])
            except MemoryError:
                left.append(number)
                return

    try:
        for _ in range(min(threads, len(todo)) - 1):
            if not crew.start(work_aside):
                break
        work()
        crew.wait()
        work(left)
    except BaseException:
        crew.end()
        raise
    finally:
        crew.end()
    if crew.errors:
        raise crew.errors[0]
    return [results[number] for number in sorted(results)]
