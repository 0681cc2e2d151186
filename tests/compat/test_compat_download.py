"""Downloads of files that no data set lists: limits of time and size hold for them, too."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from servers.dataset_server import Answer, DatasetServer, Drip

from fastidx import datasets
from fastidx.base import network
from fastidx.compat._download import fetch_unverified


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "PAUSE_S", 0.01)
    monkeypatch.setattr(network, "WINDOW_S", 0.3)
    monkeypatch.setattr(network, "MAX_NBYTES", 5000)


def test_slow_server_is_given_up(tmp_path: Path) -> None:
    with DatasetServer({"/file": bytes(4000)}) as server:
        server.faults["/file"] = itertools.repeat(Drip(0.02))
        with pytest.raises(datasets.DownloadError, match="found a server that sent"):
            fetch_unverified(f"{server.url}/file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_too_large_a_file_is_given_up(tmp_path: Path) -> None:
    with (
        DatasetServer({"/file": bytes(6000)}) as server,
        pytest.raises(datasets.DownloadError, match="more than 5,000 bytes"),
    ):
        fetch_unverified(f"{server.url}/file", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_lapse_of_a_server_is_overcome(tmp_path: Path) -> None:
    with DatasetServer({"/file": b"content"}) as server:
        server.faults["/file"] = iter([Answer(status=503), Answer(status=429)])
        assert fetch_unverified(f"{server.url}/file", tmp_path / "file").read_bytes() == b"content"
        assert server.counts() == {"/file": 3}
