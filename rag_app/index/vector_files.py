"""Whether the files of an index's vectors can be true, without opening them with Chroma.

Chroma (1.5) keeps the vectors of an index above 1,000 chunks as hnswlib writes them, and follows
what the files say: of damaged ones it finds hardly anything, or ends the process. Files of another
version are not looked at.
"""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

DATABASE = "chroma.sqlite3"
METADATA, HEADER, VECTORS = "index_metadata.pickle", "header.bin", "data_level0.bin"
# Of the segments that Chroma has written to files.
_WRITTEN = """
SELECT segments.id FROM segments JOIN max_seq_id ON max_seq_id.segment_id = segments.id
WHERE scope = 'VECTOR'
"""
_LAYOUT = struct.Struct("<i6QiI3QdQ")
_VERSION = 1
# Elements whose links are in memory at once.
_BATCH = 50_000


class _Header(NamedTuple):
    """What hnswlib says of its elements, as they follow each other: links, vector and label."""

    version: int
    first: int
    room: int
    elements: int
    size: int
    label_at: int
    vector_at: int
    levels: int
    entry: int
    links_above: int
    links: int
    links_wanted: int
    scale: float
    candidates: int


def damaged_file(store: Path) -> Path | None:
    """A file of the vectors that is damaged or missing; None where none is, as far as is seen.

    Arguments:
        store: a Chroma folder.
    """
    return next(_damaged_files(store), None)


def _damaged_files(store: Path) -> Iterator[Path]:
    for folder in _written_segments(store):
        if not (folder / METADATA).is_file():
            yield folder / METADATA
    # Without it Chroma makes the others anew.
    for metadata in store.glob(f"*/{METADATA}"):
        if (file := _damaged_in(metadata.parent)) is not None:
            yield file


def _written_segments(store: Path) -> list[Path]:
    # A database that cannot be read is Chroma's to name.
    with suppress(sqlite3.Error):
        uri = f"{(store / DATABASE).resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            return [store / name for (name,) in connection.execute(_WRITTEN)]
    return []


def _damaged_in(folder: Path) -> Path | None:
    try:
        raw = (folder / HEADER).read_bytes()
    except FileNotFoundError:
        return folder / HEADER
    if len(raw) < _LAYOUT.size:
        return folder / HEADER
    header = _Header(*_LAYOUT.unpack_from(raw))
    if header.version != _VERSION or header.vector_at != 4 + 4 * header.links:
        return None
    vectors = folder / VECTORS
    if not vectors.is_file() or vectors.stat().st_size != header.elements * header.size:
        return vectors
    return None if _links_lead_somewhere(vectors, header) else vectors


def _links_lead_somewhere(vectors: Path, header: _Header) -> bool:
    """Whether no element has more links than it may, nor one to an element that is not there."""
    if not header.elements:
        return True
    rows = np.memmap(vectors, np.uint8, "r", shape=(header.elements, header.size))
    for start in range(0, header.elements, _BATCH):
        links = rows[start : start + _BATCH, : header.vector_at].copy().view("<u4")
        # The bytes above are flags.
        count, links = links[:, 0] & 0xFFFF, links[:, 1:]
        used = np.arange(header.links) < count[:, None]
        if count.max() > header.links or links.max(where=used, initial=0) >= header.elements:
            return False
    return True
