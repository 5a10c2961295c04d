"""Which index is in service: one small file that is never seen half-written."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_app.errors import IndexMissing, StorageError
from rag_app.index import FilePointer


def test_rollback_goes_back_one_at_a_time(tmp_path: Path) -> None:
    active = FilePointer(tmp_path / "new")
    assert active.current() is None
    for name in ("a", "b", "b", "c"):
        active.use(name)
    assert active.current() == "c"
    assert [active.rollback(), active.rollback()] == ["b", "a"]
    assert active.current() == "a"
    with pytest.raises(IndexMissing, match="no earlier index"):
        active.rollback()
    assert active.current() == "a"


def test_a_forgotten_index_is_not_rolled_back_to(tmp_path: Path) -> None:
    active = FilePointer(tmp_path)
    for name in ("a", "b", "c"):
        active.use(name)
    active.forget("b")
    assert active.rollback() == "a"
    active.forget("a")
    assert active.current() is None


def test_an_index_used_again_is_remembered_once(tmp_path: Path) -> None:
    active = FilePointer(tmp_path)
    for name in ("a", "b", "a"):
        active.use(name)
    assert json.loads(active.path.read_text("utf-8")) == {"active": "a", "previous": ["b"]}


DAMAGED = (
    *(b"", b"{", b"[]", b"{}", b"\xff\xfe", b"null", b'"a"'),
    b'{"active": 5, "previous": []}',
    b'{"active": "a", "previous": [5]}',
    b'{"active": "a", "previous": 5}',
)


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_pointer_is_named_and_written_anew(tmp_path: Path, content: bytes) -> None:
    active = FilePointer(tmp_path)
    active.path.write_bytes(content)
    for ask in (active.current, active.rollback, active.kept):
        with pytest.raises(StorageError, match=r"active\.json is damaged: .*index use NAME"):
            ask()
    active.use("a")
    assert (active.current(), active.damage()) == ("a", None)


def test_what_killed_processes_left_goes_at_the_next_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    dead = int(done.stdout)
    left = [f"active.partial-{dead}", f".active.json.partial-{dead}.x1y2"]
    others = [f"active.partial-{os.getpid()}", "notes.partial-x", "active.json.bak"]
    for name in (*left, *others):
        (tmp_path / name).touch()
    FilePointer(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_whoever_reads_while_it_is_switched_sees_one_or_the_other(tmp_path: Path) -> None:
    active = FilePointer(tmp_path)
    active.use("a")
    done = threading.Event()
    seen: set[str | None] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(FilePointer(tmp_path).current())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(100):
            active.use("b")
            active.use("a")
    finally:
        done.set()
        reader.join()
    assert seen <= {"a", "b"}
    assert {path.name for path in tmp_path.iterdir()} == {"active.json", "active.lock"}


class Overtaken(FilePointer):
    """Before it saves, another process has half a second to change the pointer."""

    def __init__(self, storage: Path, meanwhile: Callable[[], None]) -> None:
        super().__init__(storage)
        self.other = threading.Thread(target=meanwhile)

    def _save(self, text: str) -> None:
        if self.other.ident is None:
            self.other.start()
            self.other.join(0.5)
        super()._save(text)


@pytest.mark.parametrize("change", ["forget", "rollback", "use"])
def test_what_another_process_changes_meanwhile_is_not_lost(tmp_path: Path, change: str) -> None:
    for name in ("old", "older", "base"):
        FilePointer(tmp_path).use(name)
    slow = Overtaken(tmp_path, lambda: FilePointer(tmp_path).use("tuned"))
    if change == "rollback":
        slow.rollback()
    else:
        getattr(slow, change)("old")
    slow.other.join()
    assert slow.current() == "tuned"
    if change == "forget":
        assert [slow.rollback(), slow.rollback()] == ["base", "older"]


def test_forgetting_what_is_not_recorded_writes_nothing(tmp_path: Path) -> None:
    active = FilePointer(tmp_path)
    active.forget("unknown")
    assert not active.path.exists()
    active.use("a")
    # A write would put another file in its place.
    kept = active.path.stat().st_ino
    active.forget("unknown")
    active.use("a")
    assert active.path.stat().st_ino == kept
