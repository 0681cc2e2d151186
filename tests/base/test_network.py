"""The network policy: slow transfers end, and errors are told in one line."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from fastidx.base import network


@pytest.mark.parametrize(
    ("rate", "fails"), [(1, True), (1000, True), (1024, False), (10**6, False)]
)
def test_transfer_below_the_least_rate_is_given_up(rate: int, fails: bool) -> None:
    now_s = 0.0
    guard = network.RateGuard(clock=lambda: now_s)
    with pytest.raises(network.SlowTransferError) if fails else nullcontext():
        for _ in range(200):
            now_s += 1.0
            guard.received(rate)
    assert now_s == (network.WINDOW_S if fails else 200)


def test_each_window_counts_for_itself() -> None:
    now_s = 0.0
    guard = network.RateGuard(clock=lambda: now_s)
    now_s = 30.0
    guard.received(1 << 30)
    now_s = 61.0
    guard.received(1)
    now_s = 122.0
    with pytest.raises(network.SlowTransferError, match="sent 1 bytes in 61 seconds"):
        guard.received(1)


def test_error_is_told_by_the_innermost_in_one_line() -> None:
    refused = OSError(111, "Connection refused")
    inner = RuntimeError("<urllib3.HTTPConnection object at 0x7f12ab>: Failed")
    inner.__cause__ = refused
    outer = RuntimeError(inner)
    assert network.one_line(outer) == "Connection refused"
    assert network.one_line(RuntimeError("<a.B object at 0x7f12ab>: Failed\n to do")) == (
        "Failed to do"
    )
    assert len(network.one_line(RuntimeError("x" * 5000))) <= 160
    assert network.one_line(KeyError()) == "KeyError"


def test_secrets_are_left_out() -> None:
    error = OSError("GET https://me:secret@host/file?sig=secret failed")
    assert "secret" not in network.one_line(error)


def test_pauses_double() -> None:
    assert network.pause_s(2) == 2 * network.pause_s(1) == 2 * network.PAUSE_S
