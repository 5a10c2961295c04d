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
from tiny import make_tiny_model

from rag_app.chunks import Chunking
from rag_app.errors import ConfigError, DocumentError, IndexMismatch, ModelError
from rag_app.index import Catalog, IndexInfo, VectorIndex, Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.ingest.target import open_target
from rag_app.models import EmbeddingModel, find_weights, load_model
from rag_app.models.e5_q4 import MULTILINGUAL_Q4
from rag_app.models.weights import MULTILINGUAL_MODEL, PACKAGED, tell_rebuilding
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
    workspace = Workspace(storage, device="cpu")
    return ingest(
        workspace, IngestRequest([docs], index=name, options=IndexOptions(**given), use=use)
    )


def test_the_first_ingest_reports_and_goes_into_service(docs: Path, storage: Path) -> None:
    (docs / "picture.png").write_bytes(b"\x89PNG")
    report: IngestReport = run(docs, storage)
    assert report.sync.added == [f"docs/{name}" for name in ENGLISH]
    assert (report.model, report.active, report.failures) == (MINILM, True, [])
    assert report.skipped == [docs / "picture.png"]
    assert report.index.startswith("all-minilm-l6-v2-256-")
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
    opened = open_target(Workspace(storage, device="cpu"), IndexOptions(model=MINILM))
    assert (opened.index.name, opened.model.fingerprint) == ("tuned", model.fingerprint)
    assert run(docs, storage).index == "tuned"


class Heard:
    """What an ingest tells, and the steps of its progress, in their order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def tell(self, text: str) -> None:
        self.events.append(f"told: {text}")

    def progress(self, step: str, done: int, total: int, note: str = "") -> None:
        self.events.append(step)

    def ingest(self, docs: Path, storage: Path, **given: Any) -> IngestReport:
        return ingest(
            Workspace(storage, device="cpu"),
            IngestRequest([docs], options=IndexOptions(**given)),
            tell=self.tell,
            progress=self.progress,
        )

    @property
    def before_the_embedding(self) -> list[str]:
        told = self.events[: self.events.index("embed")]
        return [event.removeprefix("told: ") for event in told if event.startswith("told: ")]


@pytest.fixture
def korean(tmp_path: Path) -> Path:
    """Documents of syllables that the tiny model knows, and one in English."""
    docs = tmp_path / "문서"
    docs.mkdir()
    for number in range(3):
        (docs / f"{number}.md").write_text(f"배송은 {number} 환불 회원 결제 주문 반품", "utf-8")
    (docs / "en.md").write_text("Parcels go by freight.", "utf-8")
    return docs


@pytest.fixture
def multilingual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The multilingual model is installed; it is a tiny one."""
    folder = make_tiny_model(tmp_path / "tiny")
    monkeypatch.setitem(PACKAGED, MULTILINGUAL_Q4, lambda _: folder)


