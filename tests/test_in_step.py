"""What an ingest does beyond its own places: pruning, and the base of a tuned index."""

from pathlib import Path

import pytest
from fakes import WordModel
from test_cli import run_app, run_json

from rag_app.chunks import Chunking
from rag_app.index import Catalog, IndexInfo, VectorIndex, Workspace, copy_chunks
from rag_app.index.records import KeptRecords
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest

BASE, TUNED = WordModel("base"), WordModel("tuned", seed=1)
MODELS = {model.name: model for model in (BASE, TUNED)}


class TwoModels(Workspace):
    """A workspace whose models are the base and the tuned one."""

    def model_of(self, info: IndexInfo) -> WordModel:
        return MODELS[info.model]

    def made_with(self, info: IndexInfo, name: str) -> bool:
        return name in (info.model, info.base_model)


@pytest.fixture
def workspace(tmp_path: Path) -> TwoModels:
    """An index of the base, and a tuned one in service that was copied from it."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("a", "b"):
        (docs / f"{name}.txt").write_text(f"{name} red apple pie", "utf-8")
    made = TwoModels(tmp_path / "storage")
    catalog = made.catalog
    base = catalog.make("base-16", IndexInfo.of(BASE, Chunking(16, 4)))
    catalog.put_into_service("base-16")
    ingest(made, IngestRequest([docs]))
    info = IndexInfo.of(TUNED, Chunking(16, 4), base_model=BASE.name)
    tuned = catalog.make("tuned-16", info)
    copy_chunks(base, tuned, model=TUNED, cache=made.cache)
    catalog.put_into_service("tuned-16")
    return made


def texts(index: VectorIndex) -> list[str]:
    return sorted(node.text for node in index.nodes())


def test_a_tuned_index_carries_new_documents_and_a_rollback_loses_nothing(
    workspace: TwoModels, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    (docs / "a.txt").unlink()
    (docs / "b.txt").write_text("b green apple tart", "utf-8")
    (docs / "c.txt").write_text("c blue whale song", "utf-8")
    report = ingest(workspace, IngestRequest([docs]))
    assert report.index == "tuned-16"
    expected = ["b green apple tart", "c blue whale song"]
    assert texts(workspace.catalog.open("tuned-16")) == expected
    assert workspace.catalog.active.rollback() == "base-16"
    base = workspace.catalog.open()
    assert texts(base) == expected
    # In the base's own space.
    near = base.search_ids(BASE.embed_queries(["c blue whale song"])[0], top_k=1)
    assert max(near.values()) > 0.9
    # Nothing is left to do, for either.
    assert ingest(workspace, IngestRequest([docs])).sync.added == []


def test_the_base_gets_the_metadata_that_an_ingest_names(
    workspace: TwoModels, tmp_path: Path
) -> None:
    ingest(workspace, IngestRequest([tmp_path / "docs"], metadata={"company": "Acme"}))
    for name in ("base-16", "tuned-16"):
        nodes = workspace.catalog.open(name).nodes()
        assert [node.metadata["company"] for node in nodes] == ["Acme", "Acme"]


def test_what_only_the_base_has_stays_there(workspace: TwoModels, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "o.txt").write_text("o yellow sun", "utf-8")
    ingest(workspace, IngestRequest([other], index="base-16"))
    (tmp_path / "docs" / "c.txt").write_text("c blue whale song", "utf-8")
    ingest(workspace, IngestRequest([tmp_path / "docs"]))
    assert "o yellow sun" in texts(workspace.catalog.open("base-16"))
    assert "o yellow sun" not in texts(workspace.catalog.open("tuned-16"))


def test_a_base_that_is_being_written_is_a_warning(workspace: TwoModels, tmp_path: Path) -> None:
    (tmp_path / "docs" / "c.txt").write_text("c blue whale song", "utf-8")
    from rag_app.index.locks import index_lock

    with index_lock(workspace.catalog.folder / "base-16"):
        report = ingest(workspace, IngestRequest([tmp_path / "docs"]))
    assert any("base-16, which `rag-app index rollback` goes back to" in w for w in report.warnings)
    ingest(workspace, IngestRequest([tmp_path / "docs"]))
    assert "c blue whale song" in texts(workspace.catalog.open("base-16"))


# Documents whose file is gone


def ingest_both(tmp_path: Path) -> tuple[Workspace, Path, Path]:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "x.txt").write_text(f"{folder.name} rule", "utf-8")
    workspace = Workspace(tmp_path / "storage", embedder=BASE)
    ingest(workspace, IngestRequest([old, new]))
    (old / "x.txt").unlink()
    old.rmdir()
    return workspace, old, new


def test_documents_whose_file_is_gone_elsewhere_are_named_and_pruned(tmp_path: Path) -> None:
    workspace, _, new = ingest_both(tmp_path)
    report: IngestReport = ingest(workspace, IngestRequest([new]))
    assert report.sync.lost == ["old/x.txt"]
    assert any("old/x.txt: the file is gone" in warning for warning in report.warnings)
    assert report.chunks == 2
    report = ingest(workspace, IngestRequest([new], prune=True))
    assert (report.sync.removed, report.sync.lost, report.chunks) == (["old/x.txt"], [], 1)


def test_strict_exits_2_where_a_file_cannot_be_read(tmp_path: Path) -> None:
    from tiny import make_tiny_model

    make_tiny_model(tmp_path / "storage" / "models" / "tiny")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("apple", "utf-8")
    (docs / "b.txt").write_bytes(b"\x00\x01")
    arguments = ("ingest", docs, "--storage", tmp_path / "storage", "--model", "tiny")
    assert run_json(*arguments)["chunks"] == 1
    done = run_app(*arguments, "--strict")
    assert (done.exit_code, "1 files could not be read" in done.stderr) == (2, True)


# Records that are kept


def test_an_unchanged_ingest_reads_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("red apple pie", "utf-8")
    ingest(Workspace(tmp_path / "storage", embedder=BASE), IngestRequest([docs]))
    monkeypatch.setattr(VectorIndex, "_read_records", lambda index: pytest.fail(index.name))
    assert ingest(
        Workspace(tmp_path / "storage", embedder=BASE), IngestRequest([docs])
    ).sync.unchanged == ["docs/a.txt"]


def test_records_of_another_token_count_for_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "storage", embedder=BASE)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("red apple pie", "utf-8")
    report = ingest(workspace, IngestRequest([docs]))
    index = workspace.catalog.open(report.index)
    (record,) = index.records()
    kept = KeptRecords(index.folder / "records.json")
    assert kept.get(index.connection.token) == [record]
    assert kept.get("another") is None
    for damage in ("", "[]", '["x", [[1]]]', "{"):
        (index.folder / "records.json").write_text(damage, "utf-8")
        assert KeptRecords(index.folder / "records.json").get("x") is None
    # A batch of somebody else between two of ours.
    kept.follow(("other", "later"), deleted=[record.chunk_id])
    assert kept.get("later") is None
    assert Catalog(tmp_path / "storage").open(report.index).records() == [record]
