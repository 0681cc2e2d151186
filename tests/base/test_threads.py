"""Threads that work for one caller: none is left behind, whatever happens."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from fastidx.base.threads import Cancelled, Crew, run_all


def fastidx_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastidx")]


def test_results_are_in_order() -> None:
    assert run_all(lambda n: n * n, range(100), 4) == [n * n for n in range(100)]
    assert run_all(lambda n: n, [], 4) == []
    assert fastidx_threads() == []


def test_no_more_threads_than_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = Crew.start

    def noted(crew: Crew, work: Any) -> bool:
        started.append(work)
        return start(crew, work)

    monkeypatch.setattr(Crew, "start", noted)
    assert run_all(lambda n: n, range(3), 20_000) == [0, 1, 2]
    assert len(started) == 2


def test_first_error_stops_the_others_and_all_have_ended() -> None:
    done = []

    def task(number: int) -> None:
        if number == 3:
            raise OSError("the third")
        time.sleep(0.001)
        done.append(number)

    with pytest.raises(OSError, match="the third"):
        run_all(task, range(10_000), 4)
    assert len(done) < 9_000
    assert fastidx_threads() == []


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_without_threads_the_caller_does_the_work(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise error

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert run_all(lambda n: n + 1, range(5), 4) == [1, 2, 3, 4, 5]
    assert not Crew().start(lambda: None)


def test_tasks_without_memory_in_a_thread_are_done_by_the_caller() -> None:
    def task(number: int) -> int:
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError
        time.sleep(0.001)
        return number

    assert run_all(task, range(20), 4) == list(range(20))


def test_memory_error_of_the_caller_is_raised() -> None:
    def task(_: int) -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        run_all(task, range(20), 4)
    assert fastidx_threads() == []


def test_crew_that_was_stopped_starts_nothing_more() -> None:
    crew = Crew()
    crew.end()
    assert not crew.start(lambda: pytest.fail("was started"))


def test_cancelled_is_no_error() -> None:
    crew = Crew()

    def work() -> None:
        raise Cancelled

    assert crew.start(work)
    crew.wait()
    assert crew.errors == []


def test_end_waits_though_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    crew = Crew()
    going, may_end = threading.Event(), threading.Event()

    def work() -> None:
        going.set()
        may_end.wait(30)

    wait, calls = Crew.wait, []

    def interrupted_wait(crew: Crew) -> None:
        calls.append(crew)
        if len(calls) == 1:
            threading.Timer(0.05, may_end.set).start()
            raise KeyboardInterrupt
        wait(crew)

    assert crew.start(work)
    going.wait(30)
    monkeypatch.setattr(Crew, "wait", interrupted_wait)
    with pytest.raises(KeyboardInterrupt):
        crew.end()
    assert fastidx_threads() == []
