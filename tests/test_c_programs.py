"""The tests written in C: each is compiled as its first comment says, and run.

Where the compiler has AddressSanitizer and UndefinedBehaviorSanitizer, with these.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = sorted(ROOT.glob("tests/c/*.c"))
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the tests in C are for POSIX")


def run(command: list[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a command without what would get a sanitizer into the compiler, too."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200
    )


def builds(compiler: list[str], code: str, flags: list[str], folder: Path) -> bool:
    """Whether a program can be compiled, and runs."""
    (folder / "probe.c").write_text(code, encoding="utf-8")
    compiled = run([*compiler, "probe.c", *flags, "-o", "probe"], folder)
    return compiled.returncode == 0 and run([str(folder / "probe")]).returncode == 0


def documented_command(source: Path) -> list[str]:
    """The compiler's arguments, from the comment; backslashes continue lines there."""
    comment = source.read_text(encoding="utf-8").partition("*/")[0]
    found = re.search(r"^ \* +gcc ((?:.*\\\n)*.*)$", comment, re.MULTILINE)
    assert found is not None, f"{source}: its first comment should say how gcc compiles it"
    command = shlex.split(re.sub(r"\\\n \*", " ", found[1]))
    assert command[-2:] == ["-o", source.stem]
    return command[:-1]


@pytest.fixture(scope="module")
def compiler() -> list[str]:
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    commands = [shlex.split(name) for name in names if name]
    found = next((command for command in commands if shutil.which(command[0])), None)
    if found is None:
        pytest.skip("no C compiler: install one, or name it in CC")
    return found


@pytest.fixture(scope="module")
def sanitizers(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What turns sanitizers on; nothing where the compiler has none, or they do not run."""
    folder = tmp_path_factory.mktemp("sanitizers")
    return (
        SANITIZERS if builds(compiler, "int main(void) { return 0; }", SANITIZERS, folder) else []
    )


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda source: source.stem)
def test_program(source: Path, compiler: list[str], sanitizers: list[str], tmp_path: Path) -> None:
    arguments = documented_command(source)
    with_zlib = "#include <zlib.h>\nint main(void) { return zlibVersion() == 0; }"
    if "-lz" in arguments and not builds(compiler, with_zlib, ["-lz"], tmp_path):
        pytest.skip("compares with zlib, whose header is not installed (Debian: zlib1g-dev)")
    program = str(tmp_path / source.stem)
    compiled = run([*compiler, *sanitizers, *arguments, program])
    assert compiled.returncode == 0, compiled.stderr
    done = run([program])
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 4
