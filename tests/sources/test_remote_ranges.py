"""Servers and proxies that answer in their own way: right items, or an error."""

from __future__ import annotations

import numpy as np
import pytest
from servers.http_server import FaultyServer, Resource

import fastidx
from fastidx.reference import dumps

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

NOISE = np.random.default_rng(5).integers(0, 256, (700, 10, 10), dtype=np.uint8)
CONTENT = dumps(NOISE)


@pytest.mark.parametrize("block", [512, 4096, 1 << 20])
def test_range_that_a_cache_has_widened(block: int, http_server: FaultyServer) -> None:
    with fastidx.open(http_server.serve("file", CONTENT, block=block)) as reader:
        for i in (len(NOISE) - 1, 3, len(NOISE) // 2):
            np.testing.assert_array_equal(reader[i], NOISE[i])


def test_range_that_begins_elsewhere_is_refused(http_server: FaultyServer) -> None:
    url = http_server.serve("file", CONTENT)
    with fastidx.open(url) as reader:
        http_server.resources["/file"].shift = 1
        with pytest.raises(fastidx.TruncatedError, match=r"expected the bytes .* from the server"):
            reader[len(NOISE) - 1]


def test_ranged_requests_ask_for_the_bytes_themselves(http_server: FaultyServer) -> None:
    fastidx.load(http_server.serve("file", CONTENT))
    assert {request.headers["Accept-Encoding"] for request in http_server.gets()} == {"identity"}


def test_length_0_in_the_answer_to_head_says_nothing(http_server: FaultyServer) -> None:
    url = http_server.serve("file", CONTENT, head_claims=0)
    np.testing.assert_array_equal(fastidx.load(url), NOISE)


def test_proxy_of_the_environment_is_used(
    http_server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://nowhere.invalid/file"
    http_server.resources[url] = Resource(CONTENT)
    monkeypatch.setenv("HTTP_PROXY", http_server.address)
    monkeypatch.setenv("http_proxy", http_server.address)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    np.testing.assert_array_equal(fastidx.load(url), NOISE)
