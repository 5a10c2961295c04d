"""One question to the command line: seconds from start to answer, imports included.

    python eval/benchmarks/query_speed.py [--chunks 1000 20000] [--rounds 5]

The same command with one thread of the linear algebra and with two, on the machine as it is and
with two busy processes beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import write_results

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Time all of it, print the rows, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, nargs="*", default=[1000, 20_000])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for count in arguments.chunks:
        with TemporaryDirectory() as name:
            make_index(Path(name), count)
            rows.append(row(f"query -q, {count} chunks", Path(name), arguments.rounds, threads=1))
            rows.append(
                row(f"index list, {count} chunks", Path(name), arguments.rounds, listed=True)
            )
            if count == arguments.chunks[0]:
                for threads in (1, 2):
                    with busy(2):
                        what = f"query -q, {count} chunks, busy, {threads} threads"
                        rows.append(row(what, Path(name), arguments.rounds, threads=threads))
                what = f"query -q, {count} chunks, 2 threads"
                rows.append(row(what, Path(name), arguments.rounds, threads=2))
    rows += [embedding(threads, crowd) for crowd in (0, 2) for threads in (1, 2)]
    load = [round(one, 2) for one in os.getloadavg()]
    write_results("query_speed", {"rows": rows, "load_at_end": load, "cpus": os.cpu_count()})


def make_index(storage: Path, count: int) -> None:
    """An index of one-line chunks with random vectors."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    from rag_app.chunking import Chunking
    from rag_app.index import IndexInfo, Workspace
    from rag_app.models.weights import DEFAULT_MODEL

    workspace = Workspace(storage)
    info = IndexInfo.of(workspace.load_model(DEFAULT_MODEL), Chunking())
    index = workspace.catalog.make("speed", info)
    vectors = np.random.default_rng(0).normal(size=(count, info.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    nodes = [
        TextNode(
            id_=f"chunk{number}",
            text=f"Passage {number} says that refunds take five days.",
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
            end_char_idx=40,
        )
        for number in range(count)
    ]
    with index.writing():
        index.records()
        index.write(nodes, vectors)
    workspace.catalog.put_into_service("speed")


def row(
    what: str, storage: Path, rounds: int, *, threads: int = 1, listed: bool = False
) -> dict[str, Any]:
    """Median and all seconds of a command."""
    asked = ["index", "list"] if listed else ["query", "-q", "how long do refunds take"]
    command = [sys.executable, "-m", "rag_app", *asked, "--storage", str(storage), "--json"]
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    seconds, cpu = [], []
    for _ in range(rounds):
        before, started = os.times(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
        seconds.append(round(time.perf_counter() - started, 2))
        after = os.times()
        used = after.children_user + after.children_system
        cpu.append(round(used - before.children_user - before.children_system, 2))
    found = {"what": what, "median": statistics.median(seconds), "seconds": seconds, "cpu": cpu}
    print(json.dumps(found), flush=True)
    return found


EMBED = """
import time
from pathlib import Path
from rag_app.models import load_model
from rag_app.models.weights import DEFAULT_MODEL
model = load_model(DEFAULT_MODEL, storage=Path("storage"))
model.embed_queries(["warm"])
seconds = []
for n in range(60):
    started = time.perf_counter()
    model.embed_queries([f"how long do refunds take for order number {n}?"])
    seconds.append(time.perf_counter() - started)
print(sorted(seconds)[30] * 1000, sorted(seconds)[57] * 1000)
"""


def embedding(threads: int, crowd: int) -> dict[str, Any]:
    """Milliseconds that one question takes to embed, median and 95th percentile."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    with busy(crowd):
        done = subprocess.run(
            [sys.executable, "-c", EMBED],
            check=True,
            capture_output=True,
            text=True,
            env=environment,
            cwd=ROOT,
        )
    median, late = (round(float(value), 1) for value in done.stdout.split())
    what = f"embed one question, {threads} threads, {crowd} busy processes beside it"
    found = {"what": what, "median_ms": median, "p95_ms": late}
    print(json.dumps(found), flush=True)
    return found


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but work."""
    code = "while True: sum(range(10000))"
    crowd = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in crowd:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
