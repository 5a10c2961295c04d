"""An index that is removed, or a server that dies, under a command: one message, and no traceback.

Cases T11 and I8 of the list that the project keeps of what people did to it.
"""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from chroma_process import chroma_server
from program import Program
from test_cli import run_app
from test_other_processes import Repl
from tiny import make_tiny_model

from rag_app.errors import IndexLocked
from rag_app.index import Catalog, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest

OPTIONS = IndexOptions(model="tiny", chunk_size=16, chunk_overlap=0)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """A storage with the index "other", which is not in service."""
    made = tmp_path / "storage"
    make_tiny_model(made / "models" / "tiny")
    write(tmp_path / "docs", range(3))
    workspace = Workspace(made, device="cpu")
    ingest(workspace, IngestRequest([tmp_path / "docs"], options=OPTIONS))
    ingest(workspace, IngestRequest([tmp_path / "docs"], options=OPTIONS, index="other"))
    return made


def write(folder: Path, numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number}.txt").write_text(f"Rule {number} about refunds.", "utf-8")


def started(storage: Path, *arguments: str) -> Program:
    """A command in a process of its own."""
    return Program(*arguments, "--storage", storage, "--json", folder=storage.parent)


def removed(storage: Path) -> bool:
    """Whether the index could be removed now."""
    try:
        Catalog(storage).remove("other")
    except IndexLocked:
        return False
    return True


def test_an_index_is_not_removed_while_an_ingest_writes_it(storage: Path) -> None:
    write(storage.parent / "docs", range(400))
    command = ("ingest", "docs", "--index", "other", "--chunk-size", "16", "--chunk-overlap", "0")
    with started(storage, *command) as running:
        index = Catalog(storage).open("other")
        before = index.count()
        while running.returncode is None and index.count() == before:
            time.sleep(0.005)
        # It has written, and goes on.
        assert running.returncode is None
        done = run_app("index", "remove", "other", "--storage", storage)
        told, errors = running.communicate()
    assert done.exit_code == 2
    assert "error: index 'other' is being written by another process" in done.stderr
    assert running.returncode == 0, errors
    assert '"added": 397' in told
    assert removed(storage)
    assert not (storage / "indexes" / "other").exists()


def test_a_conversation_outlives_its_server(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    make_tiny_model(storage / "models" / "tiny")
    write(tmp_path / "docs", range(3))
    with ExitStack() as stack:
        with chroma_server(tmp_path / "data") as url:
            workspace = Workspace(storage, chroma_url=url, project="shop", device="cpu")
            ingest(workspace, IngestRequest([tmp_path / "docs"], options=OPTIONS))
            port = int(url.rpartition(":")[2])
            server = ("--chroma-url", url, "--project", "shop")
            repl = stack.enter_context(Repl(storage, *server, "--k", "50"))
            before = repl.ask("refunds")
            assert before
            # From here on nobody answers.
        repl.send("refunds\n")
        assert "no Chroma server answers at" in repl.stdout.readline()
        with chroma_server(tmp_path / "data", port=port):
            assert repl.ask("refunds") == before
            told = repl.end()
    assert "Traceback" not in told
