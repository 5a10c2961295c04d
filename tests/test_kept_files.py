"""What is unchanged is not read again, and no change is ever lost."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny_model

from rag_app.documents import Source, reading
from rag_app.documents.bounded import ReadingProcess
from rag_app.documents.content import Content
from rag_app.documents.sources import Columns
from rag_app.documents.states import RACY_NS, reading_key, state_of
from rag_app.index import Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest

OLD_NS = 1_600_000_000 * 10**9


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read, in their order."""
    names: list[str] = []
    inner = reading._contents

    def spy(source: Source, process: ReadingProcess) -> list[Content]:
        names.append(source.path.name)
        return inner(source, process)

    monkeypatch.setattr(reading, "_contents", spy)
    return names


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.txt").write_text(f"The refund of {name} takes five days.\n")
    (folder / "faq.csv").write_text(
        "question,answer\nHow long?,Five days.\nHow much?,Ten dollars.\n"
    )
    (folder / "notes.json").write_text('{"no": "documents"}')
    return folder


@pytest.fixture
def again(tmp_path: Path, model: Path, docs: Path) -> Callable[..., IngestReport]:
    """Ingest the folder into one storage."""

    def run(*paths: Path, **options: Any) -> IngestReport:
        workspace = Workspace(tmp_path / "storage")
        request = IngestRequest(
            list(paths) or [docs],
            options=IndexOptions(str(model), 32, 0),
            **options,
        )
        return ingest(workspace, request)

    return run


def test_unchanged_files_are_not_read(again: Callable[..., IngestReport], read: list[str]) -> None:
    first = again()
    assert read == ["a.txt", "b.txt", "c.txt", "faq.csv", "notes.json"]
    assert len(first.sync.added) == 5
    read.clear()
    second = again()
    # What holds no documents is looked into each time.
    assert read == ["notes.json"]
    assert sorted(second.sync.unchanged) == sorted(first.sync.added)
    assert not second.sync.added + second.sync.changed + second.sync.removed
    assert (second.chunks, second.skipped) == (first.chunks, first.skipped)


