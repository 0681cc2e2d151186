"""Draw how the speed of a load grows with its threads, from what compare.py measured.

    python -m benchmarks.plot_scaling                          # results.json to scaling.png
    python -m benchmarks.plot_scaling other.json -o other.png

Speed is that of fastidx on one thread divided by the contender's time: the inverse of the ratio in
the tables. Only what was measured is drawn; nothing is extrapolated.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HERE = Path(__file__).parent
_SUITES = ("images", "big", "bgzf", "giant-block")
_THREADED = re.compile(r"(fastidx|rapidgzip), (\d+) threads?")
_REFERENCE = "libdeflate (C library)"
_COLOURS = {"fastidx": "#0b6e99", "rapidgzip": "#c2571a"}
_INCH_PER_SUITE, _INCHES_HIGH = 3.4, 3.9


def speeds(result: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Return for each loader that has threads its speed by their number; fastidx on one is 1."""
    found: dict[str, dict[int, float]] = {}
    for row in result["contenders"]:
        match = _THREADED.fullmatch(row["name"])
        if match:
            loader, threads = match.groups()
            found.setdefault(loader, {})[int(threads)] = 1 / row["ratio_to_fastidx"]
    return found


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw one panel for each suite of `report` that was measured with threads."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    by_name = {result["suite"]: result for result in report["suites"]}
    results = [by_name[name] for name in _SUITES if name in by_name]
    if not results:
        raise SystemExit(f"expected one of the suites {', '.join(_SUITES)}, found none: run them")
    figure, axes = plt.subplots(
        1,
        len(results),
        figsize=(_INCH_PER_SUITE * len(results), _INCHES_HIGH),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, result in zip(axes[0], results, strict=True):
        _panel(ax, result)
    axes[0][0].set_ylabel("speed (fastidx on 1 thread = 1)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    about = report["environment"]
    figure.suptitle(
        f"{about['cpu']}, {about['cpus_used']} CPUs; {about['date']}, fastidx {about['fastidx']}",
        fontsize=9,
    )
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _panel(ax: Axes, result: dict[str, Any]) -> None:
    found = speeds(result)
    most = max(threads for by_threads in found.values() for threads in by_threads)
    ax.plot([1, most], [1, most], ":", color="0.6", linewidth=1, label="ideal")
    for loader, by_threads in found.items():
        threads = sorted(by_threads)
        values = [by_threads[n] for n in threads]
        ax.plot(threads, values, "o-", color=_COLOURS[loader], label=loader)
        for n, value in zip(threads, values, strict=True):
            ax.annotate(
                f"{value:.2f}", (n, value), (0, 6), textcoords="offset points", ha="center", size=8
            )
    for row in result["contenders"]:
        if row["name"] == _REFERENCE:
            label = "libdeflate (it has one thread)"
            ax.axhline(1 / row["ratio_to_fastidx"], color="0.3", linewidth=1, ls="--", label=label)
    ax.set_xscale("log", base=2)
    ticks = sorted({n for by_threads in found.values() for n in by_threads})
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("threads")
    ax.set_title(result["title"].replace(", from a path", ""), fontsize=8)
    ax.grid(axis="y", color="0.9")
    ax.spines[["top", "right"]].set_visible(False)


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the file that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot_scaling", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("json", nargs="?", type=Path, default=_HERE / "results.json")
    parser.add_argument("-o", "--output", type=Path, default=_HERE / "scaling.png")
    args = parser.parse_args(argv)
    plot(json.loads(args.json.read_text("utf-8")), args.output)
    print(args.output)


if __name__ == "__main__":
    main()
