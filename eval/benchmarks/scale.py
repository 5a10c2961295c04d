"""What a chunk costs: seconds, bytes and memory at 1,000, 10,000 and 100,000 chunks.

    python eval/benchmarks/scale.py [--chunks 1000 10000 100000] [--markdown]

Reading and embedding are measured on the English sample, written again with other numbers so that
no two chunks are equal. Writing and searching take those texts with drawn vectors: 100 centres with
noise of the same size, of MiniLM's length, since drawn ones without centres are harder to search
than any text. Each size has an index of its own; it is searched by a process that opens it anew,
by vectors, by vectors with MiniLM embedding a question of the sample before each search, and by
words, 200 questions each, and recall@10 is held against exact search. Then 100
chunks more are written, and the keyword index is brought up to date. Sizes that were measured are
kept in eval/results/scale.json; delete a row to measure it again. `--markdown` prints the tables
of docs/scale.md, the computed one too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import RESULTS, write_results

from rag_app.environment import prepare_environment
from rag_app.vectors import Vectors

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "en"
SEED = 13
DIMENSION, CENTRES, QUESTIONS, TOP_K = 384, 100, 200, 10
COPIES = 20
# Chunks that are written after the keyword index was made.
MORE = 100
# Of a chunk in hnswlib with 16 links: its vector, 32 links of 4 bytes, their count and its label.
HNSW_BYTES = 4 * DIMENSION + 32 * 4 + 4 + 8
SLAB = 10_000
# The sizes of the computed table.
PROJECTED = (10_000_000, 1_000_000_000)


def main() -> None:
    """Measure what is missing, write the JSON, print the rows or the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    prepare_environment(offline=True)
    if arguments.ask:
        print(json.dumps(asked(arguments.ask)))
        return
    kept = RESULTS / "scale.json"
    values: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {"rows": []}
    if arguments.markdown:
        print("\n\n".join(tables(values)))
        return
    if "text" not in values:
        values["text"] = text_costs()
        write_results("scale", values)
    for count in arguments.chunks:
        if count not in [row["chunks"] for row in values["rows"]]:
            values["rows"].append(index_costs(count))
            values["rows"].sort(key=lambda row: row["chunks"])
            write_results("scale", values)
    print(json.dumps(values, indent=2))


def text_costs() -> dict[str, Any]:
    """Seconds that a chunk takes to be read and cut, and to be embedded, one core each."""
    from rag_app.chunking import Chunking
    from rag_app.chunks import SentenceChunker
    from rag_app.documents import read_documents
    from rag_app.index import Workspace
    from rag_app.models.weights import DEFAULT_MODEL

    with TemporaryDirectory() as name:
        docs = written_again(Path(name) / "docs")
        model = Workspace(Path(name) / "storage", device="cpu").load_model(DEFAULT_MODEL)
        chunker = SentenceChunker.for_model(model, Chunking())
        started = time.process_time()
        documents = list(read_documents([docs]).documents)
        read = time.process_time()
        nodes = list(chunker.get_nodes_from_documents(documents))
        cut = time.process_time()
    texts = [node.get_content() for node in nodes][:512]
    model.embed_passages(texts[:64])
    started_embedding, wall = time.process_time(), time.perf_counter()
    model.embed_passages(texts)
    embedding, wall = time.process_time() - started_embedding, time.perf_counter() - wall
    return {
        "documents": len(documents),
        "chunks": len(nodes),
        "characters_a_chunk": round(sum(map(len, texts)) / len(texts)),
        "read_ms": 1000 * (read - started) / len(nodes),
        "cut_ms": 1000 * (cut - read) / len(nodes),
        "embed_ms": 1000 * wall / len(texts),
        "embed_processor_ms": 1000 * embedding / len(texts),
        "machine": machine(),
    }


