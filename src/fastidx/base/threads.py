"""How many threads to use, and how to use them so that none is left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from . import settings

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


# The limit of a container on Linux (cgroup v2): microseconds of CPU time, or "max", in each period
# of so many.
_CPU_LIMIT = "/sys/fs/cgroup/cpu.max"


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


def run_all(
    function: Callable[[_Task], _Result], tasks: Iterable[_Task], threads: int
) -> list[_Result]:
    """Apply a function to all tasks, in this thread and others; return the results in order.

    The first error stops the others after the task that they are at, and is raised. All threads
    have ended when this returns, whatever happens.
    """
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []
    numbered = enumerate(tasks)
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                number, task = next(numbered, (-1, None))
            if task is None:
                return
            results[number] = function(task)

    def work_aside() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=work_aside, daemon=True) for _ in range(threads - 1)]
    try:
        for helper in helpers:
            helper.start()
        work()
    except BaseException as error:
        errors.insert(0, error)
    finally:
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
    if errors:
        raise errors[0]
    return [results[number] for number in sorted(results)]
