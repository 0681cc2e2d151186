"""The machine and what was measured on it, as the text of the README."""

from __future__ import annotations

import datetime
import os
import platform
import zlib
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import fastidx

from .contenders import available_cpus
from .files import Files

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


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
        "fastidx_cpu_features": {k: str(v) for k, v in fastidx.cpu_features()._asdict().items()},
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
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {BEGIN} and {END} in the README, found them missing")
    return f"{before}{begin}\n\n{table.strip()}\n\n{end}{after}"
