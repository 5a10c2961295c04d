"""An index that is open while other processes write to it, remove it, or are killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from fakes import WordModel
from llama_index.core.schema import Document, TextNode
from program import Program
from tiny import make_tiny_model

from rag_app.chunks import Chunking, SentenceChunker
from rag_app.errors import IndexMismatch, IndexMissing
from rag_app.index import Catalog, IndexInfo, VectorIndex, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.pipeline import Pipeline

MODEL = WordModel()
# Of chunks that an approximate search must reach; it misses some among many that are alike.
MOST = 0.9
INFO = IndexInfo.of(MODEL, Chunking(16, 4))
# What a process does with the index "words" of the folder, or the server, that it is given.
WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_other_processes import MODEL, Catalog, nodes_of, write
url, project = [*sys.argv[3:], None, None][:2]
index = Catalog(Path(sys.argv[1]), chroma_url=url, project=project).open("words")
print("open", flush=True)
"""


def nodes_of(texts: dict[str, str]) -> list[TextNode]:
    chunker = SentenceChunker.for_model(MODEL, Chunking(16, 4))
    documents = [
        Document(id_=name, text=text, metadata={"kind": text.split()[0], "path": name})
        for name, text in texts.items()
    ]
    return list(chunker.get_nodes_from_documents(documents))


def write(index: VectorIndex, texts: dict[str, str]) -> None:
    nodes = nodes_of(texts)
    index.write(nodes, MODEL.embed_passages([node.text for node in nodes]))


@contextmanager
def process(code: str, storage: Path, *server: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER + code, str(storage), str(ROOT / "tests"), *server]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        yield other


def elsewhere(code: str, storage: Path) -> None:
    """Run code in another process to its end."""
    with process(code, storage) as other:
        assert other.wait() == 0


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    made = Catalog(tmp_path).make("words", INFO)
    write(made, {"d0": "red apple pie", "d1": "green apple tart", "d2": "blue whale song"})
    return made


def pipeline(index: VectorIndex, storage: Path, **options: Any) -> Pipeline:
    import datetime as dt

    tools = Tools(storage, dt.date(2026, 1, 1), None, lambda name: pytest.fail(name))
    retrieval = RetrievalOptions(**options)
    return build_retriever(Searched(index, MODEL), retrieval, top_k=3, tools=tools)


def found(retriever: Pipeline, question: str) -> list[str]:
    return [hit.node.get_content() for hit in retriever.retrieve(question)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retriever": "keyword"},
        {"retriever": "hybrid", "hybrid_weight": 0.5},
        {"where": "kind != pink"},
        {"retriever": "keyword", "where": "kind != pink"},
    ],
    ids=str,
)
def test_an_open_retriever_sees_what_another_process_wrote(
    index: VectorIndex, tmp_path: Path, options: dict[str, object]
) -> None:
    retriever = pipeline(index, tmp_path, **options)
    assert found(retriever, "apple pie")[0] == "red apple pie"
    elsewhere(
        """
with index.writing():
    index.delete([index.chunks_of("d0")[0].node_id])
    write(index, {"d1": "green apple cake", "d3": "yellow apple pie"})
""",
        tmp_path,
    )
    now = {text for question in ("apple pie", "cake") for text in found(retriever, question)}
    assert {"green apple cake", "yellow apple pie"} <= now
    assert index.count() == len(index.passages().nodes)
    texts = {node.text for node in index.nodes()}
    assert now <= texts


def test_everything_that_an_open_index_is_asked_is_of_now(
    index: VectorIndex, tmp_path: Path
) -> None:
    ids = index.chunk_ids()
    assert len(index.get_nodes(ids)) == 3
    assert [node.text for node in index.chunks_of("d1")] == ["green apple tart"]
    elsewhere(
        """
with index.writing():
    index.delete([record.chunk_id for record in index.records() if record.document_id == "d0"])
    write(index, {"d1": "green apple cake"})
""",
        tmp_path,
    )
    assert [node.text for node in index.chunks_of("d0")] == []
    assert "red apple pie" not in [node.text for node in index.get_nodes(ids)]
    assert "green apple cake" in [node.text for node in index.chunks_of("d1")]
    assert len(index.search(MODEL.embed_queries(["apple"])[0], top_k=9)) == index.count()
    assert len(index.passages().nodes) == index.count() == len(index.records())


def test_asking_goes_on_while_another_process_writes(index: VectorIndex, tmp_path: Path) -> None:
    rounds, size = 12, 250
    retriever = pipeline(index, tmp_path, where="kind != pink")
    code = f"""
with index.writing():
    for number in range({rounds}):
        write(index, {{f"n{{number}}-{{i}}": f"round{{number}} item{{i}}" for i in range({size})}})
        old = [one for one in index.records() if one.document_id.startswith(f"n{{number - 1}}-")]
        index.delete([one.chunk_id for one in old])
"""
    asked = 0
    with process(code, tmp_path) as other:
        while other.poll() is None:
            assert found(retriever, "blue whale song")[0] == "blue whale song"
            assert found(retriever, "round3 item4")
            asked += 1
        assert other.returncode == 0
    assert asked > 3
    last = {f"round{rounds - 1} item{i}" for i in range(size)}
    assert set(found(retriever, f"round{rounds - 1} item7")) <= last
    # Nothing that was written is out of reach.
    everything = index.search_ids(MODEL.embed_queries(["item7"])[0], top_k=index.count())
    assert index.count() == size + 3
    assert len(everything) > MOST * index.count()


