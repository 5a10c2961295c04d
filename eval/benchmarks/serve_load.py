"""`rag-app serve` under 50 clients at once: errors, times, memory.

    python eval/benchmarks/serve_load.py --clients 50 --seconds 60

The sample documents are ingested into a storage of their own and served by a process of its own,
without a language model. Each client asks again as soon as it is answered: three of four requests
are /retrieve with a question of the sample, one is /v1/embeddings with four passages. Memory is the
server's resident set: after one request, a quarter of the time in (all threads have worked by
then), and at the end.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx
from corpora import MINILM, ROOT, WORK, load, write_results

from rag_app.api import ingest
from rag_app.serve.metrics import resident_bytes

NAME = "serve_load"
PASSAGES = [
    "Refunds take five working days.",
    "The hub needs 2.4 GHz.",
    "환불은 5일 걸립니다.",
    "a",
]
MEGABYTE = 1_000_000


def requests_of(questions: list[str], client: int) -> "list[tuple[str, dict[str, Any]]]":
    """What a client asks in turn."""
    own = questions[client:] + questions[:client]
    asked: list[tuple[str, dict[str, Any]]] = []
    for number, question in enumerate(own):
        asked.append(("/retrieve", {"question": question, "k": 5}))
        if number % 3 == 2:
            asked.append(("/v1/embeddings", {"input": PASSAGES}))
    return asked


async def ask(url: str, asked: "list[tuple[str, dict[str, Any]]]", until: float) -> Any:
    """Ask until the time is over; seconds of each request by path, and what went wrong."""
    seconds: dict[str, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        number = 0
        while time.perf_counter() < until:
            path, body = asked[number % len(asked)]
            number += 1
            started = time.perf_counter()
            try:
                response = await client.post(path, json=body)
                if response.status_code != 200:
                    errors[f"{path} {response.status_code}"] += 1
            except httpx.HTTPError as error:
                errors[f"{path} {type(error).__name__}"] += 1
            seconds[path].append(time.perf_counter() - started)
    return seconds, errors


async def measure(url: str, process: int, *, clients: int, seconds: float) -> dict[str, Any]:
    """Let all clients ask at once."""
    lines = (ROOT / "data" / "en" / "questions.jsonl").read_text("utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    first = await ask(url, requests_of(questions, 0)[:1], time.perf_counter() + 0.01)
    del first
    memory = {"after_one_request": resident_bytes(process)}
    started = time.perf_counter()
    asking = [
        asyncio.create_task(ask(url, requests_of(questions, n), started + seconds))
        for n in range(clients)
    ]
    await asyncio.sleep(seconds / 4)
    memory["a_quarter_in"] = resident_bytes(process)
    found = await asyncio.gather(*asking)
    memory["at_the_end"] = resident_bytes(process)
    taken: dict[str, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    for each, wrong in found:
        errors.update(wrong)
        for path, values in each.items():
            taken[path] += values
    total = sum(map(len, taken.values()))
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": total,
        "requests_per_second": round(total / (time.perf_counter() - started), 1),
        "errors": dict(errors),
        "milliseconds": {path: quantiles(values) for path, values in sorted(taken.items())},
        "megabytes": {when: round((size or 0) / MEGABYTE, 1) for when, size in memory.items()},
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"n": len(seconds), "p50": round(1000 * cuts[49], 1), "p95": round(1000 * cuts[94], 1)}


def serve(storage: Path) -> "subprocess.Popen[str]":
    """Start the server at a free port; no client is kept waiting for its rate."""
    command = [sys.executable, "-m", "rag_app", "serve", "--storage", str(storage), "--port", "0"]
    given = ["--llm", "none", "--json", "--rate", "1000000000"]
    return subprocess.Popen([*command, *given], stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    corpus = load("sample-en")
    storage = WORK / NAME
    shutil.rmtree(storage, ignore_errors=True)
    ingest(corpus.documents, storage=storage, model=MINILM)
    load_before = os.getloadavg()[0]
    with serve(storage) as process:
        said = json.loads(process.stdout.readline() if process.stdout else "")
        try:
            found = asyncio.run(
                measure(
                    said["url"], process.pid, clients=arguments.clients, seconds=arguments.seconds
                )
            )
        finally:
            process.terminate()
    machine = {"cores": os.cpu_count(), "load_of_other_programs": round(load_before, 1)}
    found |= {"machine": machine, "model": said["model"], "chunks": said["chunks"]}
    print(json.dumps(found, indent=2))
    write_results(NAME, found)


if __name__ == "__main__":
    main()
