#!/usr/bin/env bash
# Build the extension with AddressSanitizer and UndefinedBehaviorSanitizer in a temporary folder and
# run the kernel's tests against that build, then the tests written in C:
#
#     tests/sanitize.sh [ARGUMENT FOR PYTEST]...
#
# Needs Linux, gcc, zlib's header (Debian: zlib1g-dev), and a `python` on PATH with the extra `test`
# installed. Arguments that name test files replace the kernel's; all others are added.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"

runtimes=
for library in libasan.so libstdc++.so; do # ASan looks for C++'s throw function as it starts
    path=$(gcc -print-file-name="$library")
    [[ $path == /* ]] || { echo "gcc has no $library: install its sanitizers" >&2; exit 1; }
    runtimes+=${runtimes:+:}$path
done

echo "building with sanitizers in $work"
mkdir "$work/tree"
cp -R pyproject.toml setup.py MANIFEST.in README.md LICENSE src "$work/tree"
FASTIDX_SANITIZE=1 CC=gcc python -m pip install --quiet --no-deps --target "$work/site" "$work/tree"

sanitized() {
    # Python's own allocator would hide a small object's ends from ASan. Reports go to files because
    # pytest holds stderr when the process dies. Python itself leaks on purpose.
    local common=print_stacktrace=1:log_path=$work/report
    LD_PRELOAD=$runtimes PYTHONMALLOC=malloc PYTHONPATH=$work/site \
        ASAN_OPTIONS=$common:detect_leaks=0:allocator_may_return_null=1 \
        UBSAN_OPTIONS=$common \
        "$@"
}

sanitized python - <<'END'
from pathlib import Path
from fastidx import _kernel

if b"__asan_report_load" not in Path(_kernel.__file__).read_bytes():
    raise SystemExit(f"{_kernel.__file__} was built without AddressSanitizer")
END

tests=(tests/test_{inflate_*,gzip_container,guard_pages,load,load_errors}.py)
for argument in "$@"; do
    [[ -e ${argument%%::*} ]] && tests=()
done
status=0
# A megabyte of zeros in pieces of one byte takes minutes here and shows no more than the others.
sanitized python -m pytest -p no:cacheprovider -q -k "not zeros.raw" "${tests[@]}" "$@" || status=$?

other_sources() { # the kernel's sources that a test program does not include itself
    local file
    for file in src/fastidx/kernel/*.c; do
        grep -q "#include \"$(basename "$file")\"" "$1" || echo "$file"
    done
}

for source in tests/c/*.c; do
    program=$work/$(basename "$source" .c)
    gcc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
        -Isrc/fastidx/kernel "$source" $(other_sources "$source") -lz -o "$program"
    echo "$source"
    "$program" || status=$?
done

for report in "$work"/report.*; do # also of processes whose death a test may have expected
    [[ -e $report ]] && { cat "$report" >&2; status=1; }
done
exit "$status"
