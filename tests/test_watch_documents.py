"""`ingest --watch`: a change is ingested, a broken file ends nothing, Ctrl-C ends it well."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from program import Program
from tiny import make_tiny_model

from rag_app.errors import DocumentError
from rag_app.ingest.watch import changes, watch_and_repeat

PATIENCE_SECONDS = 90


@pytest.fixture
def seen(tmp_path: Path) -> Iterator["Queue[list[Path]]"]:
    """What `changes` says of a folder, and of a file beside it, while the test runs."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "faq.csv").write_text("question,answer\n")
    stop = threading.Event()
    queue: Queue[list[Path]] = Queue()

    def follow() -> None:
        places = [tmp_path / "docs", tmp_path / "faq.csv"]
        for some in changes(
            places, leave_out=[tmp_path / "docs" / "storage"], stop=stop, quiet_ms=100
        ):
            queue.put(some)

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(1)
    yield queue
    stop.set()
    thread.join()


def test_changes_of_documents_come_together(seen: "Queue[list[Path]]", tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / "docs" / name).write_text("one")
    found: set[Path] = set()
    while len(found) < 2:
        found |= set(seen.get(timeout=PATIENCE_SECONDS))
    assert found == {tmp_path / "docs" / "a.txt", tmp_path / "docs" / "b.txt"}


@pytest.mark.parametrize(
    ("missed", "meant"), [("docs/a/b.txt", ["docs"]), ("faq.csv", ["faq.csv"]), (".hidden", [])]
)
def test_what_changed_before_it_was_watched_counts(
    tmp_path: Path, missed: str, meant: list[str]
) -> None:
    (tmp_path / "docs" / "a").mkdir(parents=True)
    (tmp_path / "docs" / "a" / "old.txt").write_text("old")
    (tmp_path / "faq.csv").write_text("question,answer\n")
    places = [tmp_path / "docs", tmp_path / "faq.csv"]
    time.sleep(0.2)
    begun_ns = time.time_ns()
    time.sleep(0.2)
    (tmp_path / missed).write_text("new")
    stop = threading.Event()
    found: list[list[Path]] = []

    def follow() -> None:
        found.extend(changes(places, since_ns=begun_ns, stop=stop, quiet_ms=100))

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(4)
    stop.set()
    thread.join()
    assert found == [[tmp_path / one for one in meant] for _ in meant]


def test_what_ingest_does_not_look_at_is_passed_over(
    seen: "Queue[list[Path]]", tmp_path: Path
) -> None:
    (tmp_path / "docs" / ".hidden").write_text("one")
    (tmp_path / "docs" / "storage").mkdir()
    (tmp_path / "docs" / "storage" / "vectors").write_text("one")
    (tmp_path / "other.txt").write_text("one")
    new = tmp_path / "new"
    new.write_text("question,answer\nq,a\n")
    new.rename(tmp_path / "faq.csv")
    assert seen.get(timeout=PATIENCE_SECONDS) == [tmp_path / "faq.csv"]


@pytest.mark.parametrize("away_seconds", [0, 2])
def test_a_folder_that_is_replaced_is_watched_again(
    seen: "Queue[list[Path]]", tmp_path: Path, away_seconds: int
) -> None:
    docs = tmp_path / "docs"
    shutil.rmtree(docs)
    time.sleep(away_seconds)
    docs.mkdir()
    (docs / "a.txt").write_text("one")
    while docs not in (found := seen.get(timeout=PATIENCE_SECONDS)) or not docs.is_dir():
        pass
    time.sleep(1)
    (docs / "b.txt").write_text("one")
    while docs / "b.txt" not in found:
        found = seen.get(timeout=PATIENCE_SECONDS)


def test_a_place_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="does not exist"):
        watch_and_repeat(lambda: None, [tmp_path / "no" / "such"])


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_the_command_follows_its_folder_until_ctrl_c(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("Refunds take five days.")
    model = make_tiny_model(tmp_path / "tiny")
    places = ("--storage", tmp_path / "storage", "--model", model)
    with Program("ingest", docs, "--watch", "--json", *places, folder=tmp_path) as process:
        assert json.loads(process.stdout.readline())["added"] == 1
        while "waiting for changes" not in process.stderr.readline():
            pass
        time.sleep(2)
        (docs / "broken.pdf").write_bytes(b"no PDF")
        broken = json.loads(process.stdout.readline())
        assert [Path(one["path"]).name for one in broken["failed"]] == ["broken.pdf"]
        (docs / "a.txt").write_text("Refunds take nine days.")
        assert json.loads(process.stdout.readline())["changed"] == 1
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 0
    assert "no longer waiting" in said
    assert "Traceback" not in said
