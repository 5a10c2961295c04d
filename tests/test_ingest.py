"""The stage that users run: what it reports, which index it means, and that it always converges."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import MINILM, ROOT

from rag_app.chunks import Chunking
from rag_app.config import Settings
from rag_app.errors import ConfigError, DocumentError, IndexMismatch
from rag_app.index import Catalog, IndexInfo, VectorIndex
from rag_app.ingest.stage import IngestReport, ingest, open_target
from rag_app.models import EmbeddingModel, find_weights, load_model
from rag_app.retrieve import VectorRetriever

ENGLISH = ["change-email.md", "close-account.md", "forgot-password.md"]
KOREAN = ["login-fail.md", "two-step-setup.md"]


def copy_samples(language: str, names: list[str], target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(ROOT / "data" / language / "account" / name, target / name)
    return target


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return copy_samples("en", ENGLISH, tmp_path / "docs")


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return load_model(MINILM, storage=tmp_path_factory.mktemp("models"), device="cpu")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same dimension that puts questions elsewhere: MiniLM with a prompt."""
    folder = tmp_path_factory.mktemp("models") / "tuned"
    shutil.copytree(find_weights(MINILM, storage=folder), folder)
    path = folder / "config_sentence_transformers.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "prompts": {"query": "ask: "}}), "utf-8")
    return folder


def run(docs: Path, storage: Path, *, name: str | None = None, use: bool = False, **given: Any):  # type: ignore[no-untyped-def]
    settings = Settings(storage=storage, device="cpu", **given)
    return ingest([docs], settings, index_name=name, use=use)


def test_the_first_ingest_reports_and_goes_into_service(docs: Path, storage: Path) -> None:
    (docs / "picture.png").write_bytes(b"\x89PNG")
    report: IngestReport = run(docs, storage)
    assert report.sync.added == [f"docs/{name}" for name in ENGLISH]
    assert (report.model, report.active, report.failures) == (MINILM, True, [])
    assert report.skipped == [docs / "picture.png"]
    assert report.index.startswith("all-minilm-l6-v2-256-32-")
    assert report.chunks == report.sync.written_chunks >= 3
    assert report.warnings == []
    assert report.seconds > 0
    catalog = Catalog(storage)
    assert catalog.active.current() == report.index
    assert catalog.open().count() == report.chunks


def test_what_was_ingested_is_found(docs: Path, storage: Path, minilm: EmbeddingModel) -> None:
    run(docs, storage)
    retriever = VectorRetriever(Catalog(storage).open(), minilm, top_k=1)
    (hit,) = retriever.retrieve("I forgot my password")
    assert hit.node.ref_doc_id == "docs/forgot-password.md"


def test_again_adds_nothing(docs: Path, storage: Path) -> None:
    first = run(docs, storage)
    again = run(docs, storage)
    assert again.sync.unchanged == first.sync.added
    assert (again.sync.added, again.sync.changed, again.sync.removed) == ([], [], [])
    assert (again.index, again.chunks, again.sync.written_chunks) == (first.index, first.chunks, 0)


def test_another_chunk_size_makes_another_index_and_leaves_the_service_alone(
    docs: Path, storage: Path
) -> None:
    first = run(docs, storage)
    other = run(docs, storage, chunk_size=64, chunk_overlap=16)
    assert (other.active, len(other.sync.added)) == (False, 3)
    assert other.chunks > first.chunks
    assert Catalog(storage).names() == sorted([first.index, other.index])
    assert Catalog(storage).active.current() == first.index

    used = run(docs, storage, chunk_size=64, chunk_overlap=16, use=True)
    assert (used.index, used.active, len(used.sync.unchanged)) == (other.index, True, 3)
    # Without a word about sizes the index in service is meant, whatever the defaults say.
    assert run(docs, storage).index == other.index
    assert run(docs, storage, chunk_size=256).index != other.index


def test_a_named_index_is_made_once_and_then_followed(docs: Path, storage: Path) -> None:
    first = run(docs, storage)
    named = run(docs, storage, name="small", chunk_size=64, chunk_overlap=16)
    assert (named.index, named.active) == ("small", False)
    again = run(docs, storage, name="small")
    assert (again.index, len(again.sync.unchanged)) == ("small", 3)
    assert Catalog(storage).active.current() == first.index


def test_a_named_index_of_another_chunk_size_is_refused(docs: Path, storage: Path) -> None:
    run(docs, storage, name="mine")
    with pytest.raises(IndexMismatch, match=r"'mine' was made with chunk_size = 256, not 64;"):
        run(docs, storage, name="mine", chunk_size=64)


def test_a_named_index_of_another_model_is_refused(
    docs: Path, storage: Path, tuned: Path, minilm: EmbeddingModel
) -> None:
    run(docs, storage, name="mine")
    with pytest.raises(IndexMismatch) as caught:
        run(docs, storage, name="mine", model=str(tuned))
    for part in ("'mine'", MINILM, minilm.fingerprint, str(tuned), "--model"):
        assert part in str(caught.value)


