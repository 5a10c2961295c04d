"""Indexes: what they say of themselves, what they find, and how they are kept apart."""

import platform
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import OpenCatalog
from fakes import DIMENSION, WordModel
from filelock import FileLock
from llama_index.core.schema import Document, TextNode
from lock_holder import held_elsewhere

from rag_app.chunks import Chunking, SentenceChunker
from rag_app.errors import (
    ConfigError,
    IndexBroken,
    IndexLocked,
    IndexMismatch,
    IndexMissing,
)
from rag_app.index import Catalog, IndexInfo, VectorIndex, index_name, name_for
from rag_app.index import chunk_cache as held
from rag_app.retrieve import VectorRetriever

TEXTS = ["red apple pie", "green apple tart", "blue whale song", "red whale"]


@pytest.fixture
def model() -> WordModel:
    return WordModel()


@pytest.fixture
def catalog(open_catalog: OpenCatalog, tmp_path: Path) -> Catalog:
    return open_catalog(tmp_path)


def info_of(model: WordModel, size: int = 16) -> IndexInfo:
    return IndexInfo.of(model, Chunking(size, 4))


def nodes_of(texts: list[str], model: WordModel) -> list[TextNode]:
    chunker = SentenceChunker.for_model(model, Chunking(16, 4))
    documents = [Document(id_=f"d{i}", text=text) for i, text in enumerate(texts)]
    return list(chunker.get_nodes_from_documents(documents))


@pytest.fixture
def index(catalog: Catalog, model: WordModel) -> VectorIndex:
    made = catalog.make("words", info_of(model))
    made.write(nodes_of(TEXTS, model), model.embed_passages(TEXTS))
    return made


# The store


def test_scores_are_cosines_best_first(index: VectorIndex, model: WordModel) -> None:
    query = model.embed_queries(["red apple"])[0]
    hits = index.search(query, top_k=4)
    expected = model.embed_passages(TEXTS) @ query
    order = np.argsort(-expected)
    assert [hit.node.text for hit in hits] == [TEXTS[i] for i in order]
    assert [hit.score for hit in hits] == pytest.approx(expected[order].tolist(), abs=1e-5)
    assert hits[0].node.text == "red apple pie"


def test_the_distance_is_cosine_whatever_a_vectors_length(
    index: VectorIndex, model: WordModel
) -> None:
    assert index.store.client.configuration_json["hnsw"]["space"] == "cosine"
    query = model.embed_queries(["red apple"])[0]
    plain = [hit.score for hit in index.search(query, top_k=4)]
    assert [hit.score for hit in index.search(query * 3, top_k=4)] == pytest.approx(plain, abs=1e-5)


def test_a_chunk_comes_back_as_it_was_written(index: VectorIndex, model: WordModel) -> None:
    written = nodes_of(TEXTS, model)
    passages = index.passages()
    assert [node.to_dict() for node in passages.nodes] == [node.to_dict() for node in written]
    assert passages.vectors == pytest.approx(model.embed_passages(TEXTS), abs=1e-6)
    (hit, *_) = index.search(model.embed_queries([TEXTS[2]])[0], top_k=1)
    assert hit.node.to_dict() == written[2].to_dict()


def test_writing_a_chunk_again_replaces_it(index: VectorIndex, model: WordModel) -> None:
    (node, *_) = nodes_of(TEXTS, model)
    node.text = "yellow lemon"
    index.write([node], model.embed_passages([node.text]))
    assert index.count() == 4
    (hit,) = index.search(model.embed_queries(["yellow lemon"])[0], top_k=1)
    assert (hit.node.node_id, hit.node.text) == (node.node_id, "yellow lemon")
    assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_deleting_what_is_not_there_does_no_harm(index: VectorIndex) -> None:
    index.delete(["nobody"])
    index.delete([])
    assert index.count() == 4


