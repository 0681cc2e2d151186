"""The command line: ``fastidx info``, ``bench`` and ``demo``; `data` and `show` have more.

Results go to stdout, complaints to stderr, one line each. Exit codes: 0 for success, 1 when a
file could not be read or two readers disagree, 2 for a wrong command line, 130 after Ctrl-C, and
141 when the reader of a pipe went away.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

# These the package has imported anyway; all else is imported where it is used.
from fastidx import IdxError, __version__, info, load
from fastidx.base import settings

from .common import FAILED, complain, is_told, one_line, positive, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    import numpy as np

    from fastidx.format.header import IdxHeader

__all__ = ["main"]

_INTERRUPTED, _BROKEN_PIPE = 130, 141
_ROUNDS = 5
_BUDGET_S = 20.0  # a large file gets fewer rounds than asked for rather than minutes
_LEAST_ROUNDS = 3

_IMAGES_STEMS = ("train-images-idx3-ubyte", "train-images.idx3-ubyte")
_LABELS_STEMS = ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code. A wrong command line, ``--help`` and ``--version`` raise SystemExit instead,
        as argparse does.

    Examples
    --------
    >>> import tempfile, numpy as np, fastidx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/x.idx"
    ...     fastidx.save(path, np.zeros((3, 4), np.float32))
    ...     main(["info", path])  # doctest: +ELLIPSIS +NORMALIZE_WHITESPACE
    file       type  dtype    shape  data bytes  compression  file bytes  ratio
    /...x.idx  0x0D  float32  3 x 4          48  none                 60   1.00
    0
    """
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered must not fail once more when the interpreter shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    except (OSError, ImportError, MemoryError, ValueError) as error:
        if not is_told(error, vars(args).values()):
            raise
        complain(one_line(error))
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastidx", description="Load IDX files (MNIST and its family) into numpy, fast."
    )
    parser.add_argument("--version", action="version", version=f"fastidx {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser(
        "info", help="say what files hold", description="Say what each file holds, from its header."
    )
    command.add_argument("files", nargs="+", metavar="FILE", help="an IDX file, gzipped or plain")
    command.set_defaults(run=_info)

    command = commands.add_parser(
        "bench",
        help="time one file against the pure-Python reference",
        description="Load one file in turn with the pure-Python reference and with fastidx; "
        "compare the results and the times.",
    )
    command.add_argument("file", metavar="FILE", help="an IDX file, gzipped or plain")
    command.add_argument(
        "--rounds",
        type=positive,
        default=_ROUNDS,
        metavar="N",
        help=f"how often each loads it (default: {_ROUNDS}; fewer when that takes long)",
    )
    command.set_defaults(run=_bench)

    command = commands.add_parser(
        "demo",
        help="load MNIST, or a synthetic stand-in, and show it",
        description="Load MNIST's training set from DIR, from the folder that FASTIDX_TEST_DATA "
        "names, or else a synthetic set of digits drawn on the spot; time it and show it.",
    )
    command.add_argument("--data", metavar="DIR", help="a folder with MNIST's training set")
    command.add_argument("--png", metavar="FILE", help="draw the digits to this file as well")
    command.set_defaults(run=_demo)

    from . import data, show

    show.add_commands(commands)
    data.add_commands(commands)
    return parser


# --- info ---------------------------------------------------------------------------------------


def _info(args: argparse.Namespace) -> int:
    rows: list[tuple[str, ...]] = [
        ("file", "type", "dtype", "shape", "data bytes", "compression", "file bytes", "ratio")
    ]
    failed = False
    for name in args.files:
        try:
            rows.append(_info_row(name, info(name)))
        except (OSError, ValueError) as error:
            if not is_told(error, [name]):
                raise
            failed = True
            complain(one_line(error))
    if len(rows) > 1:
        print("\n".join(_aligned(rows, right={4, 6, 7})))
    return FAILED if failed else 0


def _info_row(name: str, header: IdxHeader) -> tuple[str, ...]:
    stored = header.compressed_nbytes
    return (
        name,
        f"0x{header.type_code:02X}",
        header.dtype.name,
        shape_text(header.shape),
        f"{header.nbytes:,}",
        header.compression or "none",
        "-" if stored is None else f"{stored:,}",
        f"{(header.header_nbytes + header.nbytes) / stored:.2f}" if stored else "-",
    )


