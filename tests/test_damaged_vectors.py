"""Damaged files of vectors: Chroma keeps such files of an index above 1,000 chunks."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from test_cli import run_app, run_json
from tiny import make_tiny_model

from rag_app.chunks import Chunking
from rag_app.index import Catalog, IndexInfo, VectorIndex
from rag_app.index.probe import probe
from rag_app.index.vector_files import damaged_file
from rag_app.models import load_model

# One more than Chroma keeps in its log.
CHUNKS = 1001


def node_of(number: int) -> TextNode:
    """A document of one chunk."""
    name = f"d{number}"
    place = {"document_id": name, "document_hash": "0", "chunk_index": 0, "chunk_count": 1}
    text = f"order {number}"
    node = TextNode(id_=f"c{number}", text=text, metadata={**place, "path": ""})
    node.start_char_idx, node.end_char_idx = 0, len(text)
    node.relationships = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=name)}
    return node


def make_index(storage: Path) -> VectorIndex:
    """The index "words" of a tiny model, in service."""
    model = load_model(str(make_tiny_model(storage / "models" / "tiny")), storage=storage)
    catalog = Catalog(storage)
    index = catalog.make("words", IndexInfo.of(model, Chunking(16, 4)))
    catalog.put_into_service("words")
    return index


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with an index of drawn vectors."""
    storage = tmp_path_factory.mktemp("made")
    index = make_index(storage)
    drawn = np.random.default_rng(0).normal(size=(CHUNKS, index.info.dimension))
    unit = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    index.write([node_of(number) for number in range(CHUNKS)], unit)
    index.records()
    return storage


@pytest.fixture
def storage(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "storage"))


def vector_file(storage: Path, name: str) -> Path:
    [folder] = (path for path in (storage / "indexes/words/chroma").iterdir() if path.is_dir())
    return folder / name


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


DAMAGES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("", shutil.rmtree),
    ("index_metadata.pickle", Path.unlink),
    ("index_metadata.pickle", overwrite),
    ("header.bin", cut),
    ("header.bin", overwrite),
    ("data_level0.bin", Path.unlink),
    ("data_level0.bin", cut),
    # Chroma ends the process that opens this one.
    ("data_level0.bin", overwrite),
)


@pytest.mark.parametrize(("name", "spoil"), DAMAGES)
def test_damaged_vectors_are_found_and_the_mend_is_said(
    storage: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    at = ("--storage", storage)
    spoil(vector_file(storage, name))
    asked = run_app("query", "-q", "order 7", "--llm", "none", *at)
    assert asked.exit_code == 2, asked.output
    assert asked.stderr.startswith("error: index 'words' in ")
    assert "`rag-app index repair words` makes it anew" in asked.stderr
    assert asked.stderr.count("\n") == 1
    for command in (("index", "verify"), ("doctor",)):
        looked = run_app(*command, *at)
        assert looked.exit_code == 2, looked.output
        assert "cannot be read" in looked.output
        assert "rag-app index repair words" in looked.output


def test_a_process_that_ends_while_it_reads_the_vectors_is_told(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("rag_app.index.probe.COMMAND", (sys.executable, "-c", code))
    at = ("--storage", storage)
    verified = run_app("index", "verify", *at)
    assert verified.exit_code == 2
    said = "its vectors cannot be read: the process that tried ended with SIGSEGV"
    assert f"warning: {said}" in verified.stderr
    assert "`rag-app index repair words` makes it anew" in verified.stdout
    looked = run_app("doctor", *at)
    assert looked.exit_code == 2
    assert f"wrong    index words: {said}" in looked.stdout


def test_a_whole_index_is_found_whole(storage: Path) -> None:
    assert damaged_file(storage / "indexes" / "words" / "chroma") is None
    catalog = Catalog(storage)
    assert probe(catalog, catalog.open("words")) == []
    assert probe(catalog, catalog.open("words"), sample=True) == []


def test_an_ingest_into_an_index_with_damaged_vectors_is_refused(
    storage: Path, tmp_path: Path
) -> None:
    shutil.rmtree(vector_file(storage, ""))
    (tmp_path / "a.txt").write_text("Refunds take five days.")
    done = run_app("ingest", tmp_path / "a.txt", "--index", "words", "--storage", storage)
    assert done.exit_code == 2
    assert "`rag-app index repair words` makes it anew" in done.stderr


def test_a_repair_mends_what_cannot_be_read(storage: Path) -> None:
    at = ("--storage", storage)
    for name in ("data_level0.bin", "header.bin", "index_metadata.pickle"):
        overwrite(vector_file(storage, name))
    done = run_json("index", "repair", "words", *at)
    assert (done["kept"], done["lost"]) == (CHUNKS, 0)
    assert run_json("index", "verify", *at)["problems"] == []
    assert run_app("doctor", *at).exit_code == 0
    assert run_json("query", "-q", "order 7", "--llm", "none", *at)
