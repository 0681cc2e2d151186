"""What can only be measured in a process of its own: the import, and the peak of memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

MIB = 1 << 20

# numpy is there before the clock starts: fastidx cannot do without it.
_IMPORT = """
import time, numpy
start = time.perf_counter()
import fastidx
print(time.perf_counter() - start)
"""

# Every page that the process ever had counts towards VmHWM, so it is reset before the load. The
# first, small load brings in all code that runs.
_MEMORY = """
import sys
from pathlib import Path
import fastidx

def kib(name):
    status = Path("/proc/self/status").read_text()
    return int(status.partition(name + ":")[2].split()[0])

threads = int(sys.argv[3])
fastidx.load(sys.argv[1], threads=threads)
Path("/proc/self/clear_refs").write_text("5")
before = kib("VmHWM")
array = fastidx.load(sys.argv[2], threads=threads)
print((kib("VmHWM") - before) * 1024, array.nbytes)
"""


class Peak(NamedTuple):
    """What one load from a path added to the peak of resident memory, in bytes."""

    peak: int
    output: int
    file: int

    @property
    def excess(self) -> int:
        """Bytes beyond the output and the compressed file."""
        return self.peak - self.output - self.file


def import_seconds() -> float:
    """Return the time that ``import fastidx`` takes after ``import numpy``, once compiled."""
    # Some set PYTHONDONTWRITEBYTECODE; an installed package has been compiled.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        environment["PYTHONPYCACHEPREFIX"] = folder
        _run(_IMPORT, environment=environment)
        return float(_run(_IMPORT, environment=environment))


def peak_memory(path: Path, small: Path, *, threads: int = 1) -> Peak:
    """Measure the peak memory of loading `path` in a process that has loaded `small` before."""
    if not Path("/proc/self/clear_refs").exists():
        raise NotImplementedError("peak memory is read from Linux's /proc")
    peak, output = map(int, _run(_MEMORY, str(small), str(path), str(threads)).split())
    return Peak(peak, output, path.stat().st_size)


def start(code: str) -> None:
    """Run a Python process with `code` to its end."""
    _run(code)


def _run(code: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout
