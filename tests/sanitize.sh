#!/usr/bin/env bash
# Build the extension with sanitizers in a temporary folder and run the kernel's tests against that
# build:
#
#     tests/sanitize.sh [ARGUMENT FOR PYTEST]...
#         AddressSanitizer and UndefinedBehaviorSanitizer; all tests of the kernel, in two processes
#         side by side, one of which may not use CPU-specific code.
#     tests/sanitize.sh --thread [ARGUMENT FOR PYTEST]...
#         ThreadSanitizer; tests/stress_threads.py, and the tests in which threads work together.
#
# Either takes about three minutes on two cores. Needs Linux, gcc, and a `python` on PATH with the
# extra `test` installed. Arguments that name test files replace the lists here; all others are
# added, so another -k replaces the one here.
#
# What is left out: with AddressSanitizer only a megabyte of zeros decoded in pieces of one byte,
# which takes minutes and shows no more than the others do; with ThreadSanitizer large files, whose
# threads do what those of small ones do, only longer. The tests in C are sanitized wherever the
# compiler can do it, see tests/kernel/test_c_programs.py.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"

sanitizer=address
libraries=(libasan.so libstdc++.so) # ASan looks for C++'s throw function as it starts
instrumented=__asan_report_load
tests=(tests/kernel/test_{inflate_*,gzip_container,guard_pages,speculation,reentrancy}.py)
tests+=(tests/gzipped/test_{parallel,members,index}.py tests/items)
tests+=(tests/reading/test_{load*,reader_access}.py)
selected="not zeros.raw and not portable" # in each process all tests take the same path
if [[ ${1:-} == --thread ]]; then
    shift
    sanitizer=thread
    libraries=(libtsan.so)
    instrumented=__tsan_read
    tests=(tests/gzipped/test_{parallel,members}.py)
    selected="not entropy and not empty and not real_files and not cut"
fi
for argument in "$@"; do
    [[ -e ${argument%%::*} ]] && tests=()
done

runtimes=
for library in "${libraries[@]}"; do
    path=$(gcc -print-file-name="$library")
    [[ $path == /* ]] || { echo "gcc has no $library: install its sanitizers" >&2; exit 1; }
    runtimes+=${runtimes:+:}$path
done

sanitized() {
    # Python's own allocator would hide a small object's ends from ASan. Reports go to files because
    # pytest holds stderr when the process dies. Python itself leaks on purpose, and multiprocessing
    # forks while it has threads.
    local common=print_stacktrace=1:log_path=$work/report
    LD_PRELOAD=$runtimes PYTHONMALLOC=malloc PYTHONPATH=$work/site:tests/support \
        ASAN_OPTIONS=$common:detect_leaks=0:allocator_may_return_null=1 \
        UBSAN_OPTIONS=$common \
        TSAN_OPTIONS=$common:die_after_fork=0 \
        "$@"
}

run_tests() { sanitized python -m pytest -p no:cacheprovider -q -k "$selected" "${tests[@]}" "$@"; }

reports() { # also of processes whose death a test may have expected
    cat "$work"/report.* 2>/dev/null
}

# Two threads at one variable: were that not reported, neither would be a race in the kernel.
check_that_races_are_reported() {
    echo 'int n; void race(void) { for (int i = 0; i < 10000000; i++) n++; }' >"$work/race.c"
    gcc -g -O0 -fsanitize=thread -shared -fPIC "$work/race.c" -o "$work/race.so"
    sanitized python - "$work/race.so" <<'END' || true # its status says that there is a report
import ctypes, sys, threading

race = ctypes.CDLL(sys.argv[1]).race
threads = [threading.Thread(target=race) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
END
    reports | grep -q "SUMMARY.*data race.* in race" || {
        echo "ThreadSanitizer does not work here: it did not report a race" >&2
        exit 1
    }
    rm "$work"/report.*
}

echo "building with the $sanitizer sanitizer in $work"
mkdir "$work/tree"
cp -R pyproject.toml setup.py MANIFEST.in README.md LICENSE src "$work/tree"
FASTIDX_SANITIZE=$sanitizer CC=gcc \
    python -m pip install --quiet --no-deps --target "$work/site" "$work/tree"
sanitized python - "$instrumented" <<'END'
import sys
from pathlib import Path
from fastidx import _kernel

if sys.argv[1].encode() not in Path(_kernel.__file__).read_bytes():
    raise SystemExit(f"{_kernel.__file__} was built without the sanitizer")
END

status=0
if [[ $sanitizer == thread ]]; then
    check_that_races_are_reported
    sanitized python tests/stress_threads.py --seconds 60 || status=$?
    run_tests "$@" || status=$?
else
    FASTIDX_PORTABLE=1 run_tests "$@" >"$work/portable.log" 2>&1 &
    run_tests "$@" || status=$?
    wait $! || status=$?
    echo "without CPU-specific code:"
    cat "$work/portable.log"
fi
reports >&2 && status=1
exit "$status"
