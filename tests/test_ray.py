"""With Ray an ingest writes what it writes without, whatever becomes of a worker.

Ray is started once for all of them: two workers of this machine.
"""

import importlib.util
import pickle
import re
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from llama_index.core.schema import TextNode
from tiny import make_tiny_model
from typer.testing import CliRunner

from rag_app.chunking import Chunking
from rag_app.cli.app import build_app
from rag_app.documents import Columns, Source, read_documents, read_sources
from rag_app.documents.states import reading_key
from rag_app.errors import ClusterError, ConfigError, IndexLocked
from rag_app.index import VectorCache, VectorIndex, Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.spread import RayCluster, Spreading
from rag_app.ingest.spread.spreading import accepted, check_there
from rag_app.ingest.spread.workers import (
    VALUE,
    Documents,
    FileReader,
    Files,
    ModelPlace,
    PassageEmbedder,
    Read,
    outcome_of,
    starts,
)
from rag_app.ingest.stage import ingest
from rag_app.models.device import has_bf16
from rag_app.vectors import Embedder, Vectors

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("single_thread")]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"
)
DOCUMENTS, BROKEN = 24, "page-12.xlsx"
WORDS = ("parcel", "waits", "at", "desk")
# In bfloat16 a vector depends a little on what is embedded with it.
TOLERANCE = 0.02 if has_bf16("cpu") else 1e-5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", words=WORDS)


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages, a table with an answer that two questions share, and a broken workbook."""
    folder = tmp_path_factory.mktemp("corpus") / "docs"
    folder.mkdir()
    for number in range(DOCUMENTS):
        sentences = [f"Parcel {number} waits at desk {line}." for line in range(60)]
        text = f"# Parcel {number}\n\n{' '.join(sentences)}\n"
        (folder / f"page-{number:02}.md").write_text(text, "utf-8")
    rows = "How long?,Five days.\nHow many days?,Five days.\nHow much?,Ten dollars.\n"
    (folder / "faq.csv").write_text(f"question,answer\n{rows}", "utf-8")
    (folder / BROKEN).write_bytes(b"PK\x03\x04 and no workbook")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster("local", workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def alone(docs: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> "Ingested":
    return Ingested(docs, model, tmp_path_factory.mktemp("alone"))


class Ingested:
    """The documents in a storage of their own.

    Arguments:
        kill: the worker class of which a process is killed when the first outcome is there.
    """

    def __init__(
        self,
        docs: Path,
        model: Path,
        storage: Path,
        *,
        spread: Spreading | None = None,
        kill: dict[str, str] | None = None,
    ) -> None:
        self._kill = dict(kill or {})
        self.killed: list[str] = []
        self.steps: list[str] = []
        workspace = Workspace(storage, device="cpu")
        self.report: IngestReport = ingest(
            workspace,
            IngestRequest([docs], options=IndexOptions(str(model), 48, 8)),
            spread=spread,
            progress=self._progress,
        )
        self.index: VectorIndex = workspace.catalog.open(self.report.index)
        self.nodes: list[TextNode] = self.index.ordered_nodes()
        self.vectors = self.index.vectors([node.node_id for node in self.nodes])

    def _progress(self, step: str, done: int, total: int, note: str = "") -> None:
        self.steps.append(step)
        worker = self._kill.pop(step, None)
        if worker is None:
            return
        assert done < total
        victim = next(one for one in workers_now() if worker in " ".join(one.cmdline()))
        victim.kill()
        self.killed.append(worker)


def workers_now() -> list[psutil.Process]:
    """Ray's processes on this machine that are ours."""
    return [
        one
        for one in psutil.Process().children(recursive=True)
        if one.status() != psutil.STATUS_ZOMBIE and "ray" in " ".join(one.cmdline())
    ]


def same_chunks(one: Ingested, other: Ingested) -> None:
    """Ids, texts, places, metadata and vectors."""
    assert [node.to_dict() for node in one.nodes] == [node.to_dict() for node in other.nodes]
    assert np.abs(one.vectors - other.vectors).max() < TOLERANCE


