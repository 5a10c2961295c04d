"""Rows kept beside an index: appended to, written anew when most are gone, and never half."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import TokenWordModel, WordModel
from llama_index.core.schema import TextNode
from test_other_processes import INFO, write

from rag_app.errors import IndexMissing
from rag_app.index import Catalog, VectorIndex
from rag_app.retrieve.chunk_rows import ChunkRows, Columns
from rag_app.retrieve.rows_folder import RowsFolder
from rag_app.retrieve.sentences.folder import open_sentence_vectors
from rag_app.retrieve.tokens.folder import open_token_embeddings

TEXTS = {"d0": "red apple", "d1": "blue whale", "d2": "green pear", "d3": "white moon"}


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    made = Catalog(tmp_path).make("words", INFO)
    write(made, TEXTS)
    return made


class Lengths:
    """A row for each word: how many letters it has."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, nodes: Sequence[TextNode]) -> list[Columns]:
        self.asked += [node.text for node in nodes]
        return [
            {
                "rows": np.array([[len(word)] * 2 for word in node.text.split()], np.int8),
                "scales": np.ones(len(node.text.split()), np.float32),
            }
            for node in nodes
        ]


def folder_of(index: VectorIndex, rows_of: Lengths, stamp: str = "s") -> RowsFolder[ChunkRows]:
    return RowsFolder(index.folder / "rows", ChunkRows, stamp, rows_of, slab=3, step="rows")


def read(rows: ChunkRows, index: VectorIndex) -> dict[str, list[int]]:
    """The letters of each word, by text."""
    found = {}
    for node in index.nodes():
        columns = rows.columns(node.node_id)
        assert columns is not None
        assert columns["rows"].shape[1] == 2
        found[node.text] = columns["rows"][:, 0].tolist()
    assert len(found) == len(rows.chunk_ids)
    return found


def counted(texts: Sequence[str]) -> dict[str, list[int]]:
    return {text: [len(word) for word in text.split()] for text in texts}


def files(index: VectorIndex) -> dict[str, int]:
    """Names and inodes of what is kept."""
    return {path.name: path.stat().st_ino for path in (index.folder / "rows").iterdir()}


def test_what_is_new_is_appended(index: VectorIndex) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    before = kept.open(index)
    assert read(before, index) == counted(list(TEXTS.values()))
    columns = {name: inode for name, inode in files(index).items() if name != "about.json"}
    assert {name.partition(".")[2] for name in columns} == {"rows", "scales"}

    rows_of.asked.clear()
    old = index.chunk_ids()
    write(index, {"d4": "a yellow house"})
    assert read(kept.open(index), index) == counted([*TEXTS.values(), "a yellow house"])
    assert rows_of.asked == ["a yellow house"]
    assert columns.items() <= files(index).items()
    # Who had opened it goes on with what it knew.
    assert sorted(before.chunk_ids) == sorted(old)
    assert all(before.columns(chunk_id) is not None for chunk_id in old)


def test_what_is_gone_makes_room_once_it_is_the_larger_part(index: VectorIndex) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    kept.open(index)
    first = files(index)
    held = {node.text: node.node_id for node in index.nodes()}
    index.delete([held["red apple"], held["blue whale"]])
    assert read(kept.open(index), index) == counted(["green pear", "white moon"])
    assert files(index).keys() == first.keys()
    index.delete([held["green pear"]])
    assert read(kept.open(index), index) == counted(["white moon"])
    assert files(index).keys() & first.keys() == {"about.json"}
    assert len(files(index)) == 3
    assert sum(path.stat().st_size for path in (index.folder / "rows").glob("*.rows")) == 4
    index.delete(index.chunk_ids())
    assert read(kept.open(index), index) == {}
    # Nothing was embedded again.
    assert len(rows_of.asked) == len(TEXTS)


def test_another_stamp_is_another_s(index: VectorIndex) -> None:
    rows_of = Lengths()
    folder_of(index, rows_of).open(index)
    folder_of(index, rows_of, "t").open(index)
    assert len(rows_of.asked) == 2 * len(TEXTS)
    assert folder_of(index, rows_of).load() is None


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def listed(path: Path) -> None:
    path.write_text(json.dumps([json.loads(path.read_text("utf-8"))]), "utf-8")


def lacking(path: Path) -> None:
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "starts": values["starts"][:-1]}), "utf-8")