def _aligned(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


# --- bench --------------------------------------------------------------------------------------


class _Comparison(NamedTuple):
    """One file through the reference and through fastidx."""

    array: np.ndarray[Any, Any]
    equal: bool
    rounds: int
    medians: dict[str, float]  # seconds, by reader

    def lines(self) -> list[str]:
        """Return the result for the terminal."""
        ours = self.medians["fastidx"]
        width = max(map(len, self.medians))
        lines = [f"medians of {self.rounds} alternating loads, file in the page cache:"]
        for name, seconds in self.medians.items():
            line = f"{name:{width}} {_duration(seconds)}"
            if name != "fastidx":
                line += f"   fastidx is {seconds / ours:.1f} times as fast"
            lines.append(line)
        return [*lines, f"equal: {'yes' if self.equal else 'NO, the readers disagree'}"]


def _bench(args: argparse.Namespace) -> int:
    header = info(args.file)
    print(_describe(args.file, header), flush=True)
    result = _compare(args.file, args.rounds)
    print("\n".join(result.lines()))
    return 0 if result.equal else FAILED


def _describe(name: str | Path, header: IdxHeader) -> str:
    text = f"{name}: {header.dtype.name}, {shape_text(header.shape)}, {header.nbytes:,} bytes"
    if header.compressed_nbytes is not None:
        text += f" from {header.compressed_nbytes:,}"
    return text + (f" ({header.compression})" if header.compression else "")


def _compare(path: str | Path, rounds: int) -> _Comparison:
    """Load a file in turn with all readers; the first, untimed turn warms up and compares."""
    from statistics import median
    from time import perf_counter

    from fastidx import reference

    baselines: dict[str, Callable[[str | Path], np.ndarray[Any, Any]]] = {
        "reference: gzip + struct": reference.load,
        "gzip + numpy.frombuffer": reference.load_frombuffer,
    }
    readers = baselines | {"fastidx": load}
    started = perf_counter()
    array = load(path)
    equal = all(_same(array, reader(path)) for reader in baselines.values())
    times: dict[str, list[float]] = {name: [] for name in readers}
    for done in range(rounds):
        if done >= _LEAST_ROUNDS and perf_counter() - started > _BUDGET_S:
            break
        for name, reader in readers.items():
            start = perf_counter()
            reader(path)
            times[name].append(perf_counter() - start)
    medians = {name: median(seconds) for name, seconds in times.items()}
    return _Comparison(array, equal, len(times["fastidx"]), medians)


def _same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Tell whether the arrays agree in type, shape and bits; all NaNs count as equal."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        # struct turns signalling NaNs into quiet ones.
        nan = a != a
        return bool((nan == (b != b)).all()) and a[~nan].tobytes() == b[~nan].tobytes()
    return a.tobytes() == b.tobytes()


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:9.3f} ms"


# --- demo ---------------------------------------------------------------------------------------


def _demo(args: argparse.Namespace) -> int:
    from contextlib import ExitStack

    from fastidx.plots import require_matplotlib

    from .show import terminal_sheet, write_png

    if args.png is not None:
        require_matplotlib()  # before the work, not after it
    with ExitStack() as stack:
        images_path, labels_path = _demo_files(args.data, stack)
        for path in (images_path, labels_path):
            print(_describe(path, info(path)), flush=True)
        result = _compare(images_path, _LEAST_ROUNDS)
        images, labels = result.array, load(labels_path)
    print("\n".join(result.lines()))
    _check_demo(images_path, images, labels_path, labels)
    print()
    print(terminal_sheet(images, labels))
    if args.png is not None:
        write_png(args.png, images, labels)
        print(f"\nwrote {args.png}")
    return 0 if result.equal else FAILED


def _demo_files(data: str | None, stack: ExitStack) -> tuple[Path, Path]:
    """Find MNIST's training set, or make a stand-in in a folder that `stack` removes."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from fastidx import synthetic

    folder = data if data is not None else settings.test_data()
    if folder:
        images = _find(Path(folder), _IMAGES_STEMS)
        labels = _find(Path(folder), _LABELS_STEMS)
        if images and labels:
            return images, labels
        if data is not None:
            stem = _LABELS_STEMS[0] if images else _IMAGES_STEMS[0]
            raise FileNotFoundError(
                f"{folder}: expected a folder with MNIST's training set, found no {stem}[.gz]; "
                "name another folder, or leave out --data for a synthetic set"
            )
    print("No MNIST at hand (--data DIR names its folder): drawing synthetic digits.", flush=True)
    temporary = stack.enter_context(TemporaryDirectory(prefix="fastidx-demo-"))
    return synthetic.write_set(temporary)


def _find(folder: Path, stems: tuple[str, ...]) -> Path | None:
    candidates = (folder / f"{stem}{suffix}" for stem in stems for suffix in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def _check_demo(
    images_path: Path,
    images: np.ndarray[Any, Any],
    labels_path: Path,
    labels: np.ndarray[Any, Any],
) -> None:
    from .show import check_labels

    if images.ndim != 3 or 0 in images.shape:
        raise IdxError(
            f"{images_path}: expected images of the shape (count, height, width), "
            f"found {images.shape}; the demo has nothing to draw"
        )
    check_labels(labels_path, labels.shape, images_path, images.shape)
