"""`index list` reads what it shows without opening a store, and opens it where it must."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

from rag_app.errors import ConfigError
from rag_app.index import IndexInfo, VectorIndex
from rag_app.index.catalog import Catalog
from rag_app.index.summary import summaries

INFO = IndexInfo("m", "m", "f" * 16, 2, 256, 32, "rules")


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    index = Catalog(tmp_path).make("some-index", INFO)
    nodes = [
        TextNode(
            id_=f"chunk{n}",
            text="x",
            metadata={"document_hash": "h", "chunk_index": n, "chunk_count": 3, "path": "/a"},
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="a")},
        )
        for n in range(3)
    ]
    with index.writing():
        index.records()
        index.write(nodes, np.eye(3, 2, dtype=np.float32))
    index.records()
    return index


def test_it_says_what_the_store_says(index: VectorIndex, tmp_path: Path) -> None:
    [found] = summaries(tmp_path) or []
    assert found.info == INFO.to_metadata()
    assert (found.name, found.made) == ("some-index", index.made)
    assert (found.documents, found.chunks) == (1, 3)


@pytest.mark.parametrize("file", ["written", "records.json", "chroma/chroma.sqlite3"])
def test_where_a_file_is_missing_or_damaged_the_stores_are_opened(
    index: VectorIndex, tmp_path: Path, file: str
) -> None:
    path = index.folder / file
    path.write_bytes(b"damaged")
    assert summaries(tmp_path) is None
    path.unlink()
    assert summaries(tmp_path) is None


def test_a_write_that_the_records_do_not_know_opens_the_stores(
    index: VectorIndex, tmp_path: Path
) -> None:
    (index.folder / "written").write_text("another token")
    assert summaries(tmp_path) is None


def test_neither_chroma_nor_llama_index_is_imported(index: VectorIndex, tmp_path: Path) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([n for n in ('chromadb', 'llama_index.core', 'numpy') "
        "if n in sys.modules], file=sys.stderr))\n"
        f"sys.argv = ['rag-app', 'index', 'list', '--json', '--storage', {str(tmp_path)!r}]\n"
        "from rag_app.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.splitlines()[-1] == "[]"
    [row] = json.loads(done.stdout)["indexes"]
    assert (row["name"], row["chunks"], row["mrr@10"]) == ("some-index", 3, None)


def test_an_index_in_service_that_cannot_be_opened_can_be_removed(
    index: VectorIndex, tmp_path: Path
) -> None:
    catalog = Catalog(tmp_path)
    catalog.put_into_service(index.name)
    with pytest.raises(ConfigError, match="is in service"):
        catalog.remove(index.name)
    for connection in (index.connection, *catalog._connections.values()):
        connection.close()  # type: ignore[attr-defined]
    database = index.folder / "chroma" / "chroma.sqlite3"
    database.write_bytes(database.read_bytes()[:4096])
    fresh = Catalog(tmp_path)
    assert fresh.remove(index.name) == index.name
    assert (fresh.names(), fresh.in_service()) == ([], None)
