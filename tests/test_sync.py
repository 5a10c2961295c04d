"""However often and however rudely a sync ends, the index comes to say what the documents say."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenCatalog
from fakes import WordModel

from rag_app.chunks import Chunking, passage_text
from rag_app.documents import read_documents
from rag_app.errors import DocumentError
from rag_app.index import (
    IndexInfo,
    SyncReport,
    VectorCache,
    VectorIndex,
    copy_chunks,
    sync_documents,
)

MakeIndex = Callable[..., VectorIndex]
PARTS = {
    letter: " ".join(f"{letter}{number}" for number in range(10)) + "." for letter in "abcdefgh"
}


@pytest.fixture
def model() -> WordModel:
    return WordModel()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents of two chunks and one of one, 16 words a chunk; a file's name is its title."""
    docs = tmp_path / "docs"
    docs.mkdir()
    put(docs / "one.md", "a", "b")
    put(docs / "two.md", "c", "d")
    put(docs / "three.md", "e")
    return docs


@pytest.fixture
def make_index(open_catalog: OpenCatalog) -> MakeIndex:
    """Makes an index for a model in a storage."""

    def make(storage: Path, model: WordModel, name: str = "words") -> VectorIndex:
        return open_catalog(storage).make(name, IndexInfo.of(model, Chunking(16, 0)))

    return make


@pytest.fixture
def index(make_index: MakeIndex, tmp_path: Path, model: WordModel) -> VectorIndex:
    return make_index(tmp_path / "storage", model)


def put(path: Path, *letters: str) -> None:
    path.write_text("\n\n".join(PARTS[letter] for letter in letters), "utf-8")


def sync(index: VectorIndex, folder: Path, model: Any) -> SyncReport:
    reading = read_documents([folder])
    return sync_documents(
        index,
        reading.documents,
        roots=[folder],
        failed=[failure.path for failure in reading.failures],
        model=model,
        cache=VectorCache(index.folder.parent.parent),
    )


def state(index: VectorIndex) -> dict[str, tuple[Any, ...]]:
    """All that an index holds, by chunk id."""
    passages = index.passages()
    return {
        node.node_id: (node.text, node.metadata, node.start_char_idx, vector.tobytes())
        for node, vector in zip(passages.nodes, passages.vectors, strict=True)
    }


def texts(index: VectorIndex) -> list[str]:
    return [node.text for node in index.passages().nodes]


def test_what_is_new_is_added(index: VectorIndex, folder: Path, model: WordModel) -> None:
    report = sync(index, folder, model)
    assert report == SyncReport(
        added=["docs/one.md", "docs/three.md", "docs/two.md"], written_chunks=5
    )
    assert texts(index) == [PARTS[letter] for letter in "abecd"]  # by document, then by place


