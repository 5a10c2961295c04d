"""Chunk sizes and retrievers compared on long documents and short ones, as `rag-app sweep` does it.

    python eval/benchmarks/chunk_sizes.py [--corpus long]

"long" is 509 blog posts and two annual reports of ../shared/data; the local language model writes
its questions about chunks of the smallest size, so that no size holds more of what was asked about
than another. The other corpora have human questions. What is done is kept in
eval/results/chunk_sizes.json; a run that was stopped goes on.
"""

import argparse
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

from corpora import CORPORA, E5, RESULTS, SHARED, WORK, Corpus, load, write_results
from held_out import settings_for, show

from rag_app.cli.given import index_options_of, language_model_of, retrieval_of, workspace_of
from rag_app.environment import prepare_environment
from rag_app.retrieve import Tools
from rag_app.sweep.grid import Grid
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.stage import sweep

NAME = "chunk_sizes"
SEED = 13
TODAY = dt.date(2026, 5, 15)
LONG = "long"
# Chunks that the language model is asked about.
ASKED = 600
# Up to what each model reads of a text: MiniLM 256 tokens, multilingual-e5-small 512.
LONG_SIZES = (128, 256, 512)
SHORT_SIZES = (64, 128, 256)
RETRIEVERS = ("vector", "keyword", "hybrid:auto", "vector+window:1")
SHOWN = ("hit_rate@1", "hit_rate@5", "mrr@10", "hit_rate@1024t")


def long_documents() -> Corpus:
    """Posts and reports in one folder, and questions about chunks of the smallest size."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest
    from rag_app.pairs import write_pairs
    from rag_app.questions import to_pairs, write_questions

    if not SHARED.is_dir():
        raise SystemExit(f"skipped: {SHARED} is not there, so corpus {LONG!r} cannot be measured")
    folder = WORK / LONG
    for source in (SHARED / "docs_18f" / "content" / "posts", SHARED / "filings_10k"):
        shutil.copytree(source, folder / "documents" / source.name, dirs_exist_ok=True)
    corpus = Corpus(LONG, folder / "documents", folder / "questions.jsonl", E5)
    if corpus.questions.is_file():
        return corpus
    settings = settings_for(corpus, SEED)
    small = settings.model_copy(update={"chunk_size": LONG_SIZES[0], "chunk_overlap": 0})
    workspace = workspace_of(small)
    report = ingest(
        workspace, IngestRequest([corpus.documents], options=index_options_of(small)), progress=show
    )
    written = write_questions(
        workspace.open(report.index),
        storage=small.storage,
        llm=language_model_of(small),
        per_chunk=1,
        limit=ASKED,
        seed=small.seed,
        progress=show,
    )
    print(f"{LONG}: {written.kept} questions kept, dropped {written.dropped}", flush=True)
    write_pairs(corpus.questions, to_pairs(written.questions), written.nodes)
    return corpus


def measure(corpus: Corpus) -> dict[str, Any]:
    """Sweep one corpus; the setting to beat is the default one."""
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest

    settings = settings_for(corpus, SEED)
    workspace, options = workspace_of(settings), index_options_of(settings)
    report = ingest(
        workspace, IngestRequest([corpus.documents], options=options, use=True), progress=show
    )
    sizes = LONG_SIZES if corpus.name == LONG else SHORT_SIZES
    request = SweepRequest(
        grid=Grid(chunk_sizes=sizes, retrievers=RETRIEVERS),
        questions=corpus.questions,
        index=report.index,
        promote=False,
        retrieval=retrieval_of(settings),
        llm=language_model_of(settings),
        seed=settings.seed,
        results=settings.results,
    )
    tools = Tools(storage=settings.storage, today=TODAY, llm=None, load_encoder=no_encoder)
    values = sweep(workspace, request, tools=tools, progress=show).to_json()
    return {"model": corpus.model, **values, "results": Path(values["results"]).name}


def no_encoder(name: str) -> Any:
    """None of the retrievers reads again."""
    raise ValueError(name)


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Each corpus: its settings, best first, and what is recommended."""
    for corpus, found in results.items():
        split = found["split"]
        print(f"\n{corpus}: {split['dev']} questions chose, {split['test']} report")
        for run in found["runs"]:
            scores = " ".join(f"{run[metric]['mean']:.3f}" for metric in SHOWN)
            changed = run.get("change")
            change = (
                f"{changed['mean']:+.3f} [{changed['low']:+.3f}, {changed['high']:+.3f}]"
                f" p {run['p_holm']:.3f}"
                if changed
                else "the setting to beat"
            )
            print(
                f"  {run['name']:<44} {scores}  {change}  {run['milliseconds']:.0f} ms, "
                f"{run['chunks']} chunks, {run['megabytes']:.1f} MB, {_built(run['build_seconds'])}"
            )
        print(f"  {found['recommended']['reason']}")


def _built(seconds: float | None) -> str:
    return "was there" if seconds is None else f"built in {seconds:.0f} s"


def main() -> None:
    """Sweep what is not swept yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=[LONG, *CORPORA])
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for name in arguments.corpus or [LONG, "jhu", "sample-en", "sample-ko"]:
        if name not in results:
            results[name] = measure(long_documents() if name == LONG else load(name))
            write_results(NAME, results)
    print_table(results)


if __name__ == "__main__":
    main()