def same(one: Ingested, other: Ingested) -> None:
    """Both wrote the same chunks and vectors, and say the same of it."""
    same_chunks(one, other)
    assert one.report.sync == other.report.sync
    assert one.report.failures == other.report.failures
    assert one.report.merged == other.report.merged == 1


@needs_ray
def test_the_same_is_written_with_ray_though_workers_are_killed(
    alone: Ingested, docs: Path, model: Path, cluster: RayCluster, tmp_path: Path
) -> None:
    kill = {"read": "FileReader", "embed": "PassageEmbedder"}
    spread = Ingested(docs, model, tmp_path, spread=Spreading(cluster), kill=kill)
    assert spread.killed == ["FileReader", "PassageEmbedder"]
    same(spread, alone)
    assert len(spread.report.sync.added) == DOCUMENTS + 2
    # The broken file costs itself alone.
    assert [failure.path.name for failure in spread.report.failures] == [BROKEN]
    # What follows has nothing to do: nothing is read but what failed, and nothing embedded.
    again = Ingested(docs, model, tmp_path, spread=Spreading(cluster))
    assert len(again.report.sync.unchanged) == DOCUMENTS + 2
    assert set(again.steps) == {"read", "index"}


@needs_ray
def test_nothing_listens_to_other_machines(cluster: RayCluster) -> None:
    listening = []
    for process in psutil.Process().children(recursive=True):
        # Ray's workers come and go.
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            listening += [
                line.laddr.ip
                for line in process.net_connections()
                if line.status == psutil.CONN_LISTEN
            ]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


# The last with this cluster, which it ends.
@needs_ray
def test_a_cluster_that_dies(docs: Path, model: Path, cluster: RayCluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"Ray ended before the work did.*goes on from there"):
        Ingested(docs, model, tmp_path, spread=Spreading(cluster), kill={"read": "raylet"})


