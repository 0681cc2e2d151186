"""Servers that answer a request for a range with another one: right items, or an error."""

from __future__ import annotations

import numpy as np
import pytest
from servers.http_server import FaultyServer

import fastidx
from fastidx.reference import dumps

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