def test_a_second_sync_writes_and_embeds_nothing(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    before = state(index)
    model.embedded.clear()
    report = sync(index, folder, model)
    assert report == SyncReport(unchanged=["docs/one.md", "docs/three.md", "docs/two.md"])
    assert model.embedded == []
    assert state(index) == before


def test_an_edited_document_changes_its_own_chunks_alone(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    before = state(index)
    model.embedded.clear()
    put(folder / "one.md", "a", "f")
    report = sync(index, folder, model)
    assert (report.changed, report.added, report.removed) == (["docs/one.md"], [], [])
    assert model.embedded == [f"one\n{PARTS['f']}"]
    assert texts(index) == [PARTS[letter] for letter in "afecd"]
    others = {key: row for key, row in before.items() if not row[1]["path"].endswith("/one.md")}
    after = state(index)
    assert len(others) == 3
    assert {key: after[key] for key in others} == others


def test_a_document_that_shrank_leaves_no_chunk_behind(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    put(folder / "one.md", "a")
    assert sync(index, folder, model).changed == ["docs/one.md"]
    assert texts(index) == [PARTS[letter] for letter in "aecd"]


def test_a_removed_document_leaves_nothing(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    (folder / "two.md").unlink()
    report = sync(index, folder, model)
    assert (report.removed, report.unchanged) == (["docs/two.md"], ["docs/one.md", "docs/three.md"])
    assert texts(index) == [PARTS[letter] for letter in "abe"]


def test_a_file_that_can_no_longer_be_read_keeps_its_chunks(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    before = state(index)
    (folder / "two.md").write_text("", "utf-8")
    assert sync(index, folder, model).removed == []
    assert state(index) == before


def test_documents_outside_the_folders_that_were_read_stay(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path
) -> None:
    other = tmp_path / "docs-other"  # begins like `docs`, but is not below it
    other.mkdir()
    put(other / "x.md", "g")
    sync(index, folder, model)
    sync(index, other, model)
    (other / "x.md").unlink()
    (folder / "two.md").unlink()
    assert sync(index, folder, model).removed == ["docs/two.md"]
    assert texts(index) == [PARTS[letter] for letter in "gabe"]


def test_one_file_may_be_named_alone(index: VectorIndex, folder: Path, model: WordModel) -> None:
    sync(index, folder, model)
    put(folder / "two.md", "h")
    report = sync(index, folder / "two.md", model)
    assert (report.changed, report.removed) == (["docs/two.md"], [])
    assert texts(index) == [PARTS[letter] for letter in "abeh"]


class DyingIndex(VectorIndex):
    """Dies between writing the new chunks and deleting the old ones."""

    def delete(self, chunk_ids: Sequence[str]) -> None:
        if chunk_ids:
            raise KeyboardInterrupt
        super().delete(chunk_ids)


def test_a_run_that_dies_before_deleting_leaves_an_index_that_answers(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path, make_index: MakeIndex
) -> None:
    sync(index, folder, model)
    put(folder / "one.md", "f", "g")
    (folder / "two.md").unlink()
    dying = DyingIndex(index.name, index.connection, index.info, index.folder)
    with pytest.raises(KeyboardInterrupt):
        sync(dying, folder, model)
    assert index.count() == 7  # a, b, c, d, e and the new f, g
    (hit,) = index.search(model.embed_queries([PARTS["f"]])[0], top_k=1)
    assert hit.node.text == PARTS["f"]

    report = sync(index, folder, model)
    assert (report.changed, report.removed) == (["docs/one.md"], ["docs/two.md"])
    undisturbed = make_index(tmp_path / "other", model)
    sync(undisturbed, folder, model)
    assert state(index) == state(undisturbed)


def test_a_document_of_which_a_chunk_is_missing_is_written_again(
    index: VectorIndex, folder: Path, model: WordModel
) -> None:
    sync(index, folder, model)
    before = state(index)
    index.delete([index.passages().nodes[0].node_id])
    assert sync(index, folder, model).changed == ["docs/one.md"]
    assert state(index) == before


def test_two_files_that_both_exist_may_not_share_an_id(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path
) -> None:
    sync(index, folder, model)
    before = state(index)
    twin = tmp_path / "elsewhere" / "docs"
    twin.mkdir(parents=True)
    put(twin / "one.md", "h")
    with pytest.raises(DocumentError) as caught:
        sync(index, twin, model)
    for part in (str(twin / "one.md"), str(folder / "one.md"), "'docs/one.md'"):
        assert part in str(caught.value)
    assert state(index) == before


def test_a_folder_that_moved_is_taken_over(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path
) -> None:
    sync(index, folder, model)
    before = texts(index)
    model.embedded.clear()
    moved = tmp_path / "elsewhere" / "docs"
    moved.parent.mkdir()
    folder.rename(moved)
    report = sync(index, moved, model)
    assert (len(report.changed), report.added, report.removed) == (3, [], [])
    assert texts(index) == before
    assert {record.path for record in index.records()} == {str(path) for path in moved.glob("*.md")}
    assert model.embedded == []


def test_chunks_longer_than_the_model_reads_are_counted(
    make_index: MakeIndex, tmp_path: Path, folder: Path
) -> None:
    model = WordModel(max_tokens=9)
    report = sync(make_index(tmp_path / "storage", model), folder, model)
    assert (report.written_chunks, report.truncated_chunks) == (5, 5)


def test_more_documents_than_a_group_and_more_chunks_than_a_batch(
    index: VectorIndex, tmp_path: Path, model: WordModel
) -> None:
    docs = tmp_path / "many"
    docs.mkdir()
    for number in range(130):
        put(docs / f"{number:03}.md", "a", "b", "c")
    seen: list[tuple[int, int]] = []
    sync_documents(
        index,
        read_documents([docs]).documents,
        roots=[docs],
        model=model,
        cache=VectorCache(tmp_path),
        progress=lambda step, done, total, note="": (
            seen.append((done, total)) if step == "index" else None
        ),
    )
    assert index.count() == 390
    assert seen == [(0, 130), (64, 130), (128, 130), (130, 130)]
    shutil.rmtree(docs)
    docs.mkdir()
    put(docs / "000.md", "a", "b", "c")
    assert len(sync(index, docs, model).removed) == 129
    assert index.count() == 3


# Copying to another model


def test_a_copy_holds_the_same_chunks_in_the_other_models_space(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path, make_index: MakeIndex
) -> None:
    sync(index, folder, model)
    tuned = WordModel("tuned", seed=1)
    target = make_index(tmp_path / "storage", tuned, "tuned")
    copy_chunks(index, target, model=tuned, cache=VectorCache(tmp_path))
    copied, original = target.passages(), index.passages()
    assert [node.node_id for node in copied.nodes] == [node.node_id for node in original.nodes]
    assert [node.metadata for node in copied.nodes] == [node.metadata for node in original.nodes]
    expected = tuned.embed_passages([passage_text(node) for node in copied.nodes])
    assert copied.vectors == pytest.approx(expected, abs=1e-6)
    # A sync of the copy finds nothing to do.
    assert len(sync(target, folder, tuned).unchanged) == 3


def test_a_copy_resumes_and_drops_what_the_source_lost(
    index: VectorIndex, folder: Path, model: WordModel, tmp_path: Path, make_index: MakeIndex
) -> None:
    sync(index, folder, model)
    tuned = WordModel("tuned", seed=1)
    target = make_index(tmp_path / "storage", tuned, "tuned")
    copy_chunks(index, target, model=tuned, cache=VectorCache(tmp_path / "1"))
    target.delete([target.passages().nodes[1].node_id])
    (folder / "three.md").unlink()
    sync(index, folder, model)
    tuned.embedded.clear()
    copy_chunks(index, target, model=tuned, cache=VectorCache(tmp_path / "2"))
    assert tuned.embedded == [f"one\n{PARTS['b']}"]
    assert texts(target) == texts(index) == [PARTS[letter] for letter in "abcd"]