def written_again(folder: Path) -> Path:
    """The sample's documents, several times, each with its number in it."""
    for number in range(COPIES):
        for path in SAMPLE.rglob("*.md"):
            copy = folder / str(number) / path.relative_to(SAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(f"{path.read_text('utf-8')}\n\nEdition {number}.\n", "utf-8")
    return folder


def index_costs(count: int) -> dict[str, Any]:
    """Make an index of this many chunks, and ask it from a process that opens it anew."""
    with TemporaryDirectory() as name:
        storage = Path(name)
        seconds, processor = make_index(storage, count)
        size = sum(path.stat().st_size for path in storage.rglob("*") if path.is_file())
        command = [sys.executable, str(Path(__file__)), "--ask", str(storage)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        asked_values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    found = {
        "chunks": count,
        "write_ms": 1000 * seconds / count,
        "write_processor_ms": 1000 * processor / count,
        "bytes_a_chunk": round(size / count),
        **asked_values,
        "machine": machine(),
    }
    print(json.dumps(found), flush=True)
    return found


def make_index(storage: Path, count: int) -> tuple[float, float]:
    """Write the chunks; seconds by the clock and of processor time."""
    from rag_app.index import Workspace

    index = Workspace(storage).catalog.make("scale", info())
    texts = sample_texts()
    started, processor = time.perf_counter(), time.process_time()
    with index.writing():
        index.records()
        for start, vectors in slabs(count):
            index.write([node(start + place, texts) for place in range(len(vectors))], vectors)
    spent = time.perf_counter() - started, time.process_time() - processor
    Workspace(storage).catalog.put_into_service("scale")
    return spent


def info() -> Any:
    """What the index says of its model."""
    from rag_app.chunking import Chunking
    from rag_app.index import IndexInfo

    return IndexInfo.of(Drawn(), Chunking())


@dataclass(frozen=True)
class Drawn:
    """An embedder of questions whose vectors are drawn.

    Fields:
        model: embeds a question of the sample each time, for the time that it takes.
    """

    name: str = "drawn"
    dimension: int = DIMENSION
    fingerprint: str = "drawn"
    model: Any = None

    def embed_queries(self, texts: Sequence[str], *, progress: object = None) -> Vectors:
        """A vector for each text by its number."""
        numbers = [int(text) for text in texts]
        if self.model is not None:
            self.model.embed_queries([sample_questions()[number] for number in numbers])
        return questions()[numbers]

    embed_passages = embed_queries


def slabs(count: int) -> Iterator[tuple[int, Vectors]]:
    """The chunks' vectors, some at a time, each with the number of its first."""
    draw = np.random.default_rng(SEED)
    centres = unit(draw.normal(size=(CENTRES, DIMENSION)))
    for start in range(0, count, SLAB):
        size = min(SLAB, count - start)
        noise = unit(draw.normal(size=(size, DIMENSION)))
        yield start, unit(centres[draw.integers(CENTRES, size=size)] + noise)


@cache
def questions() -> Vectors:
    """Vectors of questions, drawn like those of the chunks."""
    draw = np.random.default_rng(SEED)
    centres = unit(draw.normal(size=(CENTRES, DIMENSION)))
    ask = np.random.default_rng(SEED + 1)
    noise = unit(ask.normal(size=(QUESTIONS, DIMENSION)))
    return unit(centres[ask.integers(CENTRES, size=QUESTIONS)] + noise)


def unit(vectors: Any) -> Vectors:
    """Scaled to length 1."""
    scaled: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def sample_texts() -> list[str]:
    """Chunks of the sample."""
    from rag_app.documents import read_documents
    from rag_app.text.sentences import split_by_rules

    whole = " ".join(one.text for one in read_documents([SAMPLE]).documents)
    sentences = [whole[start:end] for start, end in split_by_rules(whole)]
    return [" ".join(sentences[at : at + 8]) for at in range(0, len(sentences), 8)]


@cache
def sample_questions() -> list[str]:
    """Questions of the sample."""
    lines = (SAMPLE / "questions.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["question"] for line in lines][:QUESTIONS]


def node(number: int, texts: Sequence[str]) -> Any:
    """The chunk of a number."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    text = f"{texts[number % len(texts)]} Edition {number}."
    return TextNode(
        id_=f"chunk{number}",
        text=text,
        metadata={
            "document_hash": "h",
            "chunk_index": 0,
            "chunk_count": 1,
            "path": f"/docs/{number}.txt",
            "title": f"{number}",
            "kind": "text",
        },
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"docs/{number}.txt")},
        start_char_idx=0,
        end_char_idx=len(text),
    )


def asked(storage: Path) -> dict[str, Any]:
    """Milliseconds of a question by vectors and by words, recall, and memory."""
    from rag_app.index import Workspace
    from rag_app.models.weights import DEFAULT_MODEL
    from rag_app.retrieve import Trace
    from rag_app.retrieve.keyword.bm25 import KeywordRetriever
    from rag_app.retrieve.keyword.folder import open_keyword_index
    from rag_app.retrieve.vector import VectorRetriever

    index = Workspace(storage).catalog.open()
    count = index.count()
    numbers = [str(number) for number in range(QUESTIONS)]
    found, vector_ms = timed_each(VectorRetriever(index, Drawn(), top_k=TOP_K), numbers)
    # As who asks questions loads it.
    model = Workspace(storage, device="cpu", without_torch=True).load_model(DEFAULT_MODEL)
    embedding = VectorRetriever(index, Drawn(model=model), top_k=TOP_K)
    embedding.rank([Trace(numbers[0])])
    _, question_ms = timed_each(embedding, numbers)
    started = time.perf_counter()
    keyword = open_keyword_index(index)
    built = time.perf_counter() - started
    texts = sample_texts()
    with index.writing():
        index.write([node(count + place, texts) for place in range(MORE)], questions()[:MORE])
    started = time.perf_counter()
    keyword = open_keyword_index(index)
    updated = time.perf_counter() - started
    words = ["how long do refunds take", "where is edition 17", "is that broken"] * 20
    by_words = KeywordRetriever(keyword, index.get_nodes, top_k=TOP_K)
    by_words.rank([Trace(words[0])])
    _, keyword_ms = timed_each(by_words, words)
    return {
        "recall_at_10": recall(found, count),
        "vector_ms": vector_ms,
        "question_ms": question_ms,
        "keyword_ms": keyword_ms,
        "keyword_build_ms": 1000 * built / count,
        "keyword_update_seconds": updated,
        "keyword_bytes": round(folder_bytes(index.folder / "keyword") / count),
        "memory_mb": round(memory_mb()),
    }


def timed_each(retriever: Any, texts: Sequence[str]) -> tuple[list[list[str]], dict[str, float]]:
    """Ids that each question finds, and the median and 95th percentile in milliseconds."""
    from rag_app.retrieve import Trace

    found, seconds = [], []
    for text in texts:
        started = time.perf_counter()
        [hits] = retriever.rank([Trace(text)])
        seconds.append(time.perf_counter() - started)
        found.append([hit.node.node_id for hit in hits])
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return found, {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def recall(found: Sequence[Sequence[str]], count: int) -> float:
    """The share of the ten nearest that were found."""
    ask = questions()
    scores = np.concatenate([ask @ vectors.T for _, vectors in slabs(count)], axis=1)
    nearest = np.argpartition(-scores, TOP_K, axis=1)[:, :TOP_K]
    hits = [
        len({f"chunk{number}" for number in row} & set(ids))
        for row, ids in zip(nearest.tolist(), found, strict=True)
    ]
    return round(sum(hits) / (TOP_K * len(hits)), 4)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def memory_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def machine() -> dict[str, Any]:
    """Cores, and how busy they are."""
    return {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}


def tables(values: dict[str, Any]) -> list[str]:
    """What docs/scale.md shows: measured, and computed from it."""
    return [_measured(values["rows"]), _computed(values)]


def _measured(rows: Sequence[dict[str, Any]]) -> str:
    heads = (
        "chunks",
        "write, ms a chunk",
        "bytes a chunk",
        "vector search, p50 / p95 ms",
        "with embedding the question",
        "recall@10",
        "keyword index, ms a chunk",
        "100 chunks more, s",
        "keyword search, p50 / p95 ms",
        "memory, MB",
    )
    cells = [
        (
            f"{row['chunks']:,}",
            f"{row['write_ms']:.2f}",
            f"{row['bytes_a_chunk']:,} + {row['keyword_bytes']:,}",
            f"{row['vector_ms']['p50']:.1f} / {row['vector_ms']['p95']:.1f}",
            f"{row['question_ms']['p50']:.1f} / {row['question_ms']['p95']:.1f}",
            f"{row['recall_at_10']:.3f}",
            f"{row['keyword_build_ms']:.2f}",
            f"{row['keyword_update_seconds']:.1f}",
            f"{row['keyword_ms']['p50']:.1f} / {row['keyword_ms']['p95']:.1f}",
            f"{row['memory_mb']:,}",
        )
        for row in rows
    ]
    return markdown(heads, cells)


def _computed(values: dict[str, Any]) -> str:
    text, row = values["text"], values["rows"][-1]
    heads = (
        "chunks",
        "read and cut, core days",
        "embed, core days",
        "write, days",
        "disk",
        "HNSW in memory",
    )
    milliseconds_a_day = 86_400_000
    cells = [
        (
            f"{count:,}",
            f"{count * (text['read_ms'] + text['cut_ms']) / milliseconds_a_day:.1f}",
            f"{count * text['embed_processor_ms'] / milliseconds_a_day:,.0f}",
            f"{count * row['write_ms'] / milliseconds_a_day:,.1f}",
            f"{count * (row['bytes_a_chunk'] + row['keyword_bytes']) / 1e9:,.0f} GB",
            f"{count * HNSW_BYTES / 1e9:,.0f} GB",
        )
        for count in PROJECTED
    ]
    return markdown(heads, cells)


def markdown(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
