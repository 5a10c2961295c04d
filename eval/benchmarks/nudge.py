"""Known documents: passages moved towards their questions (NUDGE), or these searched beside them.

    python eval/benchmarks/nudge.py [--corpus korquad-all]

New questions about known documents: of each passage's questions some are trained on and others
held out, near-duplicate wordings on one side (train, dev, test .6, .1, .3, after a tenth of the
documents was set apart). Every way gets the same training questions, chooses its step on the same
dev questions, and is asked three kinds of test questions: those whose passage has a training
question ("known"), those whose passage has none ("others"), and those about documents that are
added later with plain vectors ("later"). Intervals are of all seeds together, resampled by
document. What is done is kept in eval/results/nudge.json, and every question's rank beside it; a
run that was stopped goes on.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

import numpy as np
import numpy.typing as npt
from corpora import RESULTS, Corpus, korquad_all, load, write_results
from held_out import open_base, ready, settings_for, show
from moved import (
    Asked,
    Score,
    added_questions,
    first_ranks,
    known_questions,
    nudge_m,
    nudge_n,
    plain,
    preferred,
    weighted_questions,
)
from outcomes import KeptOutcomes, interval, outcome_of_rank

from rag_app.environment import prepare_environment
from rag_app.evaluate.scoring import LARGEST_K, Outcome
from rag_app.evaluate.statistics import Difference, difference
from rag_app.finetune.data.material import read_labelled
from rag_app.index import Passages, VectorCache
from rag_app.models import EmbeddingModel
from rag_app.pairs import (
    Pair,
    Question,
    build_questions,
    cluster_documents,
    document_texts,
    question_key,
)
from rag_app.vectors import Vectors

NAME = "nudge"
NAMES = ("sample-en", "sample-ko", "xquad-en", "korquad-all")
BASE, VIEW, PREFERRED = "base", "known questions", "asked passages preferred"
# Ways that choose a step on dev.
CHOSEN = {
    PREFERRED: preferred,
    "NUDGE-M": nudge_m,
    "NUDGE-N": nudge_n,
    "NUDGE-M, centred": lambda passages, train, dev: nudge_m(passages, train.centred(), dev),
    "NUDGE-N, centred": lambda passages, train, dev: nudge_n(passages, train.centred(), dev),
    "known questions, weighted": weighted_questions,
    "known questions, added": added_questions,
}
WAYS = (BASE, VIEW, *CHOSEN)
PARTS = ("known", "others", "later")
# The first two together: all questions about the collection as it was.
TOGETHER = {**{part: (part,) for part in PARTS}, "known and others": PARTS[:2]}
LATER, TRAIN, DEV = 0.1, 0.6, 0.1

METRICS = ("hit_rate@1", "mrr@10")

# One of each passage, or of each question.
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Collection:
    """One corpus, ingested: the same for every split.

    Fields:
        clusters: document id -> near-duplicates that it belongs to.
    """

    corpus: Corpus
    base: EmbeddingModel
    passages: Passages
    cache: VectorCache
    pairs: list[Pair]
    clusters: dict[str, str]

    def questions(self, pairs: Sequence[Pair]) -> list[Question]:
        """As they are asked of the index."""
        return build_questions(pairs, self.passages.nodes, self.clusters)


@dataclass(frozen=True)
class Parts:
    """Pairs by question: those of one document may stand in several parts."""

    train: list[Pair]
    dev: list[Pair]
    test: list[Pair]


@dataclass(frozen=True)
class Bench:
    """One split of a collection.

    Fields:
        later: (n_passages,) those of documents that are added later.
    """

    collection: Collection
    seed: int
    split: Parts
    later: Mask


def open_collection(corpus: Corpus) -> Collection:
    """Ingest what is not ingested."""
    settings = settings_for(corpus, 0)
    ready(corpus, settings, "labelled")
    index, base = open_base(settings)
    passages = index.passages()
    pairs, _ = read_labelled(corpus.questions, passages.nodes)
    clusters = cluster_documents(document_texts(passages.nodes))
    return Collection(corpus, base, passages, VectorCache(settings.storage), pairs, clusters)


def open_bench(of: Collection, seed: int) -> Bench:
    """Split as this seed does."""
    split = split_questions(of.pairs, of.clusters, seed)
    later = [_is_later(of.clusters[str(node.ref_doc_id)], seed) for node in of.passages.nodes]
    return Bench(of, seed, split, np.array(later))


def split_questions(pairs: Sequence[Pair], clusters: Mapping[str, str], seed: int) -> Parts:
    """By wording; all questions about a document that is added later are test questions."""
    wordings = cluster_documents({pair.question: question_key(pair.question) for pair in pairs})
    parts: dict[str, list[Pair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        drawn = _drawn(f"{seed} question {wordings[pair.question]}")
        part = "train" if drawn < TRAIN else "dev" if drawn < TRAIN + DEV else "test"
        parts["test" if _is_later(clusters[pair.document_id], seed) else part].append(pair)
    return Parts(**parts)


def _is_later(cluster: str, seed: int) -> bool:
    return _drawn(f"{seed} document {cluster}") < LATER


def _drawn(key: str) -> float:
    """Between 0 and 1, always the same."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64


