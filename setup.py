"""Describe the extension; everything else about the package stands in pyproject.toml.

Two environment variables choose another build, each in a build folder of its own:

FASTIDX_DEBUG=1
    Assertions, debug information, no optimisation, the compiler's warnings.
FASTIDX_SANITIZE=address (or 1), FASTIDX_SANITIZE=thread
    AddressSanitizer and UndefinedBehaviorSanitizer, or ThreadSanitizer (gcc and clang);
    tests/sanitize.sh uses them.
"""

import os
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

OPTIMIZE = "-O3"
MSVC = sys.platform == "win32"
# One wheel for CPython 3.11 and later. Free-threaded builds have no limited API.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

PACKAGE = Path("src/fastidx")
SANITIZERS = {"address": "address,undefined", "thread": "thread"}


def variant() -> str:
    """Return which build the environment asks for: release, debug, or a sanitizer's name."""
    sanitizer = os.environ.get("FASTIDX_SANITIZE") or "0"
    if sanitizer != "0":
        name = "address" if sanitizer == "1" else sanitizer
        if name not in SANITIZERS:
            raise SystemExit(f"FASTIDX_SANITIZE: expected address or thread, found {sanitizer!r}")
        return name
    return "release" if os.environ.get("FASTIDX_DEBUG", "0") in ("", "0") else "debug"


def flags(build: str) -> tuple[list[str], list[str]]:
    """Return the arguments for the compiler and for the linker."""
    if MSVC:
        return ["/std:c11", "/Od" if build == "debug" else "/O2"], []
    common = ["-std=c11", "-fvisibility=hidden"]
    if build == "debug":
        return [*common, "-O0", "-g3", "-Wall", "-Wextra"], []
    if build in SANITIZERS:
        sanitize = f"-fsanitize={SANITIZERS[build]}"
        checks = [sanitize, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        return [*common, "-O1", "-g", *checks], [sanitize]
    return [*common, OPTIMIZE, "-g0"], []


def kernel(build: str) -> Extension:
    """Return the one extension module: the C kernel and its Cython binding."""
    sources = [PACKAGE / "_kernel.pyx", *sorted(PACKAGE.glob("kernel/*.c"))]
    headers = [*sorted(PACKAGE.glob("kernel/*.h")), *PACKAGE.glob("*.pxd")]
    headers += sorted(PACKAGE.glob("kernel/binding/*.pxi"))
    compile_args, link_args = flags(build)
    return Extension(
        "fastidx._kernel",
        sources=[source.as_posix() for source in sources],
        depends=[header.as_posix() for header in headers] + ["setup.py"],
        include_dirs=[PACKAGE.as_posix()],
        define_macros=[("Py_LIMITED_API", "0x030b0000")] if LIMITED_API else [],
        undef_macros=["NDEBUG"] if build != "release" else [],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        py_limited_api=LIMITED_API,
    )


BUILD = variant()
setup(
    ext_modules=[kernel(BUILD)],
    options={
        "build": {"build_base": f"build/{BUILD}"},
        "build_ext": {"cython_c_in_temp": True},
        "bdist_wheel": {"py_limited_api": "cp311"} if LIMITED_API else {},
    },
)
