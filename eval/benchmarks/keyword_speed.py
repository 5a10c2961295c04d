"""Keyword search over 100,000 chunks: to build, keep, load and ask; LlamaIndex's BM25 beside it.

    python eval/benchmarks/keyword_speed.py [--chunks 100000] [--sample 20000]

Chunks are sentences of the public corpora, drawn with a seed until there are 120 words: half of
them English (18F, XQuAD, the FAQ), half Korean (KorQuAD). Words repeat more than in so much real
text, and Korean words are taken apart once each: `distinct_words` says how many there were. Each
contestant runs in a process of its own, one after the other. Reading chunks from Chroma is not
part of it.
"""

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from corpora import KORQUAD, SHARED, XQUAD, jhu_faq, write_results

from rag_app.environment import prepare_environment
from rag_app.retrieve.keyword.analysis import Analysis
from rag_app.retrieve.keyword.bm25 import KeywordIndex, KeywordRetriever
from rag_app.retrieve.keyword.folder import load_keyword_index, save_keyword_index
from rag_app.retrieve.keyword.terms import ChunkTerms
from rag_app.text.sentences import split_by_rules

SEED = 13
CHUNK_WORDS = 120
QUESTIONS = 400
TOP_K = 10
BARS = {"build_seconds": 60.0, "p95_ms": 15.0}


def main() -> None:
    """Run each contestant in a process of its own, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=20_000)
    parser.add_argument("--contestant", nargs=3, metavar=("WHO", "LANGUAGE", "CHUNKS"))
    arguments = parser.parse_args()
    prepare_environment()
    if arguments.contestant:
        who, language, size = arguments.contestant
        print(json.dumps(CONTESTANTS[who](language, int(size))))
        return
    half = arguments.chunks // 2
    load_average = os.getloadavg()[1]
    runs = [
        run("ours", "en", half),
        run("ours", "ko", half),
        run("ours", "both", arguments.chunks),
        run("ours", "both", arguments.sample),
        run("stock", "both", arguments.sample),
    ]
    met = {name: runs[2][name] < bar for name, bar in BARS.items()}
    print(f"bars at {arguments.chunks:,} chunks: {BARS}; met: {met}")
    busy = {"cores": os.cpu_count(), "load_average_before": round(load_average, 1)}
    write_results("keyword_speed", {"machine": busy, "runs": runs, "bars": BARS, "met": met})


def run(who: str, language: str, size: int) -> dict[str, Any]:
    """One line of the table."""
    command = [sys.executable, __file__, "--contestant", who, language, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = {"who": who, "language": language, "chunks": size, **json.loads(done.stdout)}
    print("  ".join(f"{key} {value}" for key, value in result.items()), flush=True)
    return result


def ours(language: str, size: int) -> dict[str, Any]:
    """Our index: built, kept, loaded as the next process would, and asked."""
    texts = chunks(language, size)
    analysis = Analysis.for_languages({"both": ["en", "ko"]}.get(language, [language]))
    # What a process pays once, whatever the number of chunks.
    start_seconds, _ = timed(lambda: analysis.terms("시작 start"))
    ids = [f"{number:032x}" for number in range(size)]
    nodes = make_nodes(ids, texts)
    before = peak_mb()
    terms_seconds, terms = timed(lambda: ChunkTerms.of(nodes.values(), analysis))
    index_seconds, built = timed(lambda: KeywordIndex.of_terms(terms))
    build_peak = peak_mb()
    with TemporaryDirectory() as folder:
        place = Path(folder) / "keyword"
        save_seconds, _ = timed(lambda: save_keyword_index(built, terms, place))
        load_seconds, loaded = timed(lambda: load_keyword_index(place, ids))
        if loaded is None:
            raise SystemExit("the index that was just kept does not load")
        disk = sum(file.stat().st_size for file in place.iterdir())
        retriever = KeywordRetriever(
            loaded, lambda found: [nodes[chunk_id] for chunk_id in found], top_k=TOP_K
        )
        asked = ask(retriever.retrieve, language)
        searched = ask(lambda question: loaded.search(question, TOP_K), language)
    return {
        "analysis": analysis.name,
        "distinct_words": len({word for text in texts for word in text.split()}),
        "terms": len(loaded.bm25.vocab_dict),
        "start_seconds": round(start_seconds, 2),
        "build_seconds": round(terms_seconds + index_seconds, 1),
        # With a few chunks more only this is done anew, and the folder written.
        "index_seconds": round(index_seconds, 1),
        "save_seconds": round(save_seconds, 2),
        "load_seconds": round(load_seconds, 2),
        **searched,
        "with_nodes": asked,
        "disk_mb": round(disk / 1e6, 1),
        "peak_mb_before": before,
        "peak_mb": build_peak,
    }


def stock(language: str, size: int) -> dict[str, Any]:
    """LlamaIndex's retriever over nodes of the same texts, as it comes."""
    from llama_index.retrievers.bm25 import BM25Retriever

    texts = chunks(language, size)
    nodes = make_nodes([f"{number:032x}" for number in range(size)], texts)
    before = peak_mb()
    build_seconds, retriever = timed(
        lambda: BM25Retriever.from_defaults(nodes=list(nodes.values()), similarity_top_k=TOP_K)
    )
    build_peak = peak_mb()
    with TemporaryDirectory() as folder:
        save_seconds, _ = timed(lambda: retriever.persist(folder))
        load_seconds, loaded = timed(lambda: BM25Retriever.from_persist_dir(folder))
        disk = sum(file.stat().st_size for file in Path(folder).iterdir())
    return {
        "build_seconds": round(build_seconds, 1),
        "save_seconds": round(save_seconds, 2),
        "load_seconds": round(load_seconds, 2),
        "with_nodes": ask(loaded.retrieve, language),
        "disk_mb": round(disk / 1e6, 1),
        "peak_mb_before": before,
        "peak_mb": build_peak,
    }


