"""How much of the machine other processes take while something is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

_STAT = Path("/proc/stat")


class Usage(NamedTuple):
    """Seconds of CPU time since the machine started, or since something else did."""

    total: float
    busy: float
    own: float

    def since(self, before: Usage) -> Usage:
        """Return what came in between."""
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def others(self) -> float:
        """The part of all CPUs' time that other processes took, from 0 to 1."""
        if self.total <= 0:
            return 0.0
        # The kernel counts its own ticks and ours apart, so the difference can be less than none.
        return max(0.0, self.busy - self.own) / self.total


def usage() -> Usage | None:
    """Return the usage until now; None where the system does not tell it as Linux does."""
    if not _STAT.exists():
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal; all guests are among the users
    with _STAT.open() as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    total = sum(ticks)
    per_second = os.sysconf("SC_CLK_TCK")
    busy = total - ticks[3] - ticks[4]
    return Usage(total / per_second, busy / per_second, sum(os.times()[:4]))
