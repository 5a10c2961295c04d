"""Ingest with and without Ray: the same documents, in turns, each a whole process.

    python eval/benchmarks/ray_speed.py [--copies 4] [--rounds 3] [--workers 2]

Without Ray on one thread and on all cores; each worker of Ray has one thread. The documents are
the English sample, written several times with a number in each sentence, so that no two chunks are
alike and nothing is found in the cache. What both wrote is compared: chunk ids, and the lowest
cosine of two vectors of one chunk.
"""

import argparse
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from corpora import write_results

ROOT = Path(__file__).parents[2]
THREADS = "OMP_NUM_THREADS"
SAMPLE = ROOT / "data" / "en"


def main() -> None:
    """Time all of it, print the rows, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", default="ray_speed")
    arguments = parser.parse_args()
    workers = ["--ray", "local", "--ray-workers", str(arguments.workers)]
    ways = {"one thread": [], "all cores": [], "ray": workers}
    with TemporaryDirectory() as name:
        documents = Path(name) / "docs"
        count = write_copies(documents, arguments.copies)
        runs = [
            run(way, documents, Path(name) / f"{way} {number}", flags)
            for number in range(arguments.rounds)
            for way, flags in ways.items()
        ]
        same = compared(Path(name) / "all cores 0", Path(name) / "ray 0")
    result = {
        "files": count,
        "workers": arguments.workers,
        "cpus": os.cpu_count(),
        "ray": version("ray"),
        "median": {way: middle(way, runs) for way in ways},
        "runs": runs,
        **same,
    }
    write_results(arguments.out, result)


def write_copies(folder: Path, copies: int) -> int:
    """Write the sample's pages so many times; returns the number of files."""
    pages = sorted(SAMPLE.rglob("*.md"))
    for copy in range(copies):
        for page in pages:
            target = folder / str(copy) / page.relative_to(SAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = page.read_text("utf-8").replace(". ", f" (case {copy}). ")
            target.write_text(f"{text}\nThis is page {copy} of its kind.\n", "utf-8")
    return copies * len(pages)


def run(way: str, documents: Path, storage: Path, flags: list[str]) -> dict[str, Any]:
    """Ingest into a new storage; seconds by the clock, imports and the start of Ray included."""
    load = os.getloadavg()[0]
    environment = {key: value for key, value in os.environ.items() if key != THREADS}
    if way == "one thread":
        environment[THREADS] = "1"
    command = [sys.executable, "-m", "rag_app.ingest", str(documents), "--quiet"]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--storage", str(storage), *flags],
        check=True,
        cwd=storage.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    chunks = len(vectors(storage))
    row = {
        "way": way,
        "seconds": round(seconds, 1),
        "chunks": chunks,
        "chunks_per_second": round(chunks / seconds, 1),
        "load_before": round(load, 2),
    }
    print(row, flush=True)
    return row


def vectors(storage: Path) -> dict[str, Any]:
    """Chunk id -> vector, of the index in service."""
    from rag_app.index import Workspace

    index = Workspace(storage).catalog.open()
    ids = index.chunk_ids()
    return dict(zip(ids, index.vectors(ids), strict=True))


def compared(one: Path, other: Path) -> dict[str, Any]:
    """Whether both hold the same chunks, and the lowest cosine of their vectors."""
    first, second = vectors(one), vectors(other)
    shared = first.keys() & second.keys()
    lowest = min(float(first[key] @ second[key]) for key in shared)
    return {"same_chunks": first.keys() == second.keys(), "lowest_cosine": round(lowest, 6)}


def middle(way: str, runs: list[dict[str, Any]]) -> dict[str, float]:
    """The median of a way's runs."""
    own = [one for one in runs if one["way"] == way]
    return {
        key: round(median(one[key] for one in own), 1) for key in ("seconds", "chunks_per_second")
    }


if __name__ == "__main__":
    main()
