"""A file that no test may change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from saving import OLD, names


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    """Yield a file that must stay as it is, alone in its folder, whatever happens."""
    path = tmp_path / "old.gz"
    path.write_bytes(OLD)
    yield path
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["old.gz"]
