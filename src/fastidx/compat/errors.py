"""Errors of two families: those of fastidx and those of the package that a drop-in replaces."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Mapping
from typing import TypeAlias

from fastidx import CorruptError, IdxError

__all__ = ["GZIP_ERRORS", "ErrorTypes", "errors_also"]

_Types: TypeAlias = tuple[type[Exception], ...]
ErrorTypes: TypeAlias = Mapping[type[IdxError], _Types]

# Each class is made once, so that equal errors have equal types.
_classes: dict[tuple[_Types, type[IdxError]], type[IdxError]] = {}

#: Python's gzip module raises these where fastidx finds compressed data damaged.
GZIP_ERRORS: ErrorTypes = {CorruptError: (gzip.BadGzipFile, zlib.error)}


class errors_also:  # noqa: N801 - a context manager, named like those of contextlib
    """Make errors of fastidx instances of the types that callers of the original package catch.

    Parameters
    ----------
    types : mapping of error types of fastidx to tuples of other types
        An error that is an instance of several keys gets the other types of all of them.

    Examples
    --------
    >>> import struct
    >>> from fastidx import TruncatedError, load
    >>> from fastidx.compat.errors import errors_also
    >>> try:
    ...     with errors_also({TruncatedError: (struct.error,)}):
    ...         load(b"")
    ... except struct.error as error:
    ...     print(type(error).__name__, isinstance(error, TruncatedError))
    TruncatedError True
    """

    __slots__ = ("_types",)

    def __init__(self, types: ErrorTypes) -> None:
        self._types = types

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, IdxError):
            groups = (others for own, others in self._types.items() if isinstance(error, own))
            wanted = dict.fromkeys(itertools.chain.from_iterable(groups))
            missing = tuple(kind for kind in wanted if not isinstance(error, kind))
            if missing:
                raise _rebuild(missing, type(error), *error.args) from None


def _rebuild(others: _Types, own: type[IdxError], *args: object) -> IdxError:
    return _combined(others, own)(*args)


def _combined(others: _Types, own: type[IdxError]) -> type[IdxError]:
    """Return a class that inherits from all; pickle stores its bases in place of its name."""
    if (others, own) not in _classes:
        _classes[others, own] = type(
            own.__name__,
            (*others, own),
            {
                "__doc__": own.__doc__,
                "__module__": own.__module__,
                "__reduce__": lambda self: (_rebuild, (others, own, *self.args)),
            },
        )
    return _classes[others, own]
