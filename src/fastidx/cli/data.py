"""The commands that read whole files or write some: ``cat``, ``convert``, ``index``, ``verify``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastidx import IdxError, TruncatedError

from .common import FAILED, complain, is_told, one_line, positive, shape_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastidx.transfer.copy import Parts, Values
    from fastidx.writing.save import Compression

__all__ = ["add_commands"]

# A bar that is gone again at once is none to look at.
_BAR_DELAY_S = 0.5

_COMPRESSIONS: dict[str, Compression] = {
    "infer": "infer",
    "gzip": "gzip",
    "bgzf": "bgzf",
    "none": None,
}
_COMPRESSIONS_OF = {
    "idx": ("infer", "gzip", "bgzf", "none"),
    "npy": ("infer", "none"),
    "npz": ("infer", "gzip", "none"),
}
_SOURCE_HELP = "an IDX file, gzipped or plain"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to those of `fastidx.cli.main`."""
    command = commands.add_parser(
        "cat",
        help="print items, or write them as .npy",
        description="Read items of an IDX file: all, or those from START to STOP as in a Python "
        "slice. A terminal gets them printed, a pipe the bytes of a .npy file. All of a file is "
        "checked to its end; with bounds, only what is read, by an index beside the file (see "
        "`index`) if there is one.",
    )
    command.add_argument("file", metavar="FILE", help=_SOURCE_HELP)
    command.add_argument("--start", type=int, metavar="N", help="the first item (default: 0)")
    command.add_argument("--stop", type=int, metavar="N", help="the item to stop before")
    command.add_argument(
        "--out",
        type=_target,
        metavar="PATH",
        help="write them to this file, .npy or whatever `convert` takes",
    )
    command.set_defaults(run=_cat)

    command = commands.add_parser(
        "convert",
        help="convert IDX to .npy or .npz, or back",
        description="Copy an array to another file, in the format that the name of DST says: .npy, "
        ".npz, gzipped IDX (.gz) or plain IDX (any other). SRC is one of these, as its content "
        "tells. It is read and checked to its end with little memory; only then is DST replaced.",
    )
    command.add_argument("source", metavar="SRC", help="an IDX, .npy or .npz file")
    command.add_argument("target", metavar="DST", type=_target, help="the file to write")
    command.add_argument(
        "--compression",
        choices=_COMPRESSIONS,
        default="infer",
        help="of IDX: gzip, bgzf (gzip that is written and read on all cores) or none; of .npz: "
        "gzip or none (default: what the name of DST says, and gzip for .npz)",
    )
    command.add_argument(
        "--key", metavar="NAME", help="name of the array in a .npz file (default: its only one)"
    )
    command.set_defaults(run=partial(_convert, command))

    command = commands.add_parser(
        "index",
        help="make reading from the middle of a .gz file fast",
        description="Find where decoding of a gzipped IDX file can start, and keep that in a file "
        "beside it, in the format of indexed_gzip.",
    )
    command.add_argument("file", metavar="FILE", help="a gzipped IDX file")
    command.add_argument("--out", metavar="PATH", help="the index (default: FILE.gzidx)")
    command.add_argument(
        "--spacing",
        type=positive,
        metavar="N",
        help="bytes of data between two such places, of which each takes 32 KiB (default: 1 MiB)",
    )
    command.set_defaults(run=_index)

    command = commands.add_parser(
        "verify",
        help="check whole files",
        description="Check each file to its end: header, size, compressed data and checksums; and "
        "say which published data set it is from, if any. The exit code is 0 if all are good.",
    )
    command.add_argument("files", nargs="+", metavar="FILE", help=_SOURCE_HELP)
    command.set_defaults(run=_verify)


def _target(path: str) -> str:
    from fastidx.transfer.copy import format_of_name

    try:
        format_of_name(path)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return path


# --- cat ----------------------------------------------------------------------------------------


def _cat(args: argparse.Namespace) -> int:
    from fastidx.transfer import copy as transfer

    with _selection(args.file, args.start, args.stop) as values:
        if args.out is not None:
            transfer.write_values(args.out, values)
        elif sys.stdout.isatty():
            _print_array(values)
        else:
            transfer.write_npy(sys.stdout.buffer, values)
            sys.stdout.buffer.flush()
    return 0


