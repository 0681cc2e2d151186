"""Measure fastidx beside its peers, alternating in one process; write a table and the raw times.

    python -m benchmarks.compare                 # all suites, the table on stdout
    python -m benchmarks.compare images --rounds 41 --cpu 1
    python -m benchmarks.compare --write         # replace the table in README.md and results.json
    python -m benchmarks.compare big --write     # replace one suite's part of them

In each round every contender loads the file once, in an order that rotates from round to round, so
that a machine that slows down slows all of them. A contender's ratio is the median, over the
rounds, of its time divided by the time of fastidx on one thread in the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import processes
from .files import BIG_N, SMOKE_BIG_N, SMOKE_N, Files, N, prepare
from .measuring import Effort, measure
from .report import environment, replace_table, report_markdown
from .suites import SUITES, Suite

_README = Path(__file__).with_name("README.md")
_RESULTS = Path(__file__).with_name("results.json")

_ROUNDS = 21
_LEAST_ROUNDS = 5
_BUDGET_S = 6.0  # for one contender in one suite: the slow ones sit out the later rounds
_SAMPLE_S = 0.002  # a shorter call is repeated, or the clock and the caches would speak
_PROCESS_ROUNDS = 15
_PROCESS = "process"  # named like a suite: the import and the peak of memory


def main(argv: Sequence[str] | None = None) -> None:
    """Run the suites that the command line names."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    report = _run(args, argv)
    print(report_markdown(report))
    if args.json is not None:
        args.json.write_text(_json(report))
    if args.write:
        if _RESULTS.exists():
            report = merged(json.loads(_RESULTS.read_text()), report)
        table = report_markdown(report)
        _README.write_text(replace_table(_README.read_text("utf-8"), table), "utf-8")
        _RESULTS.write_text(_json(report))


def _run(args: argparse.Namespace, argv: Sequence[str]) -> dict[str, Any]:
    effort, n, big_n = Effort(1, 1, 0.0, 0.0, 1), SMOKE_N, SMOKE_BIG_N
    if not args.smoke:
        effort = Effort(
            args.rounds, _LEAST_ROUNDS, _BUDGET_S, _SAMPLE_S, _PROCESS_ROUNDS, args.patience
        )
        n, big_n = N, BIG_N
    chosen = set(args.suites or _names())
    command = shlex.join(["python", "-m", "benchmarks.compare", *argv])
    with tempfile.TemporaryDirectory(prefix="fastidx-benchmarks-") as folder:
        files = prepare(Path(folder), n=n, big_n=big_n)
        return {
            "environment": environment(files),
            "suites": [
                measure(suite, files, effort) | {"command": command}
                for suite in SUITES
                if chosen & {suite.name, _family(suite)}
            ],
            "processes": processes_json(files, effort) if _PROCESS in chosen else None,
        }


def processes_json(files: Files, effort: Effort) -> dict[str, Any]:
    """Measure the import and the peaks of memory."""
    imports = [processes.import_seconds() for _ in range(effort.process_rounds)]
    result: dict[str, Any] = {"import_s": imports, "peaks": []}
    loads = [("the training images", files.images, 1), ("the big file", files.big, 2)]
    try:
        for what, path, threads in loads:
            worst = max(
                (processes.peak_memory(path, files.labels, threads=threads) for _ in range(3)),
                key=lambda peak: peak.excess,
            )
            about = {"what": what, "threads": threads, "excess": worst.excess}
            result["peaks"].append(about | worst._asdict())
    except NotImplementedError as unsupported:
        result["peak_missing"] = str(unsupported)
    return result


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the old report with the suites of the new one in place of its own.

    Nothing is left of an old report of another machine, version, day or data: what stands in one
    table can be compared.
    """
    if new["environment"] != old["environment"]:
        return new
    suites = {result["suite"]: result for result in [*old["suites"], *new["suites"]]}
    return {
        "environment": new["environment"],
        "suites": [suites[suite.name] for suite in SUITES if suite.name in suites],
        "processes": new["processes"] or old["processes"],
    }


def _json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=1) + "\n"


def _names() -> list[str]:
    return [*dict.fromkeys(_family(suite) for suite in SUITES), _PROCESS]


def _family(suite: Suite) -> str:
    """Return what names a suite, or all those whose lines are in one table."""
    return suite.name.partition("/")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    # No choices=: argparse would check the empty list against them as well.
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", type=_suite_name, help=", ".join(_names())
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="default: %(default)s")
    parser.add_argument("--cpu", type=int, help="stay on this CPU (Linux)")
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="measure while others take less than a tenth of the CPUs' time, and wait for such "
        "moments so long at most in each suite (Linux; default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw times here")
    parser.add_argument("--write", action="store_true", help="update README.md and results.json")
    parser.add_argument("--smoke", action="store_true", help="one round, small data: does it run?")
    return parser


def _suite_name(text: str) -> str:
    if text not in {*_names(), *(suite.name for suite in SUITES)}:
        raise argparse.ArgumentTypeError(f"no suite is named {text!r}")
    return text


if __name__ == "__main__":
    main()
