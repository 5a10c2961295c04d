"""From documents to the first answer, by command: MiniLM against a static model distilled from it.

    python eval/benchmarks/first_answer.py --corpus sample-en --corpus jhu

Each round makes a new storage, ingests and asks one question, each a process of its own, as a user
would; models take turns. Distilling is timed apart, once. Seconds are of the clock and of the
processor, since other programs may be running; the least of the rounds counts. The processor's are
of all cores together.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from corpora import CORPORA, MINILM, WORK, Corpus, load, write_results

from rag_app.environment import prepare_environment
from rag_app.models import find_weights

NAME = "first_answer"
STATIC = f"{MINILM}-static"
MODELS = (MINILM, STATIC)
KINDS = ("clock", "processor")
QUESTION = "how long does it take"


def timed(*arguments: str | Path) -> dict[str, float]:
    """Seconds of a command, by the clock and by the processor."""
    before, started = os.times(), time.perf_counter()
    command = [sys.executable, "-m", *map(str, arguments), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    processor = after.children_user - before.children_user
    processor += after.children_system - before.children_system
    return {"clock": time.perf_counter() - started, "processor": processor}


def measure(corpus: Corpus, model: str, distilled: Path) -> dict[str, dict[str, float]]:
    """One round, in a storage that has the static model already and nothing else."""
    storage = WORK / NAME / corpus.name
    shutil.rmtree(storage, ignore_errors=True)
    target = storage / "models" / distilled.name
    shutil.copytree(distilled, target)
    given = ("--storage", storage)
    return {
        "ingest": timed("rag_app.ingest", corpus.documents, "--model", model, *given),
        "query": timed("rag_app.query", "-q", QUESTION, "--llm", "none", *given),
    }


def least(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The least of each figure."""
    return {
        step: {kind: round(min(one[step][kind] for one in rounds), 2) for kind in KINDS}
        for step in ("ingest", "query")
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    prepare_environment()
    storage = WORK / NAME / "distilled"
    shutil.rmtree(storage, ignore_errors=True)
    before = time.process_time()
    distilled = find_weights(STATIC, storage=storage)
    distilling = round(time.process_time() - before, 1)
    print(f"distilled once: {distilling} s of the processor", flush=True)
    found: dict[str, Any] = {}
    for corpus in map(load, arguments.corpus or ["sample-en", "jhu"]):
        rounds: dict[str, list[Any]] = {model: [] for model in MODELS}
        for _ in range(arguments.rounds):
            for model in MODELS:
                rounds[model].append(measure(corpus, model, distilled))
                print(corpus.name, model, rounds[model][-1], flush=True)
        found[corpus.name] = {model: least(rounds[model]) for model in MODELS}
        write_results(
            NAME,
            {"machine": platform.processor(), "distilling_processor": distilling, "corpora": found},
        )
    for name, models in found.items():
        for model, steps in models.items():
            print(f"{name:<10} {model:<50} {steps}")


if __name__ == "__main__":
    main()
