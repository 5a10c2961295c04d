"""Looking after indexes: verify, repair, gc, info, doctor."""

import json
import os
import re
import shutil
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, OpenCatalog
from fakes import WordModel
from llama_index.core.schema import Document
from test_cli import run_app, run_json, write_documents
from test_other_processes import INFO, MODEL, process
from tiny import make_tiny_model

from rag_app.cli.doctor import EXTRAS, Finding
from rag_app.errors import IndexBroken, IndexLocked, IndexMismatch
from rag_app.index import (
    Catalog,
    VectorCache,
    VectorIndex,
    add_known,
    read_known,
    sync_documents,
)
from rag_app.index.health import info_of_damaged, leavings, problems, repair
from rag_app.known import KnownQuestion

KNOWN = (KnownQuestion("what is red", "d0", 0, 3, "human"), KnownQuestion("who sings", "d2"))
TEXTS = {"d0": "red apple pie", "d1": "green apple tart", "d2": "blue whale song"}


def fill(index: VectorIndex, texts: dict[str, str] = TEXTS) -> None:
    documents = [
        Document(id_=name, text=text, metadata={"path": "", "price": 1.5, "sold": True, "n": 3})
        for name, text in texts.items()
    ]
    cache = VectorCache(index.folder.parent.parent)
    sync_documents(index, documents, roots=(), model=MODEL, cache=cache)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with the index "words" that no open client has seen."""
    index = Catalog(tmp_path / "made").make("words", INFO)
    fill(index)
    add_known(index, KNOWN)
    return Path(shutil.copytree(tmp_path / "made", tmp_path / "storage"))


def database(storage: Path) -> Path:
    return storage / "indexes" / "words" / "chroma" / "chroma.sqlite3"


def state(index: VectorIndex) -> list[tuple[object, ...]]:
    passages = index.passages()
    return [
        (node.node_id, node.text, sorted(node.metadata.items()), vector.tolist())
        for node, vector in zip(passages.nodes, passages.vectors, strict=True)
    ]


@pytest.fixture
def index(open_catalog: OpenCatalog, tmp_path: Path) -> VectorIndex:
    made = open_catalog(tmp_path).make("words", INFO)
    fill(made)
    return made


def test_a_whole_index_has_no_problem(index: VectorIndex) -> None:
    assert problems(index) == []


def test_half_of_a_document_and_wrong_vectors_are_problems(
    index: VectorIndex, tmp_path: Path
) -> None:
    long = Document(id_="long", text=". ".join(["many words in here"] * 12) + ".")
    sync_documents(index, [long], roots=(), model=MODEL, cache=VectorCache(tmp_path))
    first = index.chunks_of("long")[0].node_id
    index.delete([first])
    (found,) = problems(index)
    assert "long is half written" in found
    fill(index, {"long": "short"})
    node = index.chunks_of("d0")[0]
    index.write([node], np.zeros((1, MODEL.dimension), np.float32))
    assert any("1 chunks have vectors without unit length" in found for found in problems(index))


def ruin_log(storage: Path) -> None:
    """As a document with 8,000 keys did: a log entry that can never be applied."""
    with closing(sqlite3.connect(database(storage))) as connection, connection:
        connection.execute("DELETE FROM segments")


def lose_schema(storage: Path) -> None:
    with closing(sqlite3.connect(database(storage))) as connection, connection:
        connection.execute("DROP TABLE migrations")
        connection.execute("DROP TABLE embeddings_queue")


@pytest.mark.parametrize("damage", [ruin_log, lose_schema])
def test_a_repair_makes_the_same_index_from_what_can_be_read(
    storage: Path, damage: Callable[[Path], None]
) -> None:
    whole = Catalog(storage.with_name("made")).open("words")
    before, known = state(whole), read_known(whole)
    damage(storage)
    catalog = Catalog(storage)
    assert info_of_damaged(catalog, "words") == INFO
    model = WordModel()
    done = repair(catalog, "words", model, cache=VectorCache(storage))
    assert (done.kept, done.lost) == (3, 0)
    # From the cache.
    assert model.embedded == []
    index = Catalog(storage).open("words")
    assert state(index) == before
    assert read_known(index) == known
    assert sum(len(each.questions) for each in known.values()) == len(KNOWN)
    assert problems(index) == []
    assert sorted(path.name for path in index.folder.iterdir() if path.is_dir()) == ["chroma"]
    fill(index, {**TEXTS, "d0": "red cherry pie"})
    assert index.count() == 3


def test_a_repair_that_was_killed_between_its_steps_goes_on(storage: Path) -> None:
    folder = storage / "indexes" / "words"
    (folder / "chroma").rename(folder / "chroma.old")
    catalog = Catalog(storage)
    assert leavings(catalog) == [folder / "chroma.old"]
    assert repair(catalog, "words", MODEL, cache=VectorCache(storage)).kept == 3
    assert leavings(catalog) == []
    assert catalog.open("words").count() == 3


def test_a_repair_needs_the_model_the_lock_and_something_to_read(storage: Path) -> None:
    catalog = Catalog(storage)
    with pytest.raises(IndexMismatch):
        repair(catalog, "words", WordModel("other", seed=1), cache=VectorCache(storage))
    code = "with index.writing():\n    print('locked', flush=True); sys.stdin.read()"
    with process(code, storage) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(IndexLocked):
            repair(catalog, "words", MODEL, cache=VectorCache(storage))
        other.communicate("")
    database(storage).write_bytes(b"no database " * 1000)
    with pytest.raises(IndexBroken, match="nothing can be read of index 'words'"):
        info_of_damaged(catalog, "words")


def test_leavings_are_folders_that_hold_no_index_and_nobody_makes_one_in(storage: Path) -> None:
    catalog = Catalog(storage)
    (catalog.folder / "gone").mkdir()
    (catalog.folder / "words" / "repair").mkdir()
    expected = [catalog.folder / "gone", catalog.folder / "words" / "repair"]
    assert leavings(catalog) == expected


# The commands


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = tmp_path_factory.mktemp("shop")
    make_tiny_model(here / "storage" / "models" / "tiny")
    write_documents(here / "docs")
    before = Path.cwd()
    os.chdir(here)
    try:
        made = run_app("ingest", here / "docs", "--model", "tiny", "--storage", here / "storage")
        assert made.exit_code == 0, made.stderr
    finally:
        os.chdir(before)
    return here


def test_the_commands_of_a_healthy_index(shop: Path) -> None:
    at = ("--storage", shop / "storage")
    info = run_json("index", "info", *at)
    assert (info["documents"], info["chunks"], info["in_service"]) == (3, 3, True)
    assert run_json("index", "verify", *at) == {"index": info["name"], "problems": []}
    done = run_json("index", "repair", info["name"], *at)
    assert (done["kept"], done["lost"]) == (3, 0)
    (shop / "storage" / "indexes" / "gone").mkdir()
    collected = run_json("index", "gc", *at)
    assert [Path(path).name for path in collected["removed"]] == ["gone"]
    found = run_json("doctor", *at)["findings"]
    assert {one["state"] for one in found} <= {"ok", "missing"}
    assert any(f"in service: {info['name']}, 3 chunks" in one["what"] for one in found)


def test_gc_says_what_it_freed(tmp_path: Path) -> None:
    left = tmp_path / "indexes" / "gone"
    left.mkdir(parents=True)
    (left / "half").write_bytes(bytes(3 * 2**19))
    done = run_app("index", "gc", "--storage", tmp_path)
    assert done.stdout.splitlines()[-1] == "freed 1.5 MB"
    assert not left.exists()
    done = run_app("index", "gc", "--storage", tmp_path)
    assert done.stdout == "there is nothing to remove\n"


def test_the_commands_of_an_index_on_a_server_and_what_mends_it(
    shop: Path, chroma_url: str
) -> None:
    at = ("--storage", shop / "storage", "--chroma-url", chroma_url)
    name = run_json("ingest", shop / "docs", "--model", "tiny", *at)["index"]
    info = run_json("index", "info", *at)
    assert (info["chunks"], info["place"], info["megabytes"]) == (3, chroma_url, None)
    assert run_json("index", "verify", *at) == {"index": name, "problems": []}
    assert run_json("index", "gc", *at)["removed"] == []
    assert {one["state"] for one in run_json("doctor", *at)["findings"]} <= {"ok", "missing"}
    index = Catalog(shop / "storage", chroma_url=chroma_url).open(name)
    nodes = index.passages().nodes
    index.write(nodes[:1], np.zeros((1, index.info.dimension), np.float32))
    found = run_app("index", "verify", *at)
    assert found.exit_code == 2
    assert "1 chunks have vectors without unit length" in found.stderr
    assert "index repair" not in found.stdout
    assert "`rag-app ingest PATH --index NEW --use`" in found.stdout
    refused = run_app("index", "repair", name, *at)
    assert refused.exit_code == 2
    assert "`rag-app ingest PATH --index NEW --use`" in refused.stderr.replace("\n", " ")
    # As it says.
    run_json("ingest", shop / "docs", "--index", "new", "--use", *at)
    assert f"`rag-app index remove {name}`" in found.stdout
    run_json("index", "remove", name, *at)
    assert run_json("index", "verify", *at) == {"index": "new", "problems": []}


def test_doctor_says_what_is_wrong_and_what_mends_it(shop: Path, tmp_path: Path) -> None:
    empty = run_json("doctor", "--storage", tmp_path / "none")["findings"]
    assert ("missing", "rag-app ingest PATH") in [(one["state"], one["mend"]) for one in empty]
    storage = shutil.copytree(shop / "storage", tmp_path / "storage")
    shutil.rmtree(storage / "models")
    half = storage / "indexes" / "half" / "chroma"
    half.mkdir(parents=True)
    done = run_app("doctor", "--storage", storage)
    assert done.exit_code == 2
    assert "embedding model 'tiny' was not found" in done.stdout
    assert "rag-app index remove half" in done.stdout
    (storage / "active.json").unlink()
    assert "rag-app index use" in run_app("doctor", "--storage", storage).stdout


def test_doctor_prints_what_it_found_before_an_error_that_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Iterator[Finding]:
        raise RuntimeError("a bug")
        yield

    monkeypatch.setattr("rag_app.cli.doctor._service", fail)
    done = run_app("doctor", "--storage", tmp_path)
    assert isinstance(done.exception, RuntimeError)
    assert done.stdout.startswith("ok       Python")


def test_doctor_looks_for_every_extra_that_can_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    # What developers install.
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs"}


def test_the_guide_lists_the_extras() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    section = guide.partition("## Extras\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == set(EXTRAS)


@pytest.mark.parametrize("content", ["", '{"active": 5, "previous": []}'])
def test_a_damaged_pointer_keeps_no_index_from_being_listed_and_used(
    shop: Path, tmp_path: Path, content: str
) -> None:
    storage = shutil.copytree(shop / "storage", tmp_path / "storage")
    at = ("--storage", storage)
    (storage / "active.json").write_text(content)
    listed = run_app("index", "list", "--json", *at)
    assert listed.exit_code == 0
    assert "warning:" in listed.stderr
    assert "`rag-app index use NAME` writes it anew" in listed.stderr
    values = json.loads(listed.stdout)
    assert values["active"] is None
    [name] = [one["name"] for one in values["indexes"]]
    asked = run_app("query", "-q", "refunds", "--llm", "none", *at)
    assert asked.exit_code == 2
    assert "active.json is damaged" in asked.stderr
    assert run_json("index", "use", name, *at) == {"active": name}
    assert run_json("index", "list", *at)["active"] == name
