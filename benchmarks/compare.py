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
import contextlib
import datetime
import gc
import json
import math
import os
import platform
import shlex
import sys
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

import fastidx

from . import processes
from .contenders import Contender, MissingError, available_cpus
from .files import BIG_N, SMOKE_BIG_N, SMOKE_N, Files, N, prepare
from .neighbours import usage
from .suites import SUITES, Suite, verify

_README = Path(__file__).with_name("README.md")
_RESULTS = Path(__file__).with_name("results.json")
_BEGIN, _END = "<!-- table -->", "<!-- end of table -->"

_ROUNDS = 21
_LEAST_ROUNDS = 5
_BUDGET_S = 6.0  # for one contender in one suite: the slow ones sit out the later rounds
_SAMPLE_S = 0.002  # a shorter call is repeated, or the clock and the caches would speak
_PROCESS_ROUNDS = 15
_PROCESS = "process"  # named like a suite: the import and the peak of memory
_DISTURBED = 0.1  # of all CPUs' time taken by others: with patience, the round is repeated
_LOOK_S = 0.1  # the kernel's clock ticks every 10 ms, so that is 10 ticks of each CPU


class Plan(NamedTuple):
    """How much to measure."""

    rounds: int
    least_rounds: int
    budget_s: float
    sample_s: float
    process_rounds: int
    patience_s: float = 0.0


@dataclass
class Times:
    """One contender's seconds per call, one number a round."""

    contender: Contender
    version: str
    rounds: int
    loops: int
    seconds: list[float] = field(default_factory=list)


# --- measuring ----------------------------------------------------------------------------------


def measure(suite: Suite, files: Files, plan: Plan) -> dict[str, Any]:
    """Verify and time all contenders of a suite; return the results, raw times included."""
    source = suite.source(files)
    with contextlib.closing(source) if hasattr(source, "close") else contextlib.nullcontext():
        return _measure(suite, source, plan)


def _measure(suite: Suite, source: Any, plan: Plan) -> dict[str, Any]:
    expected = suite.expected(source)
    entries: list[Times] = []
    missing: list[str] = []
    for contender in suite.contenders:
        try:
            version = contender.require()
        except MissingError as reason:
            missing.append(str(reason))
            continue
        verify(contender, contender.load(source), expected)
        once = _seconds(contender.load, source, 1)
        rounds = max(plan.least_rounds, int(plan.budget_s / once))
        loops = max(1, math.ceil(plan.sample_s / once))
        entries.append(Times(contender, version, min(plan.rounds, rounds), loops))
    what = ""
    if isinstance(expected, np.ndarray):
        what = f"{expected.dtype.name}, {' x '.join(f'{length:,}' for length in expected.shape)}"
    del expected
    others, nrepeated = _run_rounds(entries, source, plan)
    return {
        "suite": suite.name,
        "title": suite.title,
        "table": suite.table,
        "what": what,
        "others": others,
        "repeated": nrepeated,
        "contenders": [_entry_json(entry, entries[0]) for entry in entries],
        "missing": missing,
    }


def _run_rounds(entries: list[Times], source: object, plan: Plan) -> tuple[list[float], int]:
    """Time the rounds; return the part that others took in each, and how many were repeated.

    Whether a round counts depends on what others did meanwhile, never on what was measured.
    """
    others: list[float] = []
    nrepeated = 0
    deadline = perf_counter() + plan.patience_s
    turn = 0
    while turn < plan.rounds:
        impatient = perf_counter() >= deadline
        if plan.patience_s and impatient and turn >= plan.least_rounds:
            break  # rather than to mix disturbed rounds in
        if not impatient and _share_of_others(lambda: sleep(_LOOK_S)) >= _DISTURBED:
            continue
        shift = turn % len(entries)
        order = [entry for entry in entries[shift:] + entries[:shift] if turn < entry.rounds]
        seconds: list[float] = []
        share = _share_of_others(partial(_time_round, order, source, seconds))
        if share >= _DISTURBED and not impatient:
            nrepeated += 1
            continue
        others.append(share)
        turn += 1
        for entry, measured in zip(order, seconds, strict=True):
            entry.seconds.append(measured)
    return others, nrepeated


def _time_round(order: list[Times], source: object, seconds: list[float]) -> None:
    seconds += [_seconds(entry.contender.load, source, entry.loops) for entry in order]


def _share_of_others(run: Callable[[], object]) -> float:
    """Return the part of all CPUs' time that others take while something runs; 0 if unknown."""
    before = usage()
    run()
    now = usage()
    return 0.0 if before is None or now is None else now.since(before).others


def _seconds(load: Callable[[Any], object], source: object, loops: int) -> float:
    """Time `loops` calls; each result is freed before the next, so its pages are fresh."""
    gc.collect()
    gc.disable()
    try:
        start = perf_counter()
        for _ in range(loops):
            load(source)
        return (perf_counter() - start) / loops
    finally:
        gc.enable()


def ratio(entry: Times, base: Times) -> float:
    """Return how many times fastidx's time a contender takes, from the rounds both ran."""
    return median(theirs / ours for theirs, ours in zip(entry.seconds, base.seconds, strict=False))


# --- reporting ----------------------------------------------------------------------------------


def _entry_json(entry: Times, base: Times) -> dict[str, Any]:
    return {
        "name": entry.contender.name,
        "version": entry.version,
        "loops": entry.loops,
        "median_s": median(entry.seconds),
        "best_s": min(entry.seconds),
        "ratio_to_fastidx": ratio(entry, base),
        "seconds": entry.seconds,
    }