def measure(bench: Bench, kept: KeptOutcomes) -> dict[str, Any]:
    """Every way on one split."""
    of, split = bench.collection, bench.split
    questions = [of.questions(pairs) for pairs in (split.train, split.dev, split.test)]
    train, dev, test = (_asked(of, some) for some in questions)
    steps, ways = _ways(of.passages.vectors, train, dev, bench.later)
    counts = {}
    for part, rows in _parts(bench, train, test).items():
        counts[part] = int(rows.sum())
        chosen = [question for question, mine in zip(questions[-1], rows, strict=True) if mine]
        for way, score in ways.items():
            ranks = first_ranks(score(test.vectors[rows]), test.right[rows])
            name = _name(of.corpus.name, bench.seed, way, part)
            kept.put(name, _outcomes(chosen, ranks))
    return {
        "corpus": of.corpus.name,
        "seed": bench.seed,
        "passages": len(of.passages.nodes),
        "passages_with_training_questions": int(np.any(train.right, axis=0).sum()),
        "train": len(train.vectors),
        "dev": len(dev.vectors),
        **counts,
        "steps": steps,
    }


def _outcomes(questions: Sequence[Question], ranks: npt.NDArray[np.int64]) -> list[Outcome]:
    return [
        outcome_of_rank(question.id, question.cluster, int(rank) if rank <= LARGEST_K else None)
        for question, rank in zip(questions, ranks, strict=True)
    ]


def _asked(of: Collection, questions: Sequence[Question]) -> Asked:
    row_of = {node.node_id: row for row, node in enumerate(of.passages.nodes)}
    right = np.zeros((len(questions), len(row_of)), dtype=np.bool_)
    for number, question in enumerate(questions):
        right[number, [row_of[chunk] for gold in question.gold for chunk in gold]] = True
    texts = [question.text for question in questions]
    return Asked(of.cache.embed_queries(of.base, texts, progress=show), right)


def _ways(
    passages: Vectors, train: Asked, dev: Asked, later: Mask
) -> tuple[dict[str, float], dict[str, Score]]:
    """The step that each way chose, and how it scores; later passages are not there yet."""
    known = passages[~later]
    dev = Asked(dev.vectors, dev.right[:, ~later])
    train_known = Asked(train.vectors, train.right[:, ~later])
    chosen = {way: choose(known, train_known, dev) for way, choose in CHOSEN.items()}
    scored = {BASE: plain(known), VIEW: known_questions(known, train_known)}
    scored |= {way: score for way, (_, score) in chosen.items()}
    ways = {way: _with_later(scored[way], passages, later) for way in WAYS}
    return {way: round(step, 4) for way, (step, _) in chosen.items()}, ways


