"""Write the seeds of fuzz_kernel.c, one file each, to a folder.

    python tests/fuzz/make_corpus.py FOLDER

Streams that zlib writes, in all its ways; and, if ``FASTIDX_TEST_DATA`` names a folder that has it,
what stands in ``deflate-vectors.json``. Every raw stream serves as such, within a gzip member and
for speculation.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

RAW, GZIP, MARKERS = range(3)  # as in fuzz_kernel.c
MAX_NBYTES = 20_000


def text(nbytes: int, rng: random.Random) -> bytes:
    """Words in no order, with some noise between them."""
    words = [rng.randbytes(rng.randrange(2, 12)) for _ in range(300)]
    found = bytearray()
    while len(found) < nbytes:
        found += rng.choice(words) if rng.random() < 0.9 else rng.randbytes(3)
    return bytes(found[:nbytes])


def written_by_zlib() -> Iterator[bytes]:
    """Raw streams of few and of many blocks, with flushes of all kinds between them."""
    rng = random.Random(1)
    contents = [b"", b"x", bytes(70_000), text(30_000, rng), rng.randbytes(3_000)]
    for data, level, memory in itertools.product(contents, (0, 1, 6), (1, 8)):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15, memory)
        yield compressor.compress(data) + compressor.flush()
    modes = [zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_BLOCK]
    for mode, strategy in itertools.product(modes, (0, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY)):
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15, 8, strategy)
        pieces = (contents[3][i : i + 1000] for i in range(0, 12_000, 1000))
        stream = b"".join(compressor.compress(p) + compressor.flush(mode) for p in pieces)
        yield stream + compressor.flush()


def vectors() -> Iterator[tuple[int, bytes]]:
    """The vectors of the public suites, raw streams and gzip files."""
    path = Path(os.environ.get("FASTIDX_TEST_DATA", "nowhere"), "deflate-vectors.json")
    if path.is_file():
        for vector in json.loads(path.read_text(encoding="utf-8")):
            yield GZIP if vector["kind"] == "gzip" else RAW, bytes.fromhex(vector["hex"])


def gzip_member(body: bytes) -> bytes:
    """A member with the right footer, if there is one."""
    try:
        data = zlib.decompressobj(-15).decompress(body)
    except zlib.error:
        data = b""
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def seeds() -> Iterator[bytes]:
    """All seeds: three bytes of choices, then a stream."""
    rng = random.Random(2)
    for kind, stream in [*((RAW, stream) for stream in written_by_zlib()), *vectors()]:
        uses = [(GZIP, stream)]
        if kind == RAW:
            uses = [(RAW, stream), (GZIP, gzip_member(stream)), (MARKERS, stream)]
        for use, content in uses:
            if len(content) <= MAX_NBYTES:
                yield bytes([use, rng.randrange(6), rng.randrange(256)]) + content


def main() -> None:
    """Write them; each is named after what it holds."""
    (folder,) = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds():
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    print(f"{len([*folder.iterdir()])} seeds in {folder}")


if __name__ == "__main__":
    main()