def beyond(path: Path) -> None:
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "counts": [9] * len(values["counts"])}), "utf-8")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("about.json", damage) for damage in (emptied, cut, listed, lacking, beyond)),
        ("*.rows", emptied),
        ("*.scales", cut),
        ("*.rows", os.remove),
    ],
)
def test_damaged_files_are_made_again(
    index: VectorIndex, name: str, damage: Callable[[Path], None]
) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    kept.open(index)
    [path] = kept.folder.glob(name)
    damage(path)
    for _ in range(2):
        assert read(kept.open(index), index) == counted(list(TEXTS.values()))
    assert len(rows_of.asked) == 2 * len(TEXTS)
    assert len(files(index)) == 3


def test_what_a_killed_process_appended_is_written_over(index: VectorIndex) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    kept.open(index)
    for path in kept.folder.glob("*.*s"):
        with path.open("ab") as file:
            file.write(b"half of a slab that was to be more")
    write(index, {"d4": "a yellow house"})
    texts = [*TEXTS.values(), "a yellow house"]
    for _ in range(2):
        assert read(kept.open(index), index) == counted(texts)
    assert len(rows_of.asked) == len(texts)


@pytest.mark.parametrize("kept_before", [True, False])
def test_what_fails_in_the_middle_leaves_the_files_as_they_were(
    index: VectorIndex, kept_before: bool
) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    if kept_before:
        kept.open(index)
    before = {path.name: path.stat().st_size for path in kept.folder.glob("*")}
    write(index, {f"n{number}": f"new text {number}" for number in range(4)})
    texts = [*TEXTS.values(), *(f"new text {number}" for number in range(4))]
    failures = [OSError(errno.ENOSPC, "No space left on device")]

    def fails_once_in_the_second_slab(nodes: Sequence[TextNode]) -> list[Columns]:
        if len(nodes) < 3 and failures:
            raise failures.pop()
        return rows_of(nodes)

    failing = replace(kept, rows_of=fails_once_in_the_second_slab)
    # For now they are in a temporary folder.
    assert read(failing.open(index), index) == counted(texts)
    after = {path.name: path.stat().st_size for path in kept.folder.glob("*")}
    assert {name: size for name, size in after.items() if size} == before
    assert read(kept.open(index), index) == counted(texts)
    assert len(files(index)) == 3


def test_where_they_cannot_be_kept_they_are_made_each_time(index: VectorIndex) -> None:
    rows_of = Lengths()
    kept = folder_of(index, rows_of)
    # A folder stands where the lock would be.
    (index.folder / "rows.lock").mkdir()
    for _ in range(2):
        assert read(kept.open(index), index) == counted(list(TEXTS.values()))
    assert len(rows_of.asked) == 2 * len(TEXTS)
    assert not kept.folder.exists()


def test_nothing_stays_of_an_index_that_is_removed_meanwhile(
    index: VectorIndex, tmp_path: Path
) -> None:
    rows_of = Lengths()

    def removed_under_it(nodes: Sequence[TextNode]) -> Iterator[Columns]:
        Catalog(tmp_path).remove("words")
        yield from rows_of(nodes)

    kept = RowsFolder(index.folder / "rows", ChunkRows, "s", removed_under_it, slab=9, step="rows")
    with pytest.raises(IndexMissing):
        kept.open(index)
    assert not index.folder.exists()


def test_views_of_an_index_are_appended_to(index: VectorIndex) -> None:
    """Of both kinds; how rare a token is follows."""
    model = TokenWordModel()
    for _ in range(2):
        sentences = open_sentence_vectors(index, model, None)
        tokens = open_token_embeddings(index, model)
        words = WordModel().embed_queries(["red apple"])[0]
        [asked] = model.embed_query_tokens(["red apple"])
        held = {node.node_id: node.text for node in index.nodes()}
        best = max(held, key=sentences.best(words, list(held)).__getitem__)
        assert held[best].startswith("red apple")
        apple = asked.ids.tolist()[1]
        assert tokens.frequencies[apple] == sum("apple" in text for text in held.values())
        gone = [chunk_id for chunk_id, text in held.items() if "whale" in text]
        index.delete(gone)
        write(index, {"d4": "an apple a day"})
    made = {
        path.name for name in ("sentences", "tokens") for path in (index.folder / name).iterdir()
    }
    assert len(made) == 6
