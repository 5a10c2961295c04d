"""Ingest: unchanged files again, and fresh ones beside a stock LlamaIndex pipeline.

    python eval/benchmarks/ingest_speed.py [--docs FOLDER] [--files 40 10000] [--int8 FOLDER]

Every figure is of a whole process, imports included: seconds by the clock and of processor time,
and its largest memory. The stock pipeline (SentenceSplitter, HuggingFaceEmbedding,
ChromaVectorStore) gets the documents that our readers read, of the blog posts of 18F and the
English FAQ or of --docs (none after a bare --docs); the cosine is that between the two vectors of a
text that both have as a chunk. `--int8` names what `rag-app export openvino` wrote of the default
model: the same ingest by it, after the other two.
"""

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from corpora import SHARED, jhu_faq, write_results

ROOT = Path(__file__).parents[2]
WORDS = [
    "refund",
    "order",
    "account",
    "delivery",
    "address",
    "invoice",
    "payment",
    "office",
    "manual",
    "printer",
    "policy",
]

STOCK = """
import pickle, sys
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore
import chromadb
documents = pickle.load(open(sys.argv[1], "rb"))
for one in documents:  # The vector store refuses lists.
    lists = {key: ", ".join(map(str, v)) for key, v in one.metadata.items() if isinstance(v, list)}
    one.metadata.update(lists)
client = chromadb.PersistentClient(path=sys.argv[2])
store = ChromaVectorStore(chroma_collection=client.get_or_create_collection("stock"))
pipeline = IngestionPipeline(
    transformations=[
        SentenceSplitter(chunk_size=256, chunk_overlap=32),
        HuggingFaceEmbedding(model_name=sys.argv[3], device="cpu"),
    ],
    vector_store=store,
)
pipeline.run(documents=documents)
"""


def main() -> None:
    """Time all of it, print the rows, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, nargs="*")
    parser.add_argument("--files", type=int, nargs="*", default=[40, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--out", default="ingest_speed")
    arguments = parser.parse_args()
    rows = [unchanged(count, arguments.rounds) for count in arguments.files]
    docs = arguments.docs
    if docs is None:
        docs = [SHARED / "docs_18f", jhu_faq().documents]
    rows += [fresh(path, arguments.int8) for path in docs]
    load = [round(one, 2) for one in os.getloadavg()]
    write_results(arguments.out, {"rows": rows, "load_at_end": load, "cpus": os.cpu_count()})


def unchanged(count: int, rounds: int) -> dict[str, Any]:
    """Files of one line each, ingested, and then again and again."""
    draw = random.Random(0)  # noqa: S311
    with TemporaryDirectory() as name:
        folder = Path(name) / "docs"
        folder.mkdir()
        for number in range(count):
            words = " ".join(draw.choices(WORDS, k=18))
            (folder / f"f{number}.txt").write_text(f"Document {number}. {words}.\n")
        first = ingest(folder, Path(name) / "storage")
        # One more: what was written as the first began is looked into once.
        ingest(folder, Path(name) / "storage")
        runs = [ingest(folder, Path(name) / "storage") for _ in range(rounds)]
    best = min(runs, key=lambda run: run["seconds"])
    return said({"what": f"unchanged again, {count} files", "first": first, "again": best})


def fresh(path: Path, int8: Path | None) -> dict[str, Any]:
    """The same documents, ours and stock, and ours by a model with a graph for passages."""
    from rag_app.documents import read_documents
    from rag_app.models import find_weights
    from rag_app.models.weights import DEFAULT_MODEL

    with TemporaryDirectory() as name:
        place = Path(name)
        documents = read_documents([path]).documents
        (place / "documents").write_bytes(pickle.dumps(documents))
        weights = find_weights(DEFAULT_MODEL, storage=place)
        script = [sys.executable, "-c", STOCK, str(place / "documents"), str(place / "stock")]
        ours = ingest(path, place / "storage")
        stock = timed([*script, str(weights)])
        cosine, shared, chunks = parity(place)
        faster = ingest(path, place / "int8", "--model", str(int8)) if int8 else None
    row = {
        "what": f"fresh, {path.name}",
        "documents": len(documents),
        "ours": {**ours, "chunks": chunks[0]},
        "stock": {**stock, "chunks": chunks[1]},
        "times_chunks_per_second": _times(ours, stock, chunks),
        "lowest_cosine": cosine,
        "texts_in_both": shared,
    }
    if faster:
        row |= {"int8": faster, "int8_times": _times(faster, stock, chunks)}
    return said(row)


def _times(ours: dict[str, Any], stock: dict[str, Any], chunks: tuple[int, int]) -> float:
    """Chunks a second over those of stock; `chunks` are ours and stock's."""
    times: float = round(chunks[0] / ours["seconds"] / (chunks[1] / stock["seconds"]), 2)
    return times


def parity(place: Path) -> tuple[float | None, int, tuple[int, int]]:
    """The lowest cosine of texts that both have, how many these are, and the chunks of each."""
    import chromadb
    import numpy as np

    from rag_app.index import Workspace

    ours = Workspace(place / "storage").catalog.open().passages()
    client = chromadb.PersistentClient(path=str(place / "stock"))
    rows = client.get_collection("stock").get(include=["documents", "embeddings"])
    other = dict(zip(rows["documents"], np.asarray(rows["embeddings"]), strict=True))
    cosines = []
    for node, vector in zip(ours.nodes, ours.vectors, strict=True):
        # Stock embeds all metadata before the text, ours the title; only without both they agree.
        if node.text in other and not node.metadata.get("title"):
            theirs = other[node.text]
            cosines.append(float(vector @ theirs / np.linalg.norm(theirs)))
    lowest = round(min(cosines), 6) if cosines else None
    return lowest, len(cosines), (len(ours.nodes), len(rows["ids"]))


def ingest(path: Path, storage: Path, *more: str) -> dict[str, Any]:
    """One `rag-app ingest`."""
    command = [sys.executable, "-m", "rag_app", "ingest", str(path), "--storage", str(storage)]
    return timed([*command, *more, "--quiet", "--json"])


def timed(command: list[str]) -> dict[str, Any]:
    """Seconds of a process, by the clock and of processor time, and its largest memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": used.ru_maxrss // 1024,
    }


def said(row: dict[str, Any]) -> dict[str, Any]:
    """The row, printed."""
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
