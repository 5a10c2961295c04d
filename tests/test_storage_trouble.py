"""Full disks, storages that may only be read, and Chroma's own settings: no index is given up."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import ROOT
from test_other_processes import INFO, write

from rag_app.disk import storage_error
from rag_app.errors import IndexBroken, StorageError
from rag_app.index import Catalog, VectorIndex
from rag_app.index.chroma import InternalError
from rag_app.index.connection import embedded

ASK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_other_processes import MODEL, Catalog
index = Catalog(Path(sys.argv[1])).open("words")
hits = index.search(MODEL.embed_queries(["red apple"])[0], top_k=3)
print([hit.node.text for hit in hits], index.count())
"""
FOUND = "['red apple pie', 'green apple tart'] 2"
WRITE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_other_processes import MODEL, Catalog, write
from rag_app.disk import storage_error
index = Catalog(Path(sys.argv[1])).open("words")
try:
    with index.writing():
        write(index, {"d9": "new pie"})
except Exception as error:
    print(storage_error(error))
"""


def as_somebody(code: str, storage: Path, *, cwd: Path | None = None, **more: str) -> str:
    """What a process prints that has no more rights than the files' permissions give."""

    def give_up_rights() -> None:
        # Even root: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
        if os.geteuid() == 0:
            for capability in (1, 2):
                assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0

    done = subprocess.run(
        [sys.executable, "-c", code, str(storage), str(ROOT / "tests")],
        cwd=cwd or ROOT,
        env={**os.environ, **more, "PYTHONPATH": str(ROOT)},
        preexec_fn=give_up_rights,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    made = Catalog(tmp_path / "storage").make("words", INFO)
    write(made, {"d0": "red apple pie", "d1": "green apple tart"})
    return tmp_path / "storage"


@pytest.fixture
def read_only(storage: Path) -> Iterator[Path]:
    places = [storage, *storage.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    yield storage
    for place in places:
        place.chmod(0o755)


def test_a_storage_that_may_only_be_read_is_asked(read_only: Path) -> None:
    before = {path: path.read_bytes() for path in read_only.rglob("*") if path.is_file()}
    assert as_somebody(ASK, read_only) == FOUND
    assert {path: path.read_bytes() for path in read_only.rglob("*") if path.is_file()} == before


def test_writing_to_it_is_a_matter_of_the_disk(read_only: Path) -> None:
    assert "name another folder with --storage" in as_somebody(WRITE, read_only)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "x"),
        OSError(errno.EROFS, "Read-only file system", "x"),
        PermissionError(errno.EACCES, "Permission denied", "x"),
        OSError(errno.EIO, "Input/output error", "x"),
        OSError(errno.EMFILE, "Too many open files", "x"),
        RuntimeError("error returned from database: (code: 13) database or disk is full"),
        RuntimeError("(code: 8) attempt to write a readonly database"),
        RuntimeError("Permission denied (os error 13)"),
    ],
    ids=str,
)
def test_troubles_of_the_disk_are_told_as_such(error: Exception) -> None:
    told = storage_error(error)
    assert isinstance(told, StorageError)
    assert "delete" not in str(told)


def test_other_errors_are_not() -> None:
    assert storage_error(ValueError("no database")) is None
    assert storage_error(OSError(errno.ECONNREFUSED, "Connection refused")) is None


def test_only_a_damaged_index_is_broken_and_nobody_is_told_to_delete_it(storage: Path) -> None:
    # A copy, which nobody has open.
    damaged = Path(shutil.copytree(storage, storage.with_name("damaged")))
    database = damaged / "indexes" / "words" / "chroma" / "chroma.sqlite3"
    database.write_bytes(b"no database " * 1000)
    with pytest.raises(IndexBroken) as caught:
        Catalog(damaged).open("words")
    assert "rag-app index repair words" in str(caught.value)
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize("full", [True, False])
def test_what_chroma_could_not_do_on_a_full_disk_is_told_as_such(
    storage: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """As after an ingest that filled the disk; Chroma does not say why it failed."""
    monkeypatch.setattr("rag_app.index.damage.hardly_any_left", lambda _: full)
    index = Catalog(storage).open("words")

    def read(_: object) -> None:
        raise InternalError("Failed to apply logs to the metadata segment")

    expected = StorageError if full else IndexBroken
    mend = "disk is full; free some space" if full else "`rag-app index repair words`"
    with pytest.raises(expected, match=mend):
        index.connection.ask(read)


def _write(index: VectorIndex) -> None:
    with index.batch():
        _fail(None)


def _read(index: VectorIndex) -> None:
    index.connection.ask(_fail)


def _create(index: VectorIndex) -> None:
    connection = embedded(index.folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "collection_names", lambda: _fail(None))
        connection.create()


def _fail(_: object) -> None:
    raise InternalError("(code: 13) database or disk is full")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no list of open files here")
@pytest.mark.parametrize("use", [_write, _read, _create])
def test_a_store_that_failed_is_let_go(storage: Path, use: Callable[[VectorIndex], None]) -> None:
    """On a full disk Chroma may keep its transaction open; the next write waited 1,000 seconds."""
    index = Catalog(storage).open("words")
    write(index, {"d2": "pear tart"})
    assert open_databases(storage) != []
    with pytest.raises((InternalError, StorageError)):
        use(index)
    end = time.monotonic() + 30
    while open_databases(storage) and time.monotonic() < end:
        time.sleep(0.01)
    assert open_databases(storage) == []
    write(index, {"d3": "plum cake"})
    assert index.count() == 4


def open_databases(storage: Path) -> list[str]:
    """Databases below a folder that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return [path for path in found if path.startswith(str(storage)) and "sqlite3" in path]


def test_no_dotenv_that_is_no_text_is_read(storage: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00bad")
    assert as_somebody(ASK, storage, cwd=tmp_path) == FOUND


def test_no_setting_of_chromas_is_taken_from_elsewhere(storage: Path, tmp_path: Path) -> None:
    """Neither from a .env in the current folder nor from the environment."""
    (tmp_path / ".env").write_text(
        "CHROMA_API_IMPL=chromadb.api.fastapi.FastAPI\nCHROMA_SERVER_HOST=127.0.0.1\n"
        "CHROMA_SERVER_HTTP_PORT=9\nCHROMA_PRODUCT_TELEMETRY_IMPL=os.system\n"
        "ANONYMIZED_TELEMETRY=True\n",
        "utf-8",
    )
    assert as_somebody(ASK, storage, cwd=tmp_path) == FOUND
    said = as_somebody(
        ASK,
        storage,
        CHROMA_SERVER_NOFILE="abc",
        CHROMA_API_IMPL="chromadb.api.fastapi.FastAPI",
        CHROMA_PRODUCT_TELEMETRY_IMPL="os.system",
        MIGRATIONS="none",
    )
    assert said == FOUND


def test_settings_that_a_program_makes_are_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only ours are fixed: who uses Chroma beside us has its settings as before."""
    from chromadb.config import Settings

    monkeypatch.setenv("CHROMA_SERVER_HOST", "elsewhere")
    assert Settings().chroma_server_host == "elsewhere"