@pytest.mark.parametrize("most", [100, 3, 1])
def test_chunks_are_read_once_until_the_index_writes(
    index: VectorIndex, model: WordModel, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    # Read whole where it fits, by id where it does not, and anew where not even the answer fits.
    monkeypatch.setattr(held, "MOST", most)
    nodes = nodes_of(TEXTS, model)
    wanted = [nodes[2].node_id, "gone", nodes[0].node_id]
    first = index.get_nodes(wanted)
    assert [node.text for node in first] == [TEXTS[2], TEXTS[0]]
    again = index.get_nodes(wanted[:1])
    assert again[0] is first[0]
    assert [node.text for node in index.chunks_of("d2")] == [TEXTS[2]]
    assert index.chunks_of("gone") == []
    changed = nodes[2].model_copy(update={"metadata": {**nodes[2].metadata, "title": "Whales"}})
    index.write([changed], model.embed_passages(TEXTS[2:3]))
    assert [node.metadata.get("title") for node in index.get_nodes(wanted)] == ["Whales", None]
    index.delete([nodes[0].node_id])
    assert [node.text for node in index.get_nodes(wanted)] == [TEXTS[2]]
    assert index.chunks_of("d0") == []


def test_what_another_writer_adds_is_found(index: VectorIndex, model: WordModel) -> None:
    nodes = nodes_of([*TEXTS, "blue pie"], model)
    assert index.get_nodes([nodes[0].node_id])
    other = VectorIndex(index.name, index.connection, index.info, index.folder)
    other.write(nodes[4:], model.embed_passages(["blue pie"]))
    assert [n.text for n in index.get_nodes([nodes[4].node_id, nodes[1].node_id])] == [
        "blue pie",
        TEXTS[1],
    ]
    assert [node.text for node in index.chunks_of("d4")] == ["blue pie"]


def test_an_empty_index_has_no_passages_and_finds_nothing(
    catalog: Catalog, model: WordModel
) -> None:
    empty = catalog.make("empty", info_of(model))
    assert (empty.count(), empty.records()) == (0, [])
    assert empty.passages().vectors.shape == (0, DIMENSION)
    assert empty.search(model.embed_queries(["x"])[0], top_k=3) == []


def test_what_made_an_index_is_read_back(
    index: VectorIndex, model: WordModel, open_catalog: OpenCatalog, tmp_path: Path
) -> None:
    opened = open_catalog(tmp_path).open("words")
    assert opened.info == info_of(model)
    assert opened.info.chunking == Chunking(16, 4)
    assert (opened.info.model, opened.info.base_model) == ("words", "words")


def test_another_model_of_the_same_dimension_is_refused_by_name(
    index: VectorIndex, model: WordModel
) -> None:
    tuned = WordModel("tuned", seed=1)
    index.check_model(model)
    with pytest.raises(IndexMismatch) as caught:
        index.check_model(tuned)
    for part in ("'words'", model.fingerprint, "tuned", tuned.fingerprint, "--model"):
        assert part in str(caught.value)
    with pytest.raises(IndexMismatch):
        VectorRetriever(index, tuned, top_k=1)


# The lock


@pytest.mark.usefixtures("files_only")
def test_one_writes_at_a_time(index: VectorIndex) -> None:
    with (
        FileLock(index.folder / "lock"),
        pytest.raises(IndexLocked, match=r"'words'.*--index NAME"),
        index.writing(),
    ):
        pass
    with index.writing():
        pass


@pytest.mark.usefixtures("files_only")
def test_another_process_that_writes_is_noticed_and_its_death_frees_the_index(
    index: VectorIndex,
) -> None:
    lock = ("import filelock", "filelock.FileLock(sys.argv[1])", index.folder / "lock")
    with held_elsewhere(*lock) as other:
        with pytest.raises(IndexLocked), index.writing():
            pass
        other.kill()
        other.wait()
    with index.writing():
        pass


@pytest.mark.usefixtures("files_only")
def test_who_may_not_write_is_told_who_does(index: VectorIndex) -> None:
    lock = ("from rag_app.index.locks import index_lock", "index_lock(Path(sys.argv[1]))")
    with (
        held_elsewhere(*lock, index.folder, "--token", "s3cret") as other,
        pytest.raises(IndexLocked) as caught,
        index.writing(),
    ):
        pass
    said = str(caught.value)
    assert f"`-c {index.folder}`, process {other.pid} on {platform.node()}, since 20" in said
    assert "s3cret" not in said
    assert not (index.folder / "holder.json").exists()


# The catalog


def test_nothing_ingested_yet_says_what_to_run(catalog: Catalog) -> None:
    assert catalog.names() == []
    with pytest.raises(IndexMissing, match="run `rag-app ingest PATH` first"):
        catalog.open()


def test_an_unknown_name_is_answered_with_the_known_ones(
    catalog: Catalog, index: VectorIndex, model: WordModel
) -> None:
    catalog.make("other", info_of(model))
    assert catalog.names() == ["other", "words"]
    with pytest.raises(IndexMissing, match=r"no index 'wrods' .*known: other, words"):
        catalog.open("wrods")
    assert catalog.names() == ["other", "words"]


def test_the_index_in_service_is_opened_when_none_is_named(
    catalog: Catalog, index: VectorIndex
) -> None:
    catalog.active.use("words")
    assert catalog.open().name == "words"


def test_making_an_index_that_is_there_opens_it(
    catalog: Catalog, index: VectorIndex, model: WordModel
) -> None:
    assert catalog.make("words", info_of(model)).count() == 4


def test_a_removed_index_is_gone_and_the_one_in_service_stays(
    catalog: Catalog, index: VectorIndex, model: WordModel
) -> None:
    catalog.make("other", info_of(model))
    catalog.active.use("words")
    catalog.active.use("other")
    with pytest.raises(ConfigError, match=r"'other' is in service; run `rag-app index use OTHER`"):
        catalog.remove("other")
    catalog.remove("words")
    assert catalog.names() == ["other"]
    assert not index.folder.exists()
    with pytest.raises(IndexMissing):
        catalog.active.rollback()
    with pytest.raises(IndexMissing):
        catalog.remove("words")


@pytest.mark.usefixtures("files_only")
def test_a_store_that_cannot_be_read_says_how_to_make_it_anew(
    catalog: Catalog, tmp_path: Path
) -> None:
    folder = tmp_path / "indexes" / "bad" / "chroma"
    folder.mkdir(parents=True)
    (folder / "chroma.sqlite3").write_bytes(b"no database " * 1000)
    with pytest.raises(IndexBroken) as caught:
        catalog.open("bad")
    for part in ("'bad'", "rag-app index repair bad", "from the vector cache"):
        assert part in str(caught.value)


@pytest.mark.usefixtures("files_only")
def test_a_collection_that_something_else_made_is_broken_too(
    catalog: Catalog, tmp_path: Path
) -> None:
    import chromadb
    from chromadb.config import Settings

    path = tmp_path / "indexes" / "foreign" / "chroma"
    client = chromadb.PersistentClient(
        path=str(path), settings=Settings(anonymized_telemetry=False)
    )
    client.create_collection("foreign", embedding_function=None)
    with pytest.raises(IndexBroken, match="'foreign'"):
        catalog.open("foreign")


def test_a_name_says_what_made_the_index(model: WordModel) -> None:
    made = IndexInfo.of(WordModel("org/My Model_v2"), Chunking(128, 16, "kiwi"))
    assert re.fullmatch(r"my-model-v2-128-[0-9a-f]{6}", index_name(made))
    assert re.fullmatch(r"words-16-[0-9a-f]{6}", index_name(info_of(model)))
    # What is cut otherwise has another name.
    others = [replace(made, chunk_overlap=8), replace(made, sentences="rules")]
    assert len({index_name(info) for info in (made, *others)}) == 3


def test_names_are_short_and_cut_between_words() -> None:
    model = WordModel("sentence-transformers/all-MiniLM-L6-v2-adapter-5e6f7a8b")
    base = "sentence-transformers/all-MiniLM-L6-v2"
    tuned = IndexInfo.of(model, Chunking(256, 32), base_model=base)
    assert re.fullmatch(r"all-minilm-l6-tuned-256-[0-9a-f]{6}", index_name(tuned))
    assert re.fullmatch(r"all-minilm-l6-v2-256-[0-9a-f]{6}", index_name(replace(tuned, model=base)))
    odd = replace(tuned, model="x" * 99, base_model="x" * 99)
    assert len(index_name(odd)) == 30


def test_an_index_of_a_former_name_is_found_again(catalog: Catalog, model: WordModel) -> None:
    info = info_of(model)
    assert name_for(catalog.names(), info) == index_name(info)
    former = f"words-16-4-{model.fingerprint[:6]}"
    catalog.make(former, info)
    assert name_for(catalog.names(), info) == former


def test_base_and_tuned_are_those_like_the_index_in_service(
    catalog: Catalog, model: WordModel
) -> None:
    tuned = WordModel("tuned", seed=1)
    for size in (16, 32):
        chunking = Chunking(size, 4)
        catalog.make(f"plain-{size}", IndexInfo.of(model, chunking))
        info = IndexInfo.of(tuned, chunking, base_model=model.name)
        catalog.make(f"better-{size}", info)
    with pytest.raises(IndexMissing, match="'tuned' could be any of the indexes better-16, better"):
        catalog.open("tuned")
    catalog.active.use("plain-32")
    assert (catalog.open("tuned").name, catalog.open("base").name) == ("better-32", "plain-32")
    catalog.active.use("better-16")
    assert (catalog.open("tuned").name, catalog.open("base").name) == ("better-16", "plain-16")
    # A name comes before an alias.
    catalog.make("base", info_of(model))
    assert catalog.open("base").name == "base"


# What a killed run leaves


def half_made(catalog: Catalog, name: str, *, store: bool = True) -> Path:
    """An index whose run was killed before its collection was made."""
    import chromadb
    from chromadb.config import Settings

    path = catalog.folder / name / "chroma"
    path.mkdir(parents=True)
    if store:
        settings = Settings(anonymized_telemetry=False)
        chromadb.PersistentClient(path=str(path), settings=settings).close()
    return path.parent


@pytest.mark.usefixtures("files_only")
@pytest.mark.parametrize("store", [True, False])
def test_an_unfinished_index_disturbs_no_other_and_can_be_completed_or_removed(
    index: VectorIndex, model: WordModel, tmp_path: Path, store: bool
) -> None:
    catalog = Catalog(tmp_path)
    folder = half_made(catalog, "half", store=store)
    assert catalog.names() == ["words"]
    assert catalog.find(info_of(model)) == "words"
    assert catalog.find(info_of(WordModel("other"))) is None
    assert [one.name for one in catalog.indexes()] == ["words"]
    half, words = catalog.listed()
    assert (half.name, half.state.value, half.index) == ("half", "unfinished", None)
    assert (words.name, words.state.value, words.mend) == ("words", "ready", "")
    for mend in ("rag-app ingest --index half PATH", "rag-app index remove half"):
        assert mend in half.mend
    with pytest.raises(IndexBroken, match="'half' is unfinished"):
        catalog.open("half")
    made = catalog.make("half", info_of(model))
    made.write(nodes_of(TEXTS, model), model.embed_passages(TEXTS))
    assert Catalog(tmp_path).open("half").count() == 4
    assert catalog.names() == ["half", "words"]
    catalog.remove("half")
    half_made(catalog, "half", store=store)
    catalog.remove("half")
    assert not folder.exists()
    assert [one.name for one in catalog.listed()] == ["words"]


@pytest.mark.usefixtures("files_only")
@pytest.mark.parametrize("store", [True, False])
def test_an_index_that_another_process_is_making_is_not_called_unfinished(
    index: VectorIndex, model: WordModel, tmp_path: Path, store: bool
) -> None:
    catalog = Catalog(tmp_path)
    folder = catalog.folder / "half"
    (folder / "chroma" if store else folder).mkdir(parents=True)
    with FileLock(folder / "lock"):
        assert [one.name for one in catalog.listed()] == ["words"]
        with pytest.raises(IndexMissing, match="'half' is not there yet: another process is maki"):
            catalog.open("half")
        with pytest.raises(IndexLocked, match="'half' is being written by another process"):
            catalog.remove("half")
    assert [one.name for one in catalog.listed()] == ["half", "words"]
    with pytest.raises(IndexBroken, match="'half' is unfinished"):
        catalog.open("half")


@pytest.mark.usefixtures("files_only")
def test_a_broken_index_disturbs_no_other(index: VectorIndex, model: WordModel) -> None:
    catalog = Catalog(index.folder.parent.parent)
    folder = half_made(catalog, "bad", store=False)
    (folder / "chroma" / "chroma.sqlite3").write_bytes(b"no database " * 1000)
    assert catalog.find(info_of(model)) == "words"
    assert [(one.name, one.state.value) for one in catalog.listed()] == [
        ("bad", "broken"),
        ("words", "ready"),
    ]


@pytest.mark.usefixtures("files_only")
def test_an_index_of_an_earlier_version_is_ready(index: VectorIndex, model: WordModel) -> None:
    # Only writing marks it.
    (index.folder / "written").unlink()
    catalog = Catalog(index.folder.parent.parent)
    assert catalog.names() == ["words"]
    assert catalog.open("words").count() == 4
    assert catalog.open("words").search(model.embed_queries(["red"])[0], top_k=1)


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/b", "..", ".hidden", "a\\b", "x" * 101])
def test_a_name_that_no_index_can_have_is_refused(
    catalog: Catalog, model: WordModel, tmp_path: Path, name: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="cannot be an index's name"):
        catalog.make(name, info_of(model))
    with pytest.raises(IndexMissing):
        catalog.remove(name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_refused_everywhere(
    catalog: Catalog, index: VectorIndex, model: WordModel, name: str
) -> None:
    catalog.active.use("words")
    for ask in (
        lambda: catalog.open(name),
        lambda: catalog.remove(name),
        lambda: catalog.make(name, info_of(model)),
    ):
        with pytest.raises(ConfigError, match="the name of the index is empty"):
            ask()


def test_an_index_in_service_that_is_gone_counts_as_none(
    catalog: Catalog, index: VectorIndex, model: WordModel, open_catalog: OpenCatalog
) -> None:
    catalog.make("other", info_of(model))
    catalog.put_into_service("words")
    catalog.put_into_service("other")
    assert catalog.in_service() == "other"
    if catalog.server:
        catalog.server.delete("other")
    else:
        shutil.rmtree(catalog.folder / "other")
    assert open_catalog(catalog.storage).in_service() is None
    catalog.put_into_service("words")
    with pytest.raises(IndexMissing, match="no earlier index"):
        catalog.active.rollback()
