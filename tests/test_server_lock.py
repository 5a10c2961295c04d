"""The lock of an index on a Chroma server, which is for writers on all machines."""

import platform
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fakes import WordModel
from llama_index.core.schema import Document
from test_other_processes import INFO, process, write

from rag_app.errors import IndexLocked
from rag_app.index import Catalog, VectorCache, active, sync_documents
from rag_app.index import server_lock as locking
from rag_app.index.server_lock import ServerLock
from rag_app.progress import Progress, silent
from rag_app.vectors import Vectors

Machine = Callable[[str], Catalog]
DOCUMENTS = [Document(id_=f"d{n}", text=f"apple pie number{n}") for n in range(20)]
# What a process does with an index on a server.
HOLD = """
with index.writing():
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(locking, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(locking, "EXPIRES_SECONDS", 2.0)


@pytest.fixture
def machine(chroma_url: str, tmp_path: Path) -> Machine:
    """A machine's view of one project on the server, which has the index "words"."""
    Catalog(tmp_path / "first", chroma_url=chroma_url, project=tmp_path.name).make("words", INFO)
    return lambda name: Catalog(tmp_path / name, chroma_url=chroma_url, project=tmp_path.name)


def lock_of(catalog: Catalog) -> ServerLock:
    assert catalog.server is not None
    return ServerLock(catalog.server, "words")


class SlowModel(WordModel):
    """Waits before it embeds passages until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may = threading.Event(), threading.Event()

    def embed_passages(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        self.begun.set()
        assert self.may.wait(60)
        return super().embed_passages(texts, progress=progress)


def ingest(catalog: Catalog, model: WordModel) -> None:
    cache = VectorCache(catalog.storage)
    sync_documents(catalog.open("words"), DOCUMENTS, roots=(), model=model, cache=cache)


def all_at_once(*work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_of_two_machines_one_ingests_at_a_time(machine: Machine) -> None:
    one, two = machine("one"), machine("two")
    model = SlowModel()
    first = threading.Thread(target=ingest, args=(one, model))
    first.start()
    assert model.begun.wait(60)
    try:
        # Longer than a lock lasts that nobody renews.
        with pytest.raises(IndexLocked) as caught, two.open("words").writing(wait_seconds=3):
            pass
        with pytest.raises(IndexLocked):
            two.remove("words")
    finally:
        model.may.set()
        first.join()
    said = str(caught.value)
    assert said.startswith("index 'words' is being written by another process (`")
    assert f"on {platform.node()}, since 20" in said
    assert said.endswith("or write to another index with --index NAME")
    ingest(two, WordModel())
    assert two.open("words").count() == len(DOCUMENTS)


def test_the_second_machine_waits_where_it_is_told_to(machine: Machine) -> None:
    order: list[str] = []

    def second() -> None:
        with machine("two").open("words").writing(wait_seconds=60):
            order.append("second")

    one = machine("one")
    with one.open("words").writing():
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.5)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]
    # Nothing of it is left on the server.
    assert one.server is not None
    here = [each.name for each in one.server.client.list_collections()]
    assert [name for name in here if name.startswith(one.server.project)] == [
        f"{one.server.project}.words"
    ]


def test_of_many_that_come_at_once_one_gets_it(machine: Machine) -> None:
    inside: list[str] = []
    most: list[int] = []

    def hold(name: str) -> None:
        with machine(name).open("words").writing(wait_seconds=60):
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(name)

    all_at_once(*(lambda name=name: hold(name) for name in "abcd"))
    assert most == [1, 1, 1, 1]


def test_a_lock_whose_holder_was_killed_is_taken_over(
    machine: Machine, chroma_url: str, tmp_path: Path
) -> None:
    index = machine("one").open("words")
    with process(HOLD, tmp_path, chroma_url, tmp_path.name) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(IndexLocked, match=f"process {other.pid} on"):
            lock_of(machine("two")).acquire()
        other.kill()
        other.wait()
        with index.writing():
            write(index, {"d1": "red apple"})
    assert [node.text for node in index.nodes()] == ["red apple"]


def test_a_holder_that_stood_still_too_long_writes_nothing_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its thread does not get to renew it.
    monkeypatch.setattr(locking, "RENEW_SECONDS", 600.0)
    index, other = machine("one").open("words"), machine("two").open("words")
    with index.writing():
        write(index, {"d0": "early apple"})
        with other.writing():
            write(other, {"d1": "red apple"})
            with pytest.raises(IndexLocked, match="'words' was taken over by another process"):
                write(index, {"d2": "late apple"})
    assert sorted(node.text for node in other.nodes()) == ["early apple", "red apple"]


def test_a_late_end_leaves_the_lock_to_who_took_it_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "RENEW_SECONDS", 600.0)
    first, second = (lock_of(machine(name)) for name in ("one", "two"))
    first.acquire()
    second.acquire()
    first.release()
    # It would raise if the lock were gone.
    second.renew()
    second.release()


def test_two_machines_switch_what_is_in_service_one_after_the_other(machine: Machine) -> None:
    names = [f"index{number}" for number in range(6)]
    one, two = machine("one").active, machine("two").active
    switches = [(one, two)[number % 2] for number in range(6)]
    all_at_once(*(lambda n=n: switches[n].use(names[n]) for n in range(6)))
    assert one.kept() == set(names)


def test_who_may_not_switch_is_told_what_of(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index is called as the record of what is in service is, and none is to be named."""
    monkeypatch.setattr(active, "WAIT_SECONDS", 0.5)
    one, two = machine("one").active, machine("two").active
    with one._alone(), pytest.raises(IndexLocked) as caught:
        two.use("words")
    said = str(caught.value)
    assert said.startswith(
        "the record of which index is in service is being written by another process (`"
    )
    assert f"on {platform.node()}, since 20" in said
    assert said.endswith("wait for it to end, then run the same command again")