def test_one_changed_file_is_read_and_one_gone_is_removed(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    again()
    read.clear()
    (docs / "a.txt").write_text("The refund of a takes nine days.\n")
    (docs / "b.txt").unlink()
    (docs / "d.txt").write_text("A new file.\n")
    report = again()
    assert read == ["a.txt", "d.txt", "notes.json"]
    assert report.sync.changed == ["docs/a.txt"]
    assert report.sync.removed == ["docs/b.txt"]
    assert report.sync.added == ["docs/d.txt"]
    assert len(report.sync.unchanged) == 3


def test_a_write_of_the_same_size_with_the_old_times_is_seen(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    path = docs / "a.txt"
    again()
    before = path.stat()
    read.clear()
    path.write_text("The refund of a takes nine days.\n"[: before.st_size])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert again().sync.changed == ["docs/a.txt"]


def test_a_file_that_was_only_touched_is_not_read(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    again()
    read.clear()
    os.utime(docs / "a.txt", ns=(OLD_NS, OLD_NS))
    assert len(again().sync.unchanged) == 5
    assert read == ["notes.json"]


def test_other_columns_read_all_files_again(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    again()
    read.clear()
    (docs / "faq.csv").write_text("question,answer,reply\nHow long?,Five days.,Nine days.\n")
    again()
    read.clear()
    report = again(columns=Columns("question", "reply"))
    assert "faq.csv" in read
    assert (len(report.sync.added), len(report.sync.removed)) == (1, 1)


def test_other_readers_read_all_files_again(
    again: Callable[..., IngestReport], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    again()
    read.clear()
    monkeypatch.setattr("rag_app.documents.states._code", lambda: "of next year")
    again()
    assert len(read) == 5


def test_an_extra_that_is_installed_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = reading_key(Columns())
    monkeypatch.setattr("rag_app.documents.states._version", lambda name: f"{name} 99")
    assert reading_key(Columns()) != before
    assert reading_key(Columns("q", "a")) != reading_key(Columns("a", "q"))
    assert reading_key(Columns(), None, {"a": 1}) != reading_key(Columns(), None, {"a": "1"})


@pytest.mark.parametrize(
    "damage", ["", "{", "[1]", '{"files_by_key": 1}', '{"files_by_key": {"x": {"y": [1]}}}']
)
def test_a_damaged_record_costs_a_reading(
    again: Callable[..., IngestReport], read: list[str], tmp_path: Path, damage: str
) -> None:
    name = again().index
    read.clear()
    (tmp_path / "storage" / "indexes" / name / "files.json").write_text(damage)
    assert len(again().sync.unchanged) == 5
    assert len(read) == 5


def test_a_record_that_says_more_than_the_index_holds_is_not_believed(
    again: Callable[..., IngestReport], read: list[str], tmp_path: Path
) -> None:
    name = again().index
    workspace = Workspace(tmp_path / "storage")
    index = workspace.catalog.open(name)
    lost = [record.chunk_id for record in index.records() if record.document_id == "docs/a.txt"]
    with index.writing():
        index.delete(lost)
    read.clear()
    assert again().sync.added == ["docs/a.txt"]
    assert read == ["a.txt", "notes.json"]


def test_a_record_of_other_documents_is_not_believed(
    again: Callable[..., IngestReport], read: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "storage" / "indexes" / again().index / "files.json"
    known = json.loads(path.read_text())
    (files,) = known["files_by_key"].values()
    for values in files.values():
        values[2] = dict.fromkeys(values[2], "0" * 16)
    path.write_text(json.dumps(known))
    read.clear()
    assert len(again().sync.unchanged) == 5
    assert len(read) == 5


def test_files_of_other_places_stay_known(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    again()
    again(docs / "a.txt")
    read.clear()
    again()
    assert read == ["notes.json"]


def test_folders_read_with_other_columns_stay_known(
    again: Callable[..., IngestReport], read: list[str], docs: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "d.txt").write_text("The refund of d takes six days.\n")
    again()
    again(other, columns=Columns("q", "a"))
    read.clear()
    again()
    again(other, columns=Columns("q", "a"))
    assert read == ["notes.json"]


def test_a_file_that_failed_is_read_each_time(
    again: Callable[..., IngestReport], read: list[str], docs: Path
) -> None:
    (docs / "empty.txt").write_text("")
    for _ in range(2):
        read.clear()
        assert [failure.path.name for failure in again().failures] == ["empty.txt"]
        assert "empty.txt" in read


def test_two_dates_are_still_said(again: Callable[..., IngestReport], docs: Path) -> None:
    (docs / "2024-03-05-news.md").write_text("---\ndate: 2024-03-07\n---\nNews.", "utf-8")
    first, second = again(), again()
    assert second.sync.unchanged
    assert len(first.dates_differ) == 1
    assert first.dates_differ == second.dates_differ


def test_what_was_merged_is_still_said(again: Callable[..., IngestReport], docs: Path) -> None:
    (docs / "faq.csv").write_text("question,answer\nHow long?,Five days.\nWhen?,Five days.\n")
    assert again().merged == again().merged == 1


def test_a_state_is_racy_where_the_file_is_as_young(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    written = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    young = state_of(path, lambda: written + RACY_NS - 1)
    old = state_of(path, lambda: written + RACY_NS)
    assert young is not None
    assert old is not None
    assert (young.is_racy, old.is_racy) == (True, False)
    # Where times tell, a content that differs is not looked at; where they do not, it is.
    assert replace(old, sha256="other").is_of(path)
    assert not replace(young, sha256="other").is_of(path)
    # A clock that goes backwards makes a state racy, never safe.
    back = state_of(path, lambda: written - 10**12)
    assert back is not None
    assert back.is_racy