class Here(RayCluster):
    """Workers in this process.

    Arguments:
        most: pieces of each work, after which the cluster has ended.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most

    def map(
        self, worker: type, arguments: Mapping[str, Any], pieces: Sequence[Any], **_: Any
    ) -> Generator[Any, None, None]:
        """As Ray does it, one after the other."""
        there = worker(**arguments)
        for piece in pieces[: self._most]:
            yield _read(piece) if worker is FileReader else there({VALUE: piece})[VALUE]
        if self._most:
            raise ClusterError("Ray ended")


def test_a_run_that_ended_goes_on_where_it_was(
    alone: Ingested, docs: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ClusterError, match="Ray ended"):
        Ingested(docs, model, tmp_path, spread=EmbeddingEnds(Here()))
    workspace = Workspace(tmp_path, device="cpu")
    weights = workspace.load_model(str(model))
    kept = workspace.cache.passage_hashes(weights)
    made: list[int] = []

    class Counted(VectorCache):
        def keep_passages(self, model: Embedder, vectors: dict[bytes, Vectors]) -> None:
            made.append(len(vectors))
            super().keep_passages(model, vectors)

    object.__setattr__(workspace, "cache", Counted(tmp_path))
    options = IndexOptions(str(model), 48, 8)
    ingest(workspace, IngestRequest([docs], options=options), spread=Spreading(Here()))
    texts = len(set(workspace.cache.passage_hashes(weights)))
    assert kept
    assert len(kept) + sum(made) == texts
    same_chunks(Ingested(docs, model, tmp_path), alone)


def test_what_ray_read_gets_the_metadata_that_an_ingest_names(
    docs: Path, model: Path, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path, device="cpu")
    options = IndexOptions(str(model), 48, 8)
    request = IngestRequest([docs], options=options, metadata={"company": "Acme"})
    ingest(workspace, request, spread=Spreading(Here()))
    assert {node.metadata["company"] for node in workspace.catalog.open().nodes()} == {"Acme"}


def _read(files: Files) -> Read:
    """As `FileReader`, without a process that waits for more."""
    return Read(files.number, read_sources(files.sources, keep=lambda _: None), [], "here")


class EmbeddingEnds(Spreading):
    """Ray ends after the first piece that it embeds."""

    def embed(self, *arguments: Any, **options: Any) -> None:
        """As Ray does it, for as long as it is there."""
        self._cluster = Here(most=1)
        super().embed(*arguments, **options)


def refused(row: dict[str, Any]) -> str:
    """What the user is told of a worker that cannot work."""
    with pytest.raises(ClusterError) as caught:
        list(accepted([row[VALUE]]))
    return str(caught.value)


def test_a_worker_with_other_files(model: Path, tmp_path: Path) -> None:
    host = socket.gethostname()
    piece: dict[str, Any] = {VALUE: Documents([])}
    none = starts([])
    gone = PassageEmbedder(ModelPlace("m", tmp_path / "gone", "cpu", "1"), Chunking(), none)
    assert refused(gone(piece)).startswith(f"the Ray worker on {host} cannot load the model m: ")
    other = PassageEmbedder(ModelPlace("m", model, "cpu", "1"), Chunking(), none)
    assert f"has other weights in {model} than this machine" in refused(other(piece))
    old = FileReader("another key")
    assert "has another version of rag_app" in refused(old({VALUE: Files(0, [])}))


def test_a_worker_that_does_not_see_the_folder(docs: Path) -> None:
    read = Read(0, read_documents([docs / "page-00.md"]), [docs / "page-01.md"], "node-2")
    with pytest.raises(ClusterError, match=r"the Ray worker on node-2 does not find .*page-01.md"):
        check_there(read)
    # A file that is gone everywhere is a file that cannot be read.
    check_there(replace(read, absent=[docs / "gone.md"]))


class Unasked(RayCluster):
    """A cluster that is given no work."""

    def __init__(self) -> None:
        pass

    def map(self, *_: Any, **__: Any) -> Generator[Any, None, None]:
        raise AssertionError


def test_ocr_that_is_not_installed_is_told_before_ray_starts(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="OCR needs the program tesseract, which is not instal"):
        read_documents([docs], ocr="kor+eng", read_files=Spreading(Unasked()).read)


def test_an_error_of_a_worker_that_a_user_can_mend_is_that_error(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = docs / "page-00.md"
    reader = FileReader(reading_key(Columns()))
    row = reader({VALUE: Files(0, [Source(path, path.name, ocr="kor")])})
    host = re.escape(socket.gethostname())
    with pytest.raises(ConfigError, match=rf"^the Ray worker on {host}: OCR needs the program"):
        list(accepted([row[VALUE]]))
    # It comes from another process.
    [failed] = pickle.loads(pickle.dumps([row[VALUE]]))  # noqa: S301
    assert (type(failed.error), str(failed.error)) == (ConfigError, str(row[VALUE].error))

    def broken(_: Any) -> Any:
        raise IndexLocked("a.lock is held; wait")

    with pytest.raises(IndexLocked, match=rf"^the Ray worker on {host}: a.lock is held; wait$"):
        list(accepted([outcome_of(broken, {VALUE: None})[VALUE]]))


@needs_ray
def test_where_no_cluster_is() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        RayCluster(address) as cluster,
        pytest.raises(ClusterError, match=rf"no Ray cluster answers at {address}.*ray start"),
    ):
        next(cluster.map(object, {}, [1]))


@needs_ray
@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "10.0.0.1", ":6379", "host:0", "auto"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match="give it local, or HOST:PORT"):
        RayCluster(address)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ray-workers", "2"], "--ray-workers is of use with --ray alone; add --ray local"),
        (["--ray", "local", "--ray-workers", "0"], "--ray-workers is 0; give it 1 or more"),
    ],
)
def test_options_that_cannot_be_meant(docs: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(build_app(), ["ingest", str(docs), *arguments])
    if "--ray" not in arguments or importlib.util.find_spec("ray"):
        assert (done.exit_code, said in " ".join(done.stderr.split())) == (2, True)


def test_without_the_extra(docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.extras.find_spec", lambda _: None)
    arguments = ["ingest", str(docs), "--storage", str(tmp_path), "--ray", "local"]
    done = CliRunner().invoke(build_app(), arguments)
    assert done.exit_code == 2
    assert done.stderr == (
        "error: the package ray is not installed; run `pip install 'rag-app[ray]'`\n"
    )
    assert done.stdout == ""