def report_markdown(report: dict[str, Any]) -> str:
    """Return all that was measured, as it stands in the README."""
    suites = report["suites"]
    parts = [environment_markdown(report["environment"])]
    parts += [suite_markdown(result) for result in suites if result["table"] is None]
    for table in dict.fromkeys(result["table"] for result in suites if result["table"]):
        parts.append(table_markdown(table, [r for r in suites if r["table"] == table]))
    if report["processes"] is not None:
        parts.append(processes_markdown(report["processes"]))
    return "\n".join(parts)


def suite_markdown(result: dict[str, Any]) -> str:
    """Return a suite's table, the fastest contender first."""
    lines = [
        f"### {result['title']}{': ' if result['what'] else ''}{result['what']}",
        "",
        f"| loader | version | median | best | / {result['contenders'][0]['name']} | rounds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(result["contenders"], key=lambda row: row["ratio_to_fastidx"]):
        name = f"**{row['name']}**" if row["name"].startswith("fastidx") else row["name"]
        lines.append(
            f"| {name} | {row['version']} | {_duration(row['median_s'])} "
            f"| {_duration(row['best_s'])} | {row['ratio_to_fastidx']:.2f} "
            f"| {len(row['seconds'])} |"
        )
    return "\n".join([*lines, "", *_circumstances([result])])


def table_markdown(title: str, results: list[dict[str, Any]]) -> str:
    """Return one table of suites of two contenders each."""
    lines = [
        f"### {title}",
        "",
        "| call | the original | its median | fastidx's median | ratio | rounds |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        ours, *theirs = result["contenders"]
        lines += [
            f"| {result['title']} | {row['name']} {row['version']} | {_duration(row['median_s'])} "
            f"| {_duration(ours['median_s'])} | {row['ratio_to_fastidx']:.2f} "
            f"| {len(row['seconds'])} |"
            for row in theirs
        ]
    return "\n".join([*lines, "", *_circumstances(results)])


def _circumstances(results: list[dict[str, Any]]) -> list[str]:
    lines = []
    others = [share for result in results for share in result["others"]]
    if any(others):
        lines.append(
            f"Other processes took {median(others):.0%} of the CPUs' time meanwhile (median of the "
            f"rounds; {sum(r['repeated'] for r in results)} disturbed rounds were repeated).\n"
        )
    missing = list(dict.fromkeys(text for result in results for text in result["missing"]))
    if missing:
        lines.append(f"Not measured: {_grouped(missing)}.\n")
    commands = dict.fromkeys(result["command"] for result in results if "command" in result)
    return lines + [f"`{command}`\n" for command in commands]


def _grouped(missing: list[str]) -> str:
    """Say each reason once, behind those whom it keeps out."""
    names: dict[str, list[str]] = {}
    for text in missing:
        name, _, reason = text.partition(": ")
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def processes_json(files: Files, plan: Plan) -> dict[str, Any]:
    """Measure the import and the peaks of memory."""
    imports = [processes.import_seconds() for _ in range(plan.process_rounds)]
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


def processes_markdown(result: dict[str, Any]) -> str:
    """Return the import's cost and the peaks of memory as a list."""
    added = median(result["import_s"])
    lines = [
        "### Process",
        "",
        f"- `import fastidx` after `import numpy`: {_duration(added)} "
        f"(median of {len(result['import_s'])} processes)",
    ]
    lines += [
        f"- peak memory of loading {peak['what']} from a path with `threads={peak['threads']}`: "
        f"{peak['output']:,} bytes of output + {peak['file']:,} of compressed file "
        f"{peak['excess']:+,} bytes (the worst of 3 processes)"
        for peak in result["peaks"]
    ]
    if "peak_missing" in result:
        lines.append(f"- peak memory: not measured ({result['peak_missing']})")
    return "\n".join(lines) + "\n"


def environment(files: Files) -> dict[str, Any]:
    """Describe the machine, the versions and the run."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "cpus_used": available_cpus(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "fastidx": fastidx.__version__,
        "fastidx_cpu_features": {k: str(v) for k, v in fastidx.cpu_features().items()},
        "data": files.origin,
    }


def _cpu_model() -> str:
    """Name the CPU: Python's own answer is empty or the architecture on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    fields = [line.partition(":") for line in lines]
    numbers = ("cpu family", "model", "model name")
    known = {key.strip(): value.strip() for key, _, value in reversed(fields)}
    if "model name" not in known:
        return platform.processor() or platform.machine()
    family, model, name = (known.get(key, "?") for key in numbers)
    return f"{name} (family {family}, model {model})"


def environment_markdown(about: dict[str, Any]) -> str:
    """Return the first paragraph of the report."""
    return (
        f"{about['date']}, {about['cpu']}, {about['cpus_used']} of {about['cpus']} CPUs used, "
        f"{about['system']}, Python {about['python']}, numpy {about['numpy']}, zlib "
        f"{about['zlib']}, fastidx {about['fastidx']}.\n"
        f"Data: {about['data']}; in the page cache.\n"
    )


def replace_table(readme: str, table: str) -> str:
    """Return the README with the text between its two markers replaced."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"expected {_BEGIN} and {_END} in {_README}, found them missing")
    return f"{before}{begin}\n\n{table.strip()}\n\n{end}{after}"


# --- the command --------------------------------------------------------------------------------


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
    plan, n, big_n = Plan(1, 1, 0.0, 0.0, 1), SMOKE_N, SMOKE_BIG_N
    if not args.smoke:
        plan = Plan(
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
                measure(suite, files, plan) | {"command": command}
                for suite in SUITES
                if chosen & {suite.name, _family(suite)}
            ],
            "processes": processes_json(files, plan) if _PROCESS in chosen else None,
        }


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
