"""The exceptions: one root, Python's own types beside it, and pickling."""

from __future__ import annotations

import pickle

import pytest

from fastidx import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_error_is_a_valueerror_under_one_root_and_survives_pickling(name: str) -> None:
    cls = getattr(errors, name)
    error = pickle.loads(pickle.dumps(cls("f.gz: the whole message")))
    assert type(error) is cls
    assert str(error) == "f.gz: the whole message"
    assert isinstance(error, errors.IdxError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        (errors.ChecksumError, errors.CorruptError),
        (errors.TruncatedError, EOFError),
        (errors.UnsupportedDTypeError, TypeError),
    ],
)
def test_errors_are_also_what_python_would_raise(child: type, parent: type) -> None:
    assert issubclass(child, parent)
    assert not issubclass(errors.HeaderError, (EOFError, TypeError, errors.CorruptError))
