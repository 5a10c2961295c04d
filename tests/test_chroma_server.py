"""Indexes on a Chroma server, as two clients with a storage of their own each see them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chroma_process import free_port, wait_for
from conftest import ROOT
from fakes import WordModel
from test_other_processes import INFO, MODEL, found, pipeline, write

from rag_app.errors import ConfigError, IndexBroken, IndexMissing
from rag_app.index import Catalog, IndexInfo, add_known, read_known
from rag_app.index.connection import ServerConnection
from rag_app.known import KnownQuestion


def client_of(catalog: Catalog) -> Any:
    assert catalog.server is not None
    return catalog.server.client


@pytest.fixture
def clients(chroma_url: str, tmp_path: Path) -> Iterator[tuple[Catalog, Catalog]]:
    one, two = (
        Catalog(tmp_path / name, chroma_url=chroma_url, project="shop") for name in ("one", "two")
    )
    yield one, two
    server = client_of(one)
    for collection in server.list_collections():
        server.delete_collection(collection.name)


def test_two_clients_agree_on_what_is_in_service(clients: tuple[Catalog, Catalog]) -> None:
    one, two = clients
    assert one.active.current() is None
    for name in ("first", "second"):
        one.make(name, INFO)
        with pytest.raises(IndexMissing, match="no index is in service on http"):
            two.open()
    one.put_into_service("first")
    assert (two.active.current(), two.open().name) == ("first", "first")
    two.put_into_service("second")
    assert one.open().name == "second"
    assert one.active.rollback() == "first"
    assert two.open().name == "first"
    with pytest.raises(ConfigError, match="'first' is in service"):
        two.remove("first")
    two.remove("second")
    assert one.names() == ["first"]
    # Nothing of it is local: embedded indexes beside it have a pointer of their own.
    assert not (one.storage / "active.json").exists()
    assert Catalog(one.storage).active.current() is None


def test_what_was_learned_goes_where_the_index_goes(clients: tuple[Catalog, Catalog]) -> None:
    one, two = clients
    index = one.make("words", INFO)
    write(index, {"d0": "red apple pie"})
    other = two.open("words")
    generation = other.generation
    index.keep_fusion("{}")
    other.refresh()
    assert (other.fusion, other.info) == ("{}", INFO)
    assert other.generation > generation
    # A later write leaves it.
    write(index, {"d1": "blue whale"})
    other.refresh()
    assert other.fusion == "{}"


def test_collections_of_others_are_passed_over(clients: tuple[Catalog, Catalog]) -> None:
    one, two = clients
    server = client_of(one)
    server.create_collection("theirs", embedding_function=None)
    server.create_collection("shop.noted", embedding_function=None, metadata={"model": "x"})
    one.make("words", INFO)
    one.put_into_service("words")
    assert two.names() == ["words"]
    assert [listed.name for listed in two.listed()] == ["words"]
    assert two.find(INFO) == "words"
    assert two.find(IndexInfo.of(WordModel("other"), INFO.chunking)) is None
    with pytest.raises(IndexMissing, match="no index 'theirs' on http"):
        two.open("theirs")
    with pytest.raises(IndexMissing, match="no index 'theirs'"):
        two.remove("theirs")
    with pytest.raises(IndexBroken, match=r"'shop.noted' .* was not made by rag-app; choose"):
        two.make("noted", INFO)
    # The name is free for an index of ours.
    two.make("theirs", INFO)
    assert {"theirs", "shop.theirs"} <= {one.name for one in server.list_collections()}


@pytest.mark.parametrize("retriever", ["vector", "keyword", "hybrid"])
def test_an_open_retriever_sees_what_another_client_wrote(
    clients: tuple[Catalog, Catalog], tmp_path: Path, retriever: str
) -> None:
    one, two = clients
    index = one.make("words", INFO)
    write(index, {"d0": "red apple pie", "d1": "green apple tart", "d2": "blue whale song"})
    weight = {"hybrid_weight": 0.5} if retriever == "hybrid" else {}
    asked = pipeline(two.open("words"), tmp_path, retriever=retriever, **weight)
    assert found(asked, "apple pie")[0] == "red apple pie"
    with index.writing():
        index.delete([index.chunks_of("d0")[0].node_id])
        write(index, {"d1": "green apple cake", "d3": "yellow apple pie"})
    now = found(asked, "apple pie")
    assert now[0] == "yellow apple pie"
    assert "red apple pie" not in now
    assert found(asked, "cake")[0] == "green apple cake"
    one.remove("words")
    with pytest.raises(IndexMissing, match="'words' was removed while it was open"):
        found(asked, "apple pie")


def test_an_index_of_its_name_in_the_storage_is_another_one(
    clients: tuple[Catalog, Catalog],
) -> None:
    one, two = clients
    write(Catalog(one.storage).make("words", INFO), {"d0": "blue whale"})
    write(one.make("words", INFO), {"d0": "red apple pie"})
    one.remove("words")
    opened = one.make("words", INFO)
    two.remove("words")
    with pytest.raises(IndexMissing), opened.writing():
        pass
    assert [node.text for node in Catalog(one.storage).open("words").nodes()] == ["blue whale"]


def test_another_client_sees_known_questions(clients: tuple[Catalog, Catalog]) -> None:
    one, two = clients
    index = one.make("words", INFO)
    write(index, {"d0": "red apple pie", "d1": "green apple tart"})
    opened = two.open("words")
    before = opened.generation
    assert read_known(opened) == {}
    assert add_known(index, [KnownQuestion("which pie is red", "d0", origin="use")]) == 1
    opened.refresh()
    assert opened.generation > before
    [known] = read_known(opened).values()
    assert [(one.text, one.origin) for one in known.questions] == [("which pie is red", "use")]
    assert one.names() == ["words"]


def test_a_client_killed_in_a_batch_leaves_nothing_unseen(
    clients: tuple[Catalog, Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = clients
    index = one.make("words", INFO)
    write(index, {"d0": "red apple pie"})
    opened = two.open("words")
    (old,) = opened.chunks_of("d0")
    # Half of a batch: begun, looked at, written, never ended.
    assert isinstance(index.connection, ServerConnection)
    batch = index.connection.batch()
    collection = batch.__enter__()
    assert opened.chunks_of("d0")[0].text == old.text
    vectors = MODEL.embed_passages(["red cherry pie"]).tolist()
    collection.update(ids=[old.node_id], embeddings=vectors, documents=["red cherry pie"])
    assert opened.chunks_of("d0")[0].text == "red cherry pie"
    # Much later it is taken for what it is, and no longer read anew for each question.
    monkeypatch.setattr("rag_app.index.connection.monotonic", lambda: time.monotonic() + 60)
    opened.refresh()
    settled = opened.generation
    opened.refresh()
    assert opened.generation == settled
    batch.__exit__(None, None, None)


def test_two_projects_on_one_server_never_meet(chroma_url: str, tmp_path: Path) -> None:
    mine, theirs = (
        Catalog(tmp_path / name / "storage", chroma_url=chroma_url) for name in ("a", "b")
    )
    for catalog, text in ((mine, "salaries of all"), (theirs, "menu of the day")):
        write(catalog.make("words", INFO), {"d": text})
        catalog.put_into_service("words")
    assert [mine.names(), theirs.names()] == [["words"], ["words"]]
    read = [[node.text for node in one.open().nodes()] for one in (mine, theirs)]
    assert read == [["salaries of all"], ["menu of the day"]]
    marks = [one.open().connection.collection.metadata["project"] for one in (mine, theirs)]
    assert marks[0] != marks[1]
    assert all(re.fullmatch(r".*-storage-[0-9a-f]{8}", mark) for mark in marks)
    # Under another name of the storage, or another storage, it is asked for by its project.
    other = Catalog(tmp_path / "c", chroma_url=chroma_url)
    assert other.names() == []
    with pytest.raises(IndexMissing, match=r"no index 'words' on http.*\(project .*-c-"):
        other.open("words")
    named = Catalog(tmp_path / "c", chroma_url=chroma_url, project=marks[0])
    assert named.open().name == "words"
    theirs.put_into_service("words")
    theirs.make("second", INFO)
    theirs.put_into_service("second")
    theirs.remove("words")
    assert mine.open("words").count() == 1
    for catalog, name in ((mine, "words"), (theirs, "second")):
        client_of(catalog).delete_collection(f"{catalog.server.project}.{name}")  # type: ignore[union-attr]


def test_an_index_from_before_there_were_projects_stays_with_its_storage(
    chroma_url: str, tmp_path: Path
) -> None:
    mine, theirs = (Catalog(tmp_path / name, chroma_url=chroma_url) for name in ("a", "b"))
    server = client_of(mine)
    # As they were made: under their own names, with a lock in the storage.
    server.create_collection("old", embedding_function=None, metadata=INFO.to_metadata())
    state = json.dumps({"active": "old", "previous": []})
    pointer = server.create_collection("rag_app-in-service", embedding_function=None)
    pointer.modify(metadata={"rag_app_service": state})
    (mine.folder / "old").mkdir(parents=True)
    assert (mine.names(), mine.in_service(), mine.open().name) == (["old"], "old", "old")
    assert (theirs.names(), theirs.active.current()) == ([], None)
    write(mine.open(), {"d": "red apple"})
    # From now on it is the project's, whatever else has a folder of its name.
    (theirs.folder / "old").mkdir(parents=True)
    assert (mine.names(), theirs.names()) == (["old"], [])
    assert Catalog(tmp_path / "a", chroma_url=chroma_url).open("old").count() == 1
    with pytest.raises(IndexMissing):
        theirs.open("old")
    mine.active.forget("old")
    mine.remove("old")
    assert "old" not in [one.name for one in server.list_collections()]
    server.delete_collection("rag_app-in-service")


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_serves_chroma_over_the_storage_of_a_clone(tmp_path: Path) -> None:
    port, environment = free_port(), Path(sys.executable).parents[1]
    command = ["make", "-f", str(ROOT / "Makefile"), "serve-chroma", f"CHROMA_PORT={port}"]
    # What is installed is not installed anew.
    command += [f"VENV={environment}", "-o", f"{environment}/.demo"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as served:
        try:
            wait_for(f"http://127.0.0.1:{port}")
        finally:
            os.killpg(served.pid, signal.SIGTERM)
            said = served.communicate()[0]
    assert "ANONYMIZED_TELEMETRY=False" in said
    assert (tmp_path / "storage" / "chroma-server" / "chroma.sqlite3").is_file()
