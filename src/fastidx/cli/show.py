"""The command ``show``, and the drawing on terminals that ``demo`` shares with it."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastidx import IdxError

from .common import complain, positive, shape_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from fastidx.plots import Style

__all__ = ["add_commands", "check_labels", "terminal_sheet", "write_png"]

_COUNT = 30
_DPI = 150
# No wider than this are single images drawn, so that they are not higher than a terminal.
_WIDEST = 56
# Characters have less detail than pixels.
_NARROWEST: dict[Style, int] = {"truecolor": 14, "grey": 14, "blocks": 14, "ascii": 18}


class _Pictures(NamedTuple):
    """What is drawn, and how many there are."""

    images: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any] | None
    names: Sequence[str] | None
    title: str


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `fastidx.cli.main`."""
    command = commands.add_parser(
        "show",
        help="draw images, in the terminal or as a PNG",
        description="Draw images of an IDX file, or of a data set by name, which is fetched if it "
        "is not here. A file is taken before a data set of the same name. What is drawn is a "
        "random choice, the same one each time.",
    )
    command.add_argument(
        "source",
        metavar="FILE|DATASET",
        help="an IDX file, gzipped or plain; or a name such as mnist or fashion-mnist",
    )
    command.add_argument("--labels", metavar="FILE", help="the labels of FILE, an IDX file too")
    command.add_argument("--split", metavar="NAME", help="of DATASET (default: train)")
    command.add_argument(
        "-n",
        type=positive,
        default=_COUNT,
        metavar="N",
        help=f"how many images to draw, at most (default: {_COUNT})",
    )
    choice = command.add_mutually_exclusive_group()
    choice.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="make another random choice (default: 0)",
    )
    choice.add_argument(
        "--first", action="store_true", help="draw the first images, not a random choice"
    )
    command.add_argument(
        "--png", metavar="OUT", help="draw to this file instead (needs the extra `plot`)"
    )
    command.set_defaults(run=partial(_show, command))


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of 0 or more, not {text!r}")
    return int(text)


def _show(command: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    from fastidx import plots

    if args.png is not None:
        plots.require_matplotlib()  # before the work, not after it
    pictures = _pictures(command, args)
    try:
        if args.png is None:
            sheet = terminal_sheet(
                *pictures[:2], n=len(pictures.images), names=pictures.names, plain="ascii"
            )
        else:
            write_png(args.png, *pictures[:2], n=args.n, names=pictures.names)
    except ValueError as error:
        # What cannot be drawn is the file's matter: NaN, or too many for one figure.
        raise IdxError(f"{args.source}: {error}") from error
    print(pictures.title)
    print(f"wrote {args.png}" if args.png is not None else f"\n{sheet}")
    return 0


# --- What to draw -------------------------------------------------------------------------------


def _pictures(command: argparse.ArgumentParser, args: argparse.Namespace) -> _Pictures:
    source = args.source
    seed = None if args.first else args.seed
    path = Path(source)
    if "://" not in source and (not path.exists() or path.is_dir()):
        name = _dataset_name(source)
        if name is not None:
            if args.labels is not None:
                command.error("argument --labels: a data set has its own; only a FILE takes it")
            return _of_dataset(command, name, args.split or "train", args.n, seed)
        if not path.is_dir():
            raise _nowhere(source)
    if args.split is not None:
        command.error(f"argument --split: {source} is a file, only a DATASET has splits")
    return _of_file(source, args.labels, args.n, seed)


def _dataset_name(source: str) -> str | None:
    """Return the name of a data set as a user may write it, or None."""
    from fastidx.datasets.registry import find

    try:
        return find(source).name
    except ValueError:
        return None


def _nowhere(source: str) -> FileNotFoundError:
    from fastidx import datasets

    return FileNotFoundError(
        f"{source}: expected a file or the name of a data set, found neither; name another file, "
        f"or one of {', '.join(datasets.names())}"
    )


def _of_file(name: str, labels_name: str | None, n: int, seed: int | None) -> _Pictures:
    """Read the images to draw, and no others as far as the format allows."""
    from fastidx import open as open_reader
    from fastidx.plots import choose

    with open_reader(name, index=_index_of(name)) as reader:
        _check_images(name, reader.shape)
        rows = choose(len(reader), n, seed)
        labels = None
        if labels_name is not None:
            labels = _labels_of_file(labels_name, name, reader.shape, rows)
        title = _title(name, reader.shape, reader.dtype, len(rows))
        return _Pictures(reader[rows], labels, None, title)


def _index_of(name: str) -> str | None:
    from fastidx.gzipped.index import INDEX_SUFFIX

    return "auto" if Path(f"{name}{INDEX_SUFFIX}").exists() else None


def _labels_of_file(
    name: str, images_name: str, images_shape: tuple[int, ...], rows: npt.NDArray[np.intp]
) -> np.ndarray[Any, Any]:
    from fastidx import open as open_reader

    with open_reader(name) as reader:
        check_labels(name, reader.shape, images_name, images_shape)
        labels: np.ndarray[Any, Any] = reader[rows]
        return labels


def _of_dataset(
    command: argparse.ArgumentParser, name: str, split: str, n: int, seed: int | None
) -> _Pictures:
    from fastidx import datasets
    from fastidx.plots import choose

    splits = datasets.splits(name)
    if split not in splits:
        command.error(f"argument --split: {name} has {', '.join(splits)}, not {split!r}")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: complain(" ".join(str(message).split()))
        images, labels = datasets.load(name, split)
    rows = choose(len(images), n, seed)
    title = _title(f"{name}, {split}", images.shape, images.dtype, len(rows))
    return _Pictures(images[rows], labels[rows], datasets.classes(name), title)


def _title(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], drawn: int) -> str:
    return f"{name}: {dtype.name}, {shape_text(shape)}; {drawn:,} of {shape[0]:,} images"