def test_the_base_models_name_means_the_tuned_index_in_service(
    docs: Path, storage: Path, tuned: Path
) -> None:
    model = EmbeddingModel(str(tuned), tuned, device="cpu")
    catalog = Catalog(storage)
    catalog.make("tuned", IndexInfo.of(model, Chunking(256, 32), base_model=MINILM))
    catalog.active.use("tuned")
    settings = Settings(storage=storage, device="cpu", model=MINILM)
    index, found = open_target(catalog, settings)
    assert (index.name, found.fingerprint) == ("tuned", model.fingerprint)
    assert run(docs, storage).index == "tuned"


def test_korean_documents_are_not_for_minilm(tmp_path: Path, storage: Path) -> None:
    report = run(copy_samples("ko", KOREAN, tmp_path / "문서"), storage)
    assert report.sync.added == ["문서/login-fail.md", "문서/two-step-setup.md"]
    (warning,) = report.warnings
    assert warning.startswith("2 of 2 documents are in a script that")
    assert "--model intfloat/multilingual-e5-small --use PATH" in warning


def test_chunks_that_the_model_does_not_read_whole_are_counted(
    tmp_path: Path, storage: Path
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    line = "The pump stops when the tank is empty and starts again once it is filled."
    (docs / "long.md").write_text("\n".join([line] * 60), "utf-8")  # about 960 tokens
    report = run(docs, storage, chunk_size=512)
    assert report.sync.truncated_chunks == 2 <= report.chunks
    (warning,) = report.warnings
    assert warning.startswith(f"2 of {report.chunks} chunks are longer than the 256 tokens")
    assert "--chunk-size 256" in warning
    assert run(docs, storage, chunk_size=256).warnings == []


def test_a_folder_without_documents_is_refused(tmp_path: Path, storage: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DocumentError, match="empty holds no file to read"):
        run(tmp_path / "empty", storage)
    with pytest.raises(DocumentError, match="does not exist"):
        run(tmp_path / "none", storage)
    assert Catalog(storage).names() == []


def test_one_corrupt_file_does_not_stop_the_others(docs: Path, storage: Path) -> None:
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\n1 0 obj << /Type /Catalog >>\n%%EOF\n")
    report = run(docs, storage)
    assert report.sync.added == [f"docs/{name}" for name in ENGLISH]
    (failure,) = report.failures
    assert failure.path == docs / "broken.pdf"
    assert failure.reason


# A killed ingest

KILLED = """
import os, signal, sys
from pathlib import Path
from rag_app.environment import prepare_environment

prepare_environment(offline=True)
from rag_app.config import Settings
from rag_app.ingest import ingest

def progress(step, done, total, note=""):
    if step == "index" and done > 0:
        os.kill(os.getpid(), signal.SIGKILL)

ingest([Path(sys.argv[1])], Settings(storage=Path(sys.argv[2]), device="cpu"), progress=progress)
"""


def state(index: VectorIndex) -> dict[str, tuple[str, dict[str, Any]]]:
    return {node.node_id: (node.text, node.metadata) for node in index.passages().nodes}


@pytest.mark.slow
def test_a_killed_ingest_answers_and_the_next_one_finishes_it(
    tmp_path: Path, storage: Path, minilm: EmbeddingModel
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(300):
        text = f"Part {number} costs {number * 7} dollars.\n\nIt fits model {number % 13}."
        (docs / f"{number:03}.md").write_text(text, "utf-8")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(docs), str(storage)], cwd=ROOT, check=False
    )
    assert killed.returncode == -signal.SIGKILL

    (name,) = Catalog(storage).names()
    index = Catalog(storage).open(name)
    assert index.count() == 64  # one group of documents
    (hit,) = VectorRetriever(index, minilm, top_k=1).retrieve(
        "012\nPart 12 costs 84 dollars.\n\nIt fits model 12."
    )
    assert hit.node.ref_doc_id == "docs/012.md"

    report = run(docs, storage)
    assert (report.index, report.active) == (name, True)
    assert (len(report.sync.unchanged), len(report.sync.added)) == (64, 236)
    run(docs, tmp_path / "undisturbed")
    assert state(index) == state(Catalog(tmp_path / "undisturbed").open())
    assert index.count() == 300


@pytest.mark.parametrize("given", [{}, {"name": "words"}, {"use": True}], ids=str)
def test_an_index_in_service_whose_folder_was_deleted_counts_as_none(
    docs: Path, storage: Path, given: dict[str, Any]
) -> None:
    first = run(docs, storage)
    shutil.rmtree(storage / "indexes" / first.index)
    again = run(docs, storage, **given)
    assert (again.index, again.active) == (given.get("name", first.index), True)
    assert sorted(again.sync.added) == sorted(first.sync.added)


def test_an_empty_name_is_refused(docs: Path, storage: Path) -> None:
    run(docs, storage)
    with pytest.raises(ConfigError, match="the name of the index is empty"):
        run(docs, storage, name="")
