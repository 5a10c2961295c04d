"""Runs as TREC's files, which trec_eval, ir-measures, pytrec_eval and ranx read."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from rag_app.disk import write_whole
from rag_app.errors import PairsError
from rag_app.evaluate.ranks import first_rank
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.stored import RetrievalRun

# Stands for an answer that no chunk holds: it counts, and cannot be found.
NOWHERE = "answer-in-no-chunk"


def write_trec(folder: Path, runs: Sequence[RetrievalRun]) -> list[Path]:
    """Write `NAME.run`, `NAME.qrels` and `NAME.queries.tsv` for each run; returns their paths.

    Each run has judgements of its own, since the chunks that answer a question are others in
    another index. Every chunk that holds an answer is relevant. Success@k and RR@10 of these files
    are hit_rate@k and mrr@10; nDCG@10 is ndcg@10 where each answer lies in one chunk, as we count
    several chunks of one answer once.

    Raises:
        PairsError: a retriever returned larger pieces than chunks, which judgements cannot name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for run in runs:
        _check(run)
        name = run.place.stem
        files = {
            "run": _run_lines(run.outcomes, tag=name),
            "qrels": _judgements(run.outcomes),
            "queries.tsv": _queries(run.outcomes),
        }
        for ending, lines in files.items():
            path = folder / f"{name}.{ending}"
            write_whole(path, "".join(f"{line}\n" for line in lines))
            written.append(path)
    return written


def _run_lines(outcomes: Sequence[Outcome], *, tag: str) -> Iterator[str]:
    """Tools order by score, in single precision and with ties by name: the scores are places."""
    for outcome in outcomes:
        ranking = list(dict.fromkeys(outcome.retrieved))
        for rank, chunk in enumerate(ranking, 1):
            score = len(ranking) - rank + 1
            yield f"{_word(outcome.question_id)} Q0 {_word(chunk)} {rank} {score} {_word(tag)}"


def _judgements(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        chunks = sorted({chunk for answer in outcome.gold for chunk in answer}) or [NOWHERE]
        yield from (f"{_word(outcome.question_id)} 0 {_word(chunk)} 1" for chunk in chunks)


def _queries(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield f"{_word(outcome.question_id)}\t{' '.join(outcome.question.split())}"


def _check(run: RetrievalRun) -> None:
    for outcome in run.outcomes:
        right = {chunk for answer in outcome.gold for chunk in answer}
        if first_rank(outcome.retrieved, right) != outcome.rank:
            raise PairsError(
                f"{run.place}: the answer to {outcome.question!r} was found in a piece larger than "
                "a chunk (window or parent), which TREC's files cannot name; export a run of a "
                "retriever without that step"
            )


def _word(name: str) -> str:
    """Without white space, which parts the columns."""
    return quote(name, safe="/:+@,;=~!$&'()*")