@pytest.fixture
def no_multilingual(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package with the multilingual model is missing."""

    def fail(_: Path) -> Path:
        raise ModelError("comes from a package that is missing")

    monkeypatch.setitem(PACKAGED, MULTILINGUAL_Q4, fail)
    for module in ("fitting", "weights"):
        monkeypatch.setattr(f"rag_app.models.{module}.multilingual_installed", lambda: False)


@pytest.mark.parametrize("name", [MULTILINGUAL_Q4, "intfloat/multilingual-e5-small"])
def test_a_model_that_is_still_to_be_made_is_announced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.models.weights.multilingual_installed", lambda: True)
    said: list[str] = []

    def heard(step: str, done: int, total: int, note: str = "") -> None:
        said.append(step)

    tell_rebuilding(heard, MINILM, storage=tmp_path)
    assert said == []
    tell_rebuilding(heard, name, storage=tmp_path)
    assert said == [f"{MULTILINGUAL_Q4} is made from its package, once: about 20 s"]
    made = tmp_path / "models" / MULTILINGUAL_Q4 / "modules.json"
    made.parent.mkdir(parents=True)
    made.touch()
    tell_rebuilding(heard, name, storage=tmp_path)
    assert len(said) == 1


@pytest.mark.usefixtures("multilingual")
def test_korean_documents_get_the_multilingual_model(korean: Path, storage: Path) -> None:
    heard = Heard()
    report = heard.ingest(korean, storage)
    assert (report.model, report.active) == (MULTILINGUAL_Q4, True)
    (said,) = report.warnings
    assert said == (
        f"3 of 4 documents are in a script that {MINILM} was not trained on, so "
        f"{MULTILINGUAL_Q4} is used; to use another, name it with --model"
    )
    assert heard.before_the_embedding == [said]
    again = run(korean, storage)
    assert (again.index, again.warnings, len(again.sync.unchanged)) == (report.index, [], 4)


@pytest.mark.usefixtures("multilingual")
def test_a_model_that_was_named_or_has_an_index_is_kept_with_a_warning(
    korean: Path, docs: Path, storage: Path, tmp_path: Path
) -> None:
    heard = Heard()
    named = heard.ingest(korean, storage, model=MINILM)
    assert named.model == MINILM
    (warning,) = named.warnings
    assert warning.startswith(f"3 of 4 documents are in a script that {MINILM} was not trained on")
    assert f"run `rag-app ingest --model {MULTILINGUAL_MODEL} --use PATH`" in warning
    assert heard.before_the_embedding == [warning]
    run(docs, tmp_path / "english")
    heard = Heard()
    assert heard.ingest(korean, tmp_path / "english").model == MINILM
    assert heard.before_the_embedding == [warning]


@pytest.mark.usefixtures("no_multilingual")
def test_without_the_multilingual_model_both_commands_are_told_before_the_work(
    korean: Path, storage: Path
) -> None:
    heard = Heard()
    assert heard.ingest(korean, storage).model == MINILM
    (warning,) = heard.before_the_embedding
    assert warning.endswith(
        "run `pip install 'rag-app[multilingual]'`, then "
        f"`rag-app ingest --model {MULTILINGUAL_MODEL} --use PATH`"
    )


@pytest.mark.usefixtures("multilingual")
def test_english_documents_get_the_default_model(docs: Path, storage: Path) -> None:
    (docs / "ko.md").write_text("배송은 환불", "utf-8")
    report = run(docs, storage)
    assert (report.model, report.warnings) == (MINILM, [])


def test_a_folder_of_nothing_that_can_be_read_makes_no_index(
    docs: Path, storage: Path, tmp_path: Path
) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("ask,reply\nq,a\n", "utf-8")
    with pytest.raises(DocumentError, match=r"faq\.csv has no columns question and answer, but"):
        run(table, storage)
    bad = tmp_path / "bad"
    bad.mkdir()
    for number in range(5):
        (bad / f"{number}.md").write_text("", "utf-8")
    with pytest.raises(DocumentError, match=r"none of the 5 files .*0\.md is empty.*; and 2 more"):
        run(bad, storage)
    assert (Catalog(storage).names(), Catalog(storage).active.current()) == ([], None)
    first = run(docs, storage)
    others: list[dict[str, Any]] = [{}, {"chunk_size": 64, "chunk_overlap": 16}]
    for given in others:
        with pytest.raises(DocumentError, match="has no columns question and answer"):
            run(table, storage, **given)
    assert Catalog(storage).names() == [first.index]
    # What is gone from a folder goes from the index, though the rest of it cannot be read.
    for name in ENGLISH:
        (docs / name).unlink()
    (docs / "faq.csv").write_text("ask,reply\nq,a\n", "utf-8")
    assert len(run(docs, storage).sync.removed) == 3


def test_rows_with_one_answer_are_counted(tmp_path: Path, storage: Path) -> None:
    rows = ["question,answer", "a,yes it is", "b,yes it is", "c,no", "d,No", "e,yes it is"]
    (tmp_path / "faq.csv").write_text("\n".join(rows), "utf-8")
    report = run(tmp_path / "faq.csv", storage)
    assert (report.merged, len(report.sync.added)) == (2, 3)


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
from rag_app.index import Workspace
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest

def progress(step, done, total, note=""):
    if step == "index" and done > 0:
        os.kill(os.getpid(), signal.SIGKILL)

request = IngestRequest([Path(sys.argv[1])])
ingest(Workspace(Path(sys.argv[2]), device="cpu"), request, progress=progress)
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
    # Held, so that its store is still open when its folder goes.
    held = Catalog(storage).open()
    assert held.count() == first.chunks
    shutil.rmtree(storage / "indexes" / first.index)
    again = run(docs, storage, **given)
    assert (again.index, again.active) == (given.get("name", first.index), True)
    assert sorted(again.sync.added) == sorted(first.sync.added)


def test_an_empty_name_is_refused(docs: Path, storage: Path) -> None:
    run(docs, storage)
    with pytest.raises(ConfigError, match="the name of the index is empty"):
        run(docs, storage, name="")


def test_what_was_indexed_of_a_folder_that_is_empty_now_goes(tmp_path: Path, storage: Path) -> None:
    for name in ("shop", "cam"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(f"All about the {name}.", "utf-8")
    run(tmp_path, storage)
    (tmp_path / "shop" / "a.md").unlink()
    report = run(tmp_path / "shop", storage)
    assert report.sync.removed == [f"{tmp_path.name}/shop/a.md"]
    assert report.chunks == 1
    with pytest.raises(DocumentError, match="shop holds no file to read; name files"):
        run(tmp_path / "shop", storage)
    shutil.rmtree(tmp_path / "cam")
    with pytest.raises(DocumentError, match="camp does not exist"):
        run(tmp_path / "camp", storage)
    assert run(tmp_path / "cam", storage).sync.removed == [f"{tmp_path.name}/cam/a.md"]


def test_documents_of_a_renamed_folder_are_named(tmp_path: Path, storage: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.md").write_text("All about it.", "utf-8")
    run(tmp_path / "old", storage)
    (tmp_path / "old").rename(tmp_path / "new")
    report = run(tmp_path / "new", storage)
    assert (report.sync.added, report.chunks) == (["new/a.md"], 2)
    assert report.warnings[-1] == (
        "old/a.md: the file is gone, and the document still answers; "
        "`rag-app ingest PATH --prune` removes it"
    )
    assert run(tmp_path / "old", storage).sync.removed == ["old/a.md"]