def _check_images(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 3 and 0 not in shape:
        return
    if len(shape) == 3:
        advice = "there is nothing to draw"
    elif len(shape) < 3:
        advice = "these may be labels: name the file of images first, and this one with --labels"
    else:
        advice = "only grey images can be drawn"
    raise IdxError(
        f"{name}: expected images of the shape (count, height, width), found {shape}; {advice}"
    )


def check_labels(
    name: object, shape: tuple[int, ...], images_name: object, images_shape: tuple[int, ...]
) -> None:
    """Raise an IdxError unless labels of this shape can be those of images of that shape.

    Several columns are fine: the first is the class, as in QMNIST.
    """
    if len(shape) > 2 or len(shape) < 1 or 0 in shape[1:]:
        raise IdxError(
            f"{name}: expected labels of the shape ({images_shape[0]},), found {shape}; "
            "these are no labels: name another file"
        )
    if shape[0] != images_shape[0]:
        raise IdxError(
            f"{name}: expected {images_shape[0]:,} labels, as many as there are images in "
            f"{images_name}, found {shape[0]:,}; the two files do not belong together"
        )


# --- How to draw --------------------------------------------------------------------------------


def terminal_sheet(
    images: np.ndarray[Any, Any],
    labels: npt.ArrayLike | None = None,
    *,
    n: int | None = None,
    names: Sequence[str] | None = None,
    plain: Style = "blocks",
) -> str:
    """Draw images in the way that stdout can show, as wide as its terminal.

    Parameters
    ----------
    images, labels, names
        As for `fastidx.plots.text_sheet`.
    n : int, optional
        How many to draw, at most, as large as they fit. By default two rows of small ones.
    plain : {"blocks", "ascii"}
        How to draw where there is no terminal, or one without colours.
    """
    from shutil import get_terminal_size

    from fastidx.plots import text_sheet

    columns, style = get_terminal_size().columns, _style(plain)
    width = _NARROWEST[style]
    if n is not None:
        width = _tile_width(min(n, len(images)), images.shape[1:], columns, width)
    return text_sheet(images, labels, n=n, columns=columns, style=style, width=width, names=names)


def write_png(
    path: str,
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    n: int = _COUNT,
    names: Sequence[str] | None = None,
) -> None:
    """Draw the first images to a PNG file, whatever its name.

    Parameters
    ----------
    path : str
        The file; it is not touched when drawing fails.
    images, labels, n, names
        As for `fastidx.plots.samples`.
    """
    from fastidx.plots import samples

    picture = io.BytesIO()
    samples(images, labels, n, names=names).savefig(picture, format="png", dpi=_DPI)
    Path(path).write_bytes(picture.getvalue())


def _tile_width(count: int, size: tuple[int, ...], columns: int, narrowest: int) -> int:
    """Return how wide to draw images: pixel by pixel if all stand in a row then, or smaller."""
    longer = max(size)
    for divisor in range(1, 1 + longer // narrowest):
        side = -(-longer // divisor)
        if side <= _WIDEST and count * (side + 1) - 1 <= columns:
            return side
    return narrowest


def _style(plain: Style) -> Style:
    """Choose what stdout can show: blocks need its encoding, greys a terminal with colours."""
    try:
        "▀▚█".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return "ascii"
    # https://no-color.org: any value but the empty one.
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return plain
    return "truecolor" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "grey"
