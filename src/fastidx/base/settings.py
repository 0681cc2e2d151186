"""The environment variables that fastidx reads, each parsed here and nowhere else.

Each function reads its variable anew, so a program can change it. Only ``FASTIDX_PORTABLE`` is read
once, when fastidx is imported.
"""

from __future__ import annotations

import os

_FALSE_WORDS = ("", "0", "false", "no", "off")


def threads() -> int | None:
    """Return ``FASTIDX_THREADS``, the number of threads to use; None if it is not set.

    Raises
    ------
    ValueError
        If it is not a positive integer.
    """
    value = os.environ.get("FASTIDX_THREADS", "")
    if not value:
        return None
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(
            f"FASTIDX_THREADS: expected a positive integer, found {value!r}; correct or unset it"
        )
    return number


def portable() -> bool:
    """Return whether ``FASTIDX_PORTABLE`` forbids CPU-specific variants of the kernel."""
    return _is_true("FASTIDX_PORTABLE")


def offline() -> bool:
    """Return whether ``FASTIDX_OFFLINE`` forbids downloads."""
    return _is_true("FASTIDX_OFFLINE")


def mirrors() -> list[str]:
    """Return the addresses in ``FASTIDX_MIRROR``, which spaces separate; none if it is not set."""
    return os.environ.get("FASTIDX_MIRROR", "").split()


def data_dir() -> str | None:
    """Return ``FASTIDX_DATA_DIR``, the folder of the data sets; None if it is not set."""
    return os.environ.get("FASTIDX_DATA_DIR") or None


def test_data() -> str | None:
    """Return ``FASTIDX_TEST_DATA``, a folder with MNIST's files; None if it is not set."""
    return os.environ.get("FASTIDX_TEST_DATA") or None


def _is_true(variable: str) -> bool:
    """Return whether a variable is set, and to no word that means no."""
    return os.environ.get(variable, "").lower() not in _FALSE_WORDS
