"""Temporary files that killed processes left are removed: old ones that no process uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from saving import names

from fastidx.base.replace import replacement

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX locks and signals")

WRITER = """
import sys
from fastidx.base.replace import replacement
with replacement(sys.argv[1]) as file:
    file.write(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def writer(target: Path) -> Iterator[Path]:
    """Start a process that is writing; yield its temporary file; kill the process."""
    command = [sys.executable, "-c", WRITER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        (temporary,) = target.parent.glob(".fastidx-*.tmp")
        yield temporary
        process.kill()


def make_old(path: Path) -> None:
    hours_ago = time.time() - 2 * 3600
    os.utime(path, (hours_ago, hours_ago), follow_symlinks=False)


def save_beside(path: Path) -> None:
    with replacement(path.parent / "other") as file:
        file.write(b"new")


def test_old_leftover_is_removed(tmp_path: Path) -> None:
    with writer(tmp_path / "file") as temporary:
        pass
    assert temporary.exists()
    make_old(temporary)
    save_beside(temporary)
    assert names(tmp_path) == ["other"]


def test_young_leftover_stays(tmp_path: Path) -> None:
    with writer(tmp_path / "file") as temporary:
        pass
    save_beside(temporary)
    assert temporary.exists()


def test_file_of_a_living_process_stays_however_old(tmp_path: Path) -> None:
    with writer(tmp_path / "file") as temporary:
        make_old(temporary)
        save_beside(temporary)
        assert temporary.exists()


def test_other_names_and_kinds_stay(tmp_path: Path) -> None:
    name = ".fastidx-0123456789abcdef.tmp"
    others = [tmp_path / "x.tmp", tmp_path / ".fastidx-notes.tmp", tmp_path / f"{name}.gz"]
    for path in others:
        path.write_bytes(b"")
    os.mkfifo(tmp_path / name)
    (tmp_path / name.replace("0", "1")).mkdir()
    (tmp_path / name.replace("0", "2")).symlink_to("x.tmp")
    before = names(tmp_path)
    for path in tmp_path.iterdir():
        make_old(path)
    save_beside(others[0])
    assert names(tmp_path) == sorted([*before, "other"])