def test_a_writer_killed_in_the_middle_leaves_no_reader_behind(
    index: VectorIndex, tmp_path: Path
) -> None:
    retriever = pipeline(index, tmp_path)
    code = """
with index.writing():
    for number in range(1000):
        write(index, {f"n{number}-{i}": f"round{number} item{i}" for i in range(50)})
        print(number, flush=True)
"""
    for _ in range(3):
        with process(code, tmp_path) as other:
            assert other.stdout is not None
            for _ in range(3):
                other.stdout.readline()
            assert found(retriever, "blue whale song")[0] == "blue whale song"
            other.send_signal(signal.SIGKILL)
        texts = [node.text for node in Catalog(tmp_path).open("words").nodes()]
        assert len(texts) == index.count() == len(index.passages().nodes)
        # What was committed is within reach of a search.
        everything = index.search_ids(MODEL.embed_queries(["item7"])[0], top_k=index.count())
        assert len(everything) > MOST * index.count()
    with index.writing():
        write(index, {"d9": "pink pearl"})
    assert found(retriever, "pink pearl")[0] == "pink pearl"


def test_a_process_that_waited_for_its_turn_writes_on_what_the_other_left(
    index: VectorIndex, tmp_path: Path
) -> None:
    # Its vector index was read before the other wrote: saving that would lose what was written.
    assert len(index.search(MODEL.embed_queries(["apple"])[0], top_k=9)) == 3
    elsewhere(
        """
with index.writing():
    write(index, {f"n{i}": f"other item{i}" for i in range(1100)})
""",
        tmp_path,
    )
    with index.writing():
        write(index, {f"m{i}": f"own thing{i}" for i in range(1100)})
    elsewhere(
        """
found = index.search_ids(MODEL.embed_queries(["item7"])[0], top_k=index.count())
assert index.count() == 2203
assert len(found) > 0.9 * 2203
""",
        tmp_path,
    )


def test_an_index_removed_while_it_is_open_is_said_to_be(
    index: VectorIndex, tmp_path: Path
) -> None:
    retriever = pipeline(index, tmp_path, retriever="hybrid", hybrid_weight=0.5)
    assert found(retriever, "apple")
    elsewhere('Catalog(Path(sys.argv[1])).remove("words")', tmp_path)
    with pytest.raises(IndexMissing, match="'words' was removed while it was open"):
        found(retriever, "apple")
    with pytest.raises(IndexMissing, match="'words' was removed"), index.writing():
        pass
    with pytest.raises(IndexMissing, match="'words' was removed"):
        index.count()
    # Neither asking nor writing left a folder with a lock in it.
    assert not index.folder.exists()
    assert Catalog(tmp_path).names() == []


def test_an_index_made_anew_with_another_model_while_it_is_open_is_refused(
    index: VectorIndex, tmp_path: Path
) -> None:
    retriever = pipeline(index, tmp_path)
    elsewhere(
        """
from test_other_processes import INFO
from dataclasses import replace
catalog = Catalog(Path(sys.argv[1]))
catalog.remove("words")
catalog.make("words", replace(INFO, fingerprint="other"))
""",
        tmp_path,
    )
    with pytest.raises(IndexMismatch, match="'words' was removed and made anew"):
        found(retriever, "apple")


# The REPL, as people run it.


class Repl(Program):
    """A conversation in another process, typed into through a pipe; answers come as JSON."""

    def __init__(self, storage: Path, *options: str) -> None:
        command: list[str | Path] = [
            "query",
            "--storage",
            storage,
            "--llm",
            "none",
            "--json",
            *options,
        ]
        super().__init__(*command, folder=storage.parent)

    def ask(self, question: str) -> list[str]:
        """The texts that an answer cites."""
        self.send(question + "\n")
        line = self.stdout.readline()
        assert line, self.communicate()[1]
        return [citation["text"] for citation in json.loads(line)["citations"]]

    def end(self, *lines: str) -> str:
        """Type the last lines; what stood on standard error."""
        told = self.communicate("".join(f"{line}\n" for line in lines))[1]
        assert self.returncode == 0, told
        return told


def test_a_conversation_follows_ingest_and_survives_remove(tmp_path: Path) -> None:
    storage, docs = tmp_path / "storage", tmp_path / "docs"
    make_tiny_model(storage / "models" / "tiny")
    docs.mkdir()
    for number in range(20):
        (docs / f"{number}.md").write_text(f"Rule {number} about refunds.\n", "utf-8")
    workspace, options = Workspace(storage, device="cpu"), IndexOptions(model="tiny")
    name = ingest(workspace, IngestRequest([docs], options=options)).index
    with Repl(storage, "--where", "path != nowhere", "--k", "50") as repl:
        assert len(repl.ask("refunds")) == 20
        for number in range(10):
            (docs / f"{number}.md").unlink()
            (docs / f"{number + 100}.md").write_text(f"New rule {number} on parcels.\n", "utf-8")
        assert len(ingest(workspace, IngestRequest([docs], options=options)).sync.removed) == 10
        texts = repl.ask("refunds")
        assert sorted(texts) == sorted(path.read_text("utf-8").strip() for path in docs.iterdir())
        ingest(workspace, IngestRequest([docs], options=options, index="other", use=True))
        Catalog(storage).remove(name)
        told = repl.end("refunds", "/model other", "refunds")
    assert "Traceback" not in told
    assert f"error: index '{name}' was removed while it was open" in told
    assert told.count("error:") == 1
    assert not (storage / "indexes" / name).exists()
