"""What would ruin a store is refused before it gets there."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import TextNode

from rag_app.chunks import Chunking
from rag_app.errors import DocumentError
from rag_app.index import Catalog, IndexInfo, Workspace
from rag_app.index.limits import MOST_CHARACTERS, MOST_KEYS
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest

MODEL = WordModel()


def rows(path: Path, *metadata: dict[str, Any]) -> None:
    lines = [
        json.dumps({"_id": str(n), "text": f"apple {n}", **one}) for n, one in enumerate(metadata)
    ]
    path.write_text("\n".join(lines), "utf-8")


ENDLESS: dict[str, tuple[dict[str, Any], str]] = {
    # Keys are counted when the file is read, what they hold before the store takes it.
    "keys": ({f"k{n}": "v" for n in range(8000)}, f"{MOST_KEYS} are the most"),
    "characters": (
        {"notes": "n" * (MOST_CHARACTERS + 1)},
        "characters of metadata, more than the 200000",
    ),
    "values": ({"tags": [str(n) for n in range(8000)]}, "lists of 8000 values in its metadata,"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_document_with_endless_metadata_fails_alone_and_the_index_lives(
    tmp_path: Path, name: str
) -> None:
    workspace = Workspace(tmp_path / "storage", embedder=MODEL)
    docs = tmp_path / "docs"
    docs.mkdir()
    rows(docs / "good.jsonl", {}, {})
    rows(docs / "bad.jsonl", {})
    assert ingest(workspace, IngestRequest([docs])).chunks == 3
    keys, reason = ENDLESS[name]
    rows(docs / "bad.jsonl", {}, keys)
    report = ingest(workspace, IngestRequest([docs]))
    (failure,) = report.failures
    assert failure.path == docs / "bad.jsonl"
    assert reason in failure.reason
    # What it held before stays, as of every file that cannot be read.
    assert (report.chunks, report.sync.removed, report.sync.changed) == (3, [], [])
    rows(docs / "bad.jsonl", {}, {f"k{n}": "v" for n in range(MOST_KEYS // 2)})
    assert ingest(workspace, IngestRequest([docs])).chunks == 4


def test_the_store_itself_takes_no_such_chunk(tmp_path: Path) -> None:
    index = Catalog(tmp_path).make("words", IndexInfo.of(MODEL, Chunking(16, 4)))
    node = TextNode(id_="a", text="apple", metadata={f"k{n}": n for n in range(MOST_KEYS + 1)})
    with pytest.raises(DocumentError, match="a has 257 metadata keys, more than the 256"):
        index.write([node], MODEL.embed_passages(["apple"]))
    assert index.count() == 0