CONTESTANTS: dict[str, Callable[[str, int], dict[str, Any]]] = {"ours": ours, "stock": stock}


def make_nodes(ids: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Nodes by their ids."""
    from llama_index.core.schema import TextNode

    return {i: TextNode(id_=i, text=text) for i, text in zip(ids, texts, strict=True)}


def ask(answer: Callable[[str], object], language: str) -> dict[str, float]:
    """Milliseconds of single questions, after one that warms up."""
    asked = questions(language)
    answer(asked[0])
    seconds = [timed(lambda q=question: answer(q))[0] for question in asked]  # type: ignore[misc]
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def chunks(language: str, size: int) -> list[str]:
    """Chunks of one language, or half and half."""
    if language == "both":
        return chunks("en", size // 2) + chunks("ko", size - size // 2)
    pool = sorted(set(SENTENCES[language]()))
    draw = random.Random(SEED)  # noqa: S311
    return [_chunk(pool, draw) for _ in range(size)]


def _chunk(pool: Sequence[str], draw: random.Random) -> str:
    drawn: list[str] = []
    length = 0
    while length < CHUNK_WORDS:
        drawn.append(draw.choice(pool))
        length += drawn[-1].count(" ") + 1
    return " ".join(drawn)


def questions(language: str) -> list[str]:
    """Human questions of one language, or half and half."""
    if language == "both":
        pairs = zip(questions("en"), questions("ko"), strict=True)
        return [question for pair in pairs for question in pair][:QUESTIONS]
    paragraphs = squad({"en": XQUAD, "ko": KORQUAD}[language])
    found = [asked["question"] for paragraph in paragraphs for asked in paragraph["qas"]]
    return random.Random(SEED).sample(found, QUESTIONS)  # noqa: S311


def squad(path: Path) -> list[dict[str, Any]]:
    """Paragraphs of a file in SQuAD's format."""
    data = json.loads(path.read_text("utf-8"))["data"]
    return [paragraph for article in data for paragraph in article["paragraphs"]]


def english() -> Iterator[str]:
    """Sentences of posts, encyclopedia paragraphs and FAQ answers."""
    for post in sorted((SHARED / "docs_18f" / "content" / "posts").glob("*.md")):
        yield from sentences(post.read_text("utf-8"))
    for paragraph in squad(XQUAD):
        yield from sentences(paragraph["context"])
    with jhu_faq().documents.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield from sentences(row["answer"])


def korean() -> Iterator[str]:
    """Sentences of encyclopedia paragraphs."""
    for paragraph in squad(KORQUAD):
        yield from sentences(paragraph["context"])


SENTENCES: dict[str, Callable[[], Iterator[str]]] = {"en": english, "ko": korean}


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [text[start:end] for start, end in split_by_rules(text)]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result of one call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def peak_mb() -> int:
    """The most memory that this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
