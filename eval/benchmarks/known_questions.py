"""Known questions: what they bring to questions asked again, and what they cost new ones.

    python eval/benchmarks/known_questions.py [--corpus jhu] [--corpus korquad]

All labelled questions of a corpus are made known to its index, and each is asked three ways:
verbatim; nearly so (a typing error, a word left out, its key words alone); and as a new question,
held out while it is asked, as `evaluate` does it. The rule was chosen on the half of the FAQ and of
the English sample whose clusters have an even first digit; of these corpora the other half is
scored. What is done is kept in eval/results/known_questions.json; a run that was stopped goes on.
"""

import argparse
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from corpora import CORPORA, RESULTS, korquad_all, load, write_results
from held_out import settings_for, show

from rag_app.cli.given import index_options_of, workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.scoring import Outcome, score_questions
from rag_app.evaluate.statistics import difference, estimate
from rag_app.index import Workspace
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import (
    Pair,
    Question,
    build_questions,
    cluster_documents,
    document_texts,
    match_questions,
    read_questions,
    remember_pairs,
)
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever

NAME = "known_questions"
SEED = 13
# The rule was chosen on half of these.
CHOSEN_ON = ("jhu", "sample-en")
RETRIEVERS = ("exact", "hybrid:0.7")
# Of KorQuAD all 5,774 questions are known, and one in five is asked.
MOST_ASKED = 1000
# Questions that are asked with a typing error and so on: each must be embedded anew.
NEARLY_ASKED = 200
SHOWN = ("hit_rate@1", "mrr@10")
_STOP = frozenset(
    re.findall(r"\w+", "a an the of to is are was do does i my we it be can in on for and")
)


def typing_error(text: str, draw: random.Random) -> str:
    """Two letters of the longest word change places."""
    words = text.split()
    place = max(range(len(words)), key=lambda number: len(words[number]))
    word = words[place]
    at = draw.randrange(max(len(word) - 1, 1))
    words[place] = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    return " ".join(words)


def word_left_out(text: str, draw: random.Random) -> str:
    """One word fewer."""
    words = text.split()
    if len(words) > 1:
        words.pop(draw.randrange(len(words)))
    return " ".join(words)


def key_words(text: str, _: random.Random) -> str:
    """As typed into a search box: no small words, no marks."""
    words = re.findall(r"\w+", text)
    return " ".join(word for word in words if word.casefold() not in _STOP) or text


NEARLY: dict[str, Callable[[str, random.Random], str]] = {
    "a typing error": typing_error,
    "a word left out": word_left_out,
    "key words": key_words,
}


def measure(name: str) -> dict[str, Any]:
    """Every way to ask, with and without known questions."""
    corpus = load(name)
    settings = settings_for(corpus, SEED)
    workspace = workspace_of(settings)
    if not workspace.catalog.names():
        ingest(
            workspace,
            IngestRequest([corpus.documents], options=index_options_of(settings)),
            progress=show,
        )
    opened = workspace.open()
    passages = opened.index.passages()
    pairs = _pairs(name, workspace)
    remember_pairs(opened.index, pairs)
    clusters = cluster_documents(document_texts(passages.nodes))
    every = build_questions(pairs, passages.nodes, clusters)
    asked = [one for one in every if name not in CHOSEN_ON or int(one.cluster[0], 16) % 2]
    asked = asked[:: max(len(asked) // MOST_ASKED, 1)]
    per_answer = Counter(one.gold for one in every)
    searched = Searched(opened.index, opened.model, passages, workspace.cache)
    tools = Tools.of(workspace)
    known = searched.questions(tools.storage)

    def scored(spec: str, questions: Sequence[Question], *, held_out: bool) -> list[Outcome]:
        options = RetrievalOptions().with_spec(spec)
        where = replace(searched, held_out=held_out)
        return score_questions(build_retriever(where, options, top_k=10, tools=tools), questions)

    def compared(questions: Sequence[Question], *, held_out: bool) -> dict[str, Any]:
        if not questions:
            return {}
        return {
            spec: _compared(
                scored(spec, questions, held_out=held_out),
                scored(f"{spec}+questions", questions, held_out=held_out),
            )
            for spec in RETRIEVERS
        }

    draw = random.Random(SEED)  # noqa: S311 - typing errors are no secret
    ways = {"verbatim": compared(asked, held_out=False)}
    for way, changed in NEARLY.items():
        nearly = [
            replace(one, text=changed(one.text, draw))
            for one in asked[:: max(len(asked) // NEARLY_ASKED, 1)]
        ]
        ways[way] = compared(nearly, held_out=False)
    ways["new"] = compared(asked, held_out=True)
    several = [one for one in asked if per_answer[one.gold] > 1]
    ways["new, others of the passage known"] = compared(several, held_out=True)
    return {
        "model": opened.model.name,
        "chunks": len(passages.nodes),
        "known": len(known.questions),
        "enough": round(known.enough, 4),
        "ways": ways,
    }


def _pairs(name: str, workspace: Workspace) -> list[Pair]:
    corpus = load(name)
    labelled = read_questions((korquad_all() if name == "korquad" else corpus).questions)
    if name.startswith("sample"):
        labelled += read_questions(corpus.documents / "faq.csv")
    nodes = workspace.open().index.ordered_nodes()
    return match_questions(labelled, nodes).pairs


def _compared(before: list[Outcome], after: list[Outcome]) -> dict[str, Any]:
    return {
        "n": len(before),
        "before": {m: asdict(estimate(before, m, seed=SEED)) for m in SHOWN},
        "after": {m: asdict(estimate(after, m, seed=SEED)) for m in SHOWN},
        "differences": {m: asdict(difference(before, after, m, seed=SEED)) for m in SHOWN},
    }


def print_table(results: dict[str, Any]) -> None:
    """Before -> after, with the interval of the difference."""
    for name, one in results.items():
        print(f"\n{name}: {one['known']} known questions, {one['model']}, above {one['enough']}")
        for way, specs in one["ways"].items():
            for spec, found in specs.items():
                line = f"  {way:<32} {spec:<11} n {found['n']:<5}"
                for metric in SHOWN:
                    before, after = found["before"][metric], found["after"][metric]
                    gain = found["differences"][metric]
                    line += (
                        f" {before['mean']:.3f} -> {after['mean']:.3f} "
                        f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
                    )
                print(line)


def depends_on() -> str:
    """Changes where the rule changes, so that nothing old is taken for new."""
    from rag_app.retrieve import known

    values = (known.QUANTILE, known.SAMPLED, known.FEWEST, known.SAME_WORDING, SEED)
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]


def kept_results() -> dict[str, Any]:
    """What was measured with the rule as it is."""
    path = RESULTS / f"{NAME}.json"
    kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    current = kept.get("depends_on") == depends_on()
    return kept if current else {"depends_on": depends_on(), "corpora": {}}


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    wanted = parser.parse_args().corpus or ["jhu", "sample-en", "sample-ko", "korquad"]
    prepare_environment(offline=True)
    for name in wanted:
        if name not in kept_results()["corpora"]:
            measured = measure(name)
            # Read again: another corpus may have been measured beside this one.
            kept = kept_results()
            kept["corpora"][name] = measured
            write_results(NAME, kept)
    print_table(kept_results()["corpora"])


if __name__ == "__main__":
    main()
