"""The installed package, the source distribution, and the cost of an import."""

import doctest
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import fastidx
from fastidx import _kernel

ROOT = Path(__file__).resolve().parents[1]

# Cython adds these names to every module, or to every extension type. No stub declares them.
CYTHON_NAMES = r"""
fastidx\._kernel\.__pyx_capi__
fastidx\._kernel\.__test__
fastidx\._kernel\.(.*\.)?__(reduce|setstate)_cython__
"""

HEAVY = {
    "argparse",
    "asyncio",
    "concurrent.futures",
    "doctest",
    "http",
    "importlib.metadata",
    "matplotlib",
    "multiprocessing",
    "tempfile",
    "typing_extensions",
    "unittest",
}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command and return its output; a failure shows all of it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def modules_after(statement: str, cwd: Path) -> set[str]:
    """Return the names of the modules that a fresh interpreter holds after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(run(sys.executable, "-c", code, cwd=cwd).split())


def test_version_is_the_installed_distributions() -> None:
    assert fastidx.__version__ == importlib.metadata.version("fastidx")


def test_numpy_is_the_only_runtime_dependency() -> None:
    requirements = importlib.metadata.requires("fastidx") or []
    assert [line for line in requirements if "extra ==" not in line] == ["numpy>=2"]


def test_package_ships_its_types() -> None:
    package = Path(fastidx.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_kernel.pyi").is_file()


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    added = modules_after("import fastidx", tmp_path) - modules_after("import numpy", tmp_path)
    assert "fastidx._kernel" in added
    assert not added & (HEAVY | {"fastidx.cli.main", "fastidx.synthetic"})


def test_import_loads_no_other_distribution(tmp_path: Path) -> None:
    added = modules_after("import fastidx", tmp_path) - modules_after("import numpy", tmp_path)
    owners = {name.partition(".")[0] for name in added if "cython_" not in name}  # Cython's own
    assert owners - sys.stdlib_module_names == {"fastidx"}


def test_readme_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, encoding="utf-8")
    assert result.attempted > 0
    assert result.failed == 0


def test_kernel_examples() -> None:
    result = doctest.testmod(_kernel)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.slow
def test_stub_agrees_with_the_extension(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    allowlist = tmp_path / "allowlist"
    allowlist.write_text(CYTHON_NAMES, encoding="utf-8")
    stubtest = [sys.executable, "-m", "mypy.stubtest", "fastidx._kernel"]
    run(*stubtest, "--allowlist", allowlist, "--ignore-unused-allowlist", cwd=tmp_path)


@pytest.fixture(scope="module")
def sdist_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Build the source distribution from a copy of the tree; return its files' names."""
    pytest.importorskip("setuptools", minversion="77")
    pytest.importorskip("Cython", minversion="3.1")
    tree = tmp_path_factory.mktemp("sdist") / "tree"
    untracked = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.so")
    shutil.copytree(ROOT, tree, ignore=untracked)
    (tree / "src/fastidx/_kernel.c").write_text("generated", encoding="utf-8")
    code = "import setuptools.build_meta as backend; backend.build_sdist('dist')"
    run(sys.executable, "-c", code, cwd=tree)
    (archive,) = (tree / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


@pytest.mark.slow
def test_sdist_holds_every_source_of_the_build(sdist_names: set[str]) -> None:
    suffixes = {".py", ".pyi", ".pyx", ".pxd", ".c", ".h", ".typed"}
    sources = {path for path in (ROOT / "src").rglob("*") if path.suffix in suffixes}
    expected = {path.relative_to(ROOT).as_posix() for path in sources}
    expected |= {"setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
    assert expected - {"src/fastidx/_kernel.c"} <= sdist_names


@pytest.mark.slow
def test_sdist_holds_nothing_generated(sdist_names: set[str]) -> None:
    generated = {"src/fastidx/_kernel.c", "build"}
    assert not sdist_names & generated
    assert not [name for name in sdist_names if name.endswith((".so", ".pyc", ".o"))]
