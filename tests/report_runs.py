"""Folders of finished runs whose numbers one can compute in the head."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag_app.evaluate.comparison import Comparison, compare_outcomes, scores_json
from rag_app.evaluate.kept_passages import KeptPassage
from rag_app.evaluate.scoring import Outcome, write_outcomes

Rank = int | None
TRAINING = {
    "seconds": 2.0,
    "pairs_per_second": 917.3,
    "peak_memory_mb": 974,
    "device": "cpu",
    "best_epoch": 2,
    "dev_mrr": [0.5, 0.75, 0.7],
    "losses": [1.2, 0.9, 0.8],
}


def outcome(number: int, rank: Rank, *, question: str = "", depth: int = 20) -> Outcome:
    """Question `number`, in a cluster of its own, whose right chunk "rN" has this rank."""
    found = [f"w{place}" for place in range(1, depth + 1)]
    if rank is not None:
        found[rank - 1] = f"r{number}"
    near = rank if rank is not None and rank <= 10 else None
    values = {f"hit_rate@{k}": float(near is not None and near <= k) for k in range(1, 11)}
    values["mrr@10"] = 1 / near if near else 0.0
    values["ndcg@10"] = 1 / math.log2(1 + near) if near else 0.0
    return Outcome(
        question_id=f"q{number}",
        question=question or f"question {number}",
        cluster=f"d{number}",
        gold=[[f"r{number}"]],
        retrieved=found,
        scores=[1 - place / 100 for place in range(depth)],
        rank=rank,
        values=values,
    )


def outcomes(ranks: Sequence[Rank], questions: Sequence[str] = ()) -> list[Outcome]:
    """One for each rank."""
    texts = [*questions, *[""] * (len(ranks) - len(questions))]
    return [outcome(n, rank, question=texts[n]) for n, rank in enumerate(ranks)]


def passage(chunk: str, **fields: str) -> KeptPassage:
    """A passage of a document of its own."""
    given = {"document": f"{chunk}.md", "title": f"Title {chunk}", "text": f"text of {chunk}"}
    return KeptPassage(**{"id": chunk, **given, **fields})


def write_passages(folder: Path, passages: Sequence[KeptPassage]) -> None:
    lines = (json.dumps(asdict(one), ensure_ascii=False) for one in passages)
    (folder / "passages.jsonl").write_text("\n".join(lines), "utf-8")


def make_finetune(
    folder: Path,
    before: Sequence[Rank],
    after: Sequence[Rank],
    *,
    questions: Sequence[str] = (),
    passages: Sequence[KeptPassage] = (),
    collection: dict[str, Any] | None = None,
    **values: Any,
) -> Path:
    """A finished tuning, base and tuned with these ranks; `values` go over its summary's own."""
    folder.mkdir(parents=True)
    base, tuned = outcomes(before, questions), outcomes(after, questions)
    found = compare_outcomes(base, tuned, seed=13)
    write_outcomes(folder / "base.jsonl", base)
    write_outcomes(folder / "tuned.jsonl", tuned)
    write_passages(folder, passages)
    if collection is not None:
        (folder / "collection.json").write_text(json.dumps(collection), "utf-8")
    summary = {**_summary(found), **values}
    (folder / "finetune.json").write_text(json.dumps(summary), "utf-8")
    return folder


def _summary(found: Comparison) -> dict[str, Any]:
    compared = {
        "base": scores_json(found.base),
        "tuned": scores_json(found.tuned),
        "differences": {name: asdict(one) for name, one in found.differences.items()},
    }
    return {
        "model": "storage/models/tiny-tuned",
        "base_model": "maker/tiny",
        "verdict": found.verdict.decision,
        "reason": found.verdict.reason,
        "split": {"train": 8, "dev": 2, "test": found.n, "known": 0},
        "folds": 1,
        "training_pairs": 8,
        "held_out": {"documents": {"n": found.n, **compared}},
        "retriever": "vector",
        "parts": {},
        "canary": None,
        "frontier": [],
        "options": {"epochs": 3, "seed": 13, "negatives": {"kind": "none", "per_pair": 1}},
        "training": TRAINING,
        "seconds": 4.0,
        "ann_recall@10": 1.0,
    }


def make_evaluate(folder: Path, runs: Mapping[str, Sequence[Rank]]) -> Path:
    """An evaluation of retrievers by name, each with these ranks."""
    folder.mkdir(parents=True)
    first: list[Outcome] = []
    rows = []
    for name, ranks in runs.items():
        asked = outcomes(ranks)
        write_outcomes(folder / f"{name}.jsonl", asked)
        found = compare_outcomes(first or asked, asked, seed=13)
        row = {"name": "index", "model": "tiny", "retriever": name, "n": len(ranks), "seconds": 1.0}
        row |= {"outcomes": f"{name}.jsonl", **scores_json(found.tuned)}
        if first:
            row["against_first"] = {
                "differences": {key: asdict(one) for key, one in found.differences.items()},
                "verdict": found.verdict.decision,
                "reason": found.verdict.reason,
            }
        first = first or asked
        rows.append(row)
    (folder / "evaluate.json").write_text(json.dumps({"runs": rows}), "utf-8")
    return folder


def make_sweep(folder: Path, settings: Mapping[tuple[int, str], Sequence[Rank]]) -> Path:
    """A sweep of chunk sizes and retrievers; the first is the present one, the last the best."""
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for (size, retriever), ranks in settings.items():
        asked = outcomes(ranks)
        found = compare_outcomes(asked, asked, seed=13)
        name = f"tiny {size}/0 {retriever}"
        write_outcomes(folder / f"{size}-{retriever}.jsonl", asked)
        scores = scores_json(found.tuned)
        rows.append(
            {
                "name": name,
                "model": "tiny",
                "retriever": retriever,
                "n": len(ranks),
                "chunk_size": size,
                "chunk_overlap": 0,
                "chunks": 80,
                "dev": 0.5,
                "outcomes": f"{size}-{retriever}.jsonl",
                "milliseconds": 2.0,
                **scores,
                "hit_rate@1024t": scores["hit_rate@5"],
            }
        )
    best = rows[-1]["name"]
    summary = {
        "metric": "hit_rate@1024t",
        "split": {"dev": 4, "test": 4},
        "runs": rows,
        "recommended": {"name": best, "wins": True, "reason": f"{best} is better"},
        "best_on_dev": best,
        "seconds": 9.0,
    }
    (folder / "sweep.json").write_text(json.dumps(summary), "utf-8")
    return folder
