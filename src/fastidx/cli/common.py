"""What the commands share: exit codes, complaints, and how arguments and shapes read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from fastidx import IdxError

FAILED = 1


def positive(text: str) -> int:
    """Parse an argument that is a positive integer."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, not {text!r}") from None
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def complain(message: str) -> None:
    """Print a line to stderr."""
    print(f"fastidx: {message}", file=sys.stderr)


def is_told(error: BaseException, arguments: Iterable[object]) -> bool:
    """Tell whether an error is the user's to hear of, and not a mistake in here.

    A ValueError is, where it is one of ours or there is a URL: what is wrong with one, such as an
    unknown protocol, the libraries that open it tell in this way.
    """
    if isinstance(error, IdxError) or not isinstance(error, ValueError):
        return True
    return any(isinstance(text, str) and "://" in text for text in arguments)


def one_line(error: BaseException) -> str:
    """Return what an error says, without line breaks."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as it is printed."""
    return " x ".join(map(str, shape)) or "scalar"