def _with_later(score: Score, passages: Vectors, later: Mask) -> Score:
    """A way's scores of the passages that it knows, and the cosine of those that were added."""

    def together(questions: Vectors) -> Vectors:
        scores = questions @ passages.T
        scores[:, ~later] = score(questions)
        return scores

    return together


def _parts(bench: Bench, train: Asked, test: Asked) -> dict[str, Mask]:
    """Which test questions are of each kind."""
    known = np.any(test.right & np.any(train.right, axis=0), axis=1)
    later = np.any(test.right & bench.later, axis=1) & ~known
    return dict(zip(PARTS, (known, ~known & ~later, later), strict=True))


def _name(corpus: str, seed: int, way: str, part: str) -> str:
    return f"{corpus} {seed} {way}, {part}"


def summary(rows: list[dict[str, Any]], corpus: str, kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each way over all seeds of a corpus, against the base."""
    found = []
    seeds = [row["seed"] for row in rows if row["corpus"] == corpus]
    for part, parts in TOGETHER.items():
        pooled = {way: _pooled(kept, corpus, seeds, way, parts) for way in WAYS}
        for way, outcomes in pooled.items():
            found.append(
                {
                    "corpus": corpus,
                    "part": part,
                    "way": way,
                    "seeds": seeds,
                    "n": len(outcomes),
                    "scores": {
                        metric: round(mean(one.values[metric] for one in outcomes), 4)
                        for metric in METRICS
                    },
                    "change": _changes(pooled[BASE], outcomes),
                    "over_preferred": _changes(pooled[PREFERRED], outcomes),
                }
            )
    return found


def _changes(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[str, Any]:
    return {metric: asdict(difference(before, after, metric, seed=0)) for metric in METRICS}


def _pooled(
    kept: KeptOutcomes, corpus: str, seeds: Sequence[int], way: str, parts: Sequence[str]
) -> list[Outcome]:
    return [
        replace(outcome, question_id=f"{part} {outcome.question_id}")
        for part in parts
        for outcome in kept.pooled({seed: _name(corpus, seed, way, part) for seed in seeds})
    ]


def print_table(found: list[dict[str, Any]]) -> None:
    """The table of docs/measured.md: a line for each way, the change of MRR@10 in each part."""
    for corpus in dict.fromkeys(one["corpus"] for one in found):
        here = [one for one in found if one["corpus"] == corpus]
        counts = {one["part"]: one["n"] for one in here}
        print(f"\n| {corpus} | {' | '.join(f'{p} ({n})' for p, n in counts.items())} |")
        print("|---" * (1 + len(counts)) + "|")
        for way in WAYS:
            cells = [_cell(one) for one in here if one["way"] == way]
            print("| " + " | ".join([way, *cells]).replace("0.", ".") + " |")


def _cell(one: dict[str, Any]) -> str:
    if one["way"] == BASE:
        return f"{one['scores']['mrr@10']:.3f}"
    return interval(Difference(**one["change"]["mrr@10"]))


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=NAMES)
    parser.add_argument("--seeds", default="13,14,15")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    kept, rows, found = KeptOutcomes(NAME), [], []
    if path.is_file():
        values = json.loads(path.read_text("utf-8"))
        rows, found = values["rows"], values["summary"]
    done = {(row["corpus"], row["seed"]) for row in rows}
    for name in arguments.corpus or NAMES:
        todo = [s for s in map(int, arguments.seeds.split(",")) if (name, s) not in done]
        if todo:
            of = open_collection(korquad_all() if name == "korquad-all" else load(name))
        for seed in todo:
            rows.append(measure(open_bench(of, seed), kept))
            found = [one for one in found if one["corpus"] != name]
            write_results(NAME, {"rows": rows, "summary": found})
        if not any(one["corpus"] == name for one in found):
            found += summary(rows, name, kept)
            write_results(NAME, {"rows": rows, "summary": found})
    print_table(found)


if __name__ == "__main__":
    main()
