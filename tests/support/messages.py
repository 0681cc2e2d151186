"""The messages of errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastidx.errors import IdxError


def message_of(function: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(IdxError) as caught:
        function(*args, **kwargs)
    return str(caught.value)