@contextlib.contextmanager
def _selection(name: str, start: int | None, stop: int | None) -> Iterator[Values]:
    from fastidx import open as open_reader
    from fastidx.transfer import copy as transfer

    if start is None and stop is None:
        with transfer.open_idx(name) as values:
            yield _with_bar(values)
        return
    with open_reader(name, index="auto") as reader:
        yield _with_bar(transfer.values_of_reader(reader, name, start, stop))


def _print_array(values: Values) -> None:
    from shutil import get_terminal_size

    import numpy as np

    with np.printoptions(linewidth=get_terminal_size().columns):
        print(values.array())


# --- convert ------------------------------------------------------------------------------------


def _convert(command: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    from fastidx.transfer import copy as transfer

    form = transfer.format_of_name(args.target)
    if args.compression not in _COMPRESSIONS_OF[form]:
        command.error(f"argument --compression: a .{form} file cannot have {args.compression!r}")
    with transfer.open_values(args.source, args.key) as values:
        if args.key is not None and form != "npz" and values.key is None:
            command.error("argument --key: neither SRC nor DST is a .npz file")
        transfer.write_values(
            args.target,
            _with_bar(values),
            compression=_COMPRESSIONS[args.compression],
            key=args.key,
        )
    return 0


# --- index --------------------------------------------------------------------------------------


def _index(args: argparse.Namespace) -> int:
    from fastidx import open as open_reader
    from fastidx.gzipped.index import INDEX_SUFFIX

    with open_reader(args.file) as reader:
        if reader.header.compression != "gzip":
            raise IdxError(
                f"{args.file}: expected a gzip file, found {reader.header.compression or 'plain'} "
                "IDX; it needs no index, or can have none"
            )
        options: dict[str, Any] = {} if args.spacing is None else {"spacing": args.spacing}
        expected = reader.header.header_nbytes + reader.header.nbytes
        with _bar(expected, args.file) as update:
            index = reader.build_index(progress=update, **options)
        if index.uncompressed_nbytes < expected:
            raise TruncatedError(
                f"{args.file}: expected {expected:,} bytes, as the header says, found that the "
                f"data end between byte {index.uncompressed_nbytes:,} and there; the file was cut: "
                "fetch it again"
            )
    path = f"{args.file}{INDEX_SUFFIX}" if args.out is None else args.out
    index.save(path)
    print(f"wrote {path}: {len(index.points):,} places for {index.uncompressed_nbytes:,} bytes")
    return 0


# --- verify -------------------------------------------------------------------------------------


def _verify(args: argparse.Namespace) -> int:
    failed = False
    for name in args.files:
        try:
            print(_verdict(name), flush=True)
        except (OSError, ValueError) as error:
            if not is_told(error, [name]):
                raise
            failed = True
            complain(one_line(error))
    return FAILED if failed else 0


def _verdict(name: str) -> str:
    from fastidx.transfer import copy as transfer

    with transfer.open_idx(name) as values:
        for _ in _with_bar(values).parts:
            pass
    compression = values.header.compression if values.header else None
    facts = [values.dtype.name, shape_text(values.shape)]
    facts.append(f"{compression}, checksums right" if compression else "plain, without a checksum")
    identify = _identifier()
    if identify is not None and Path(name).is_file():
        facts.append(str(identify(name) or "of no known data set"))
    return f"{name}: good: {', '.join(facts)}"


def _identifier() -> Callable[[str], object] | None:
    """Return what tells published files by their hashes, if it is there."""
    try:
        identify: Callable[[str], object] = import_module("fastidx.datasets").identify
    except ModuleNotFoundError:
        return None
    return identify


# --- Progress -----------------------------------------------------------------------------------


def _with_bar(values: Values) -> Values:
    """Show on a terminal how far the values have been taken."""

    def parts() -> Parts:
        with _bar(values.nbytes, values.name) as update:
            for part in values.parts:
                yield part
                if update is not None:
                    update(part.nbytes)

    return replace(values, parts=parts())


@contextlib.contextmanager
def _bar(nbytes: int, name: str) -> Iterator[Callable[[int], object] | None]:
    """Show a bar on a terminal if tqdm is installed, and give what moves it on; else None."""
    tqdm: Any = None
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            tqdm = import_module("tqdm").tqdm
    if tqdm is None:
        yield None
        return
    with tqdm(
        desc=Path(name).name,
        total=nbytes,
        unit="B",
        unit_scale=True,
        delay=_BAR_DELAY_S,
        leave=False,
    ) as bar:
        yield bar.update
