"""The tests written in C: each is compiled as its first comment says, and run.

Where the compiler has AddressSanitizer and UndefinedBehaviorSanitizer, with these. Among them is
what fuzzers run, here for some of the seeds and a few mutants of each.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted(ROOT.glob("tests/c/*.c"))
FUZZER = ROOT / "tests/fuzz/fuzz_kernel.c"
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
    assert command[-2:] == ["-o", source.stem]  # the last is to be written elsewhere
    files = [sorted(map(str, ROOT.glob(part))) if "*" in part else [part] for part in command]
    return [*itertools.chain(*files)][:-1]


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
    works = builds(compiler, "int main(void) { return 0; }", SANITIZERS, folder)
    return SANITIZERS if works else []


@pytest.fixture
def build(
    compiler: list[str], sanitizers: list[str], tmp_path: Path
) -> Callable[[Path], list[str]]:
    """What compiles a source and returns how its program is called."""

    def build(source: Path) -> list[str]:
        arguments = documented_command(source)
        with_zlib = "#include <zlib.h>\nint main(void) { return zlibVersion() == 0; }"
        if "-lz" in arguments and not builds(compiler, with_zlib, ["-lz"], tmp_path):
            pytest.skip("compares with zlib, whose header is not installed (Debian: zlib1g-dev)")
        program = str(tmp_path / source.stem)
        compiled = run([*compiler, *sanitizers, *arguments, program])
        assert compiled.returncode == 0, compiled.stderr
        return [program]

    return build


@pytest.mark.parametrize("source", PROGRAMS, ids=lambda source: source.stem)
def test_program(source: Path, build: Callable[[Path], list[str]]) -> None:
    done = run(build(source))
    assert done.returncode == 0, done.stdout + done.stderr


def test_fuzz_target(build: Callable[[Path], list[str]], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    written = run([sys.executable, str(FUZZER.with_name("make_corpus.py")), str(corpus)])
    assert written.returncode == 0, written.stderr
    seeds = sorted(map(str, corpus.iterdir()))
    assert len(seeds) > 100
    done = run([*build(FUZZER), *seeds[::7]])
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_are_programs() -> None:
    assert len(PROGRAMS) >= 4
