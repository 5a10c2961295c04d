"""Written questions against labelled ones: what each step of writing and choosing them brings.

    python eval/benchmarks/written_questions.py --corpus sample-en [--method adapter] [--quick]

Every way is trained on questions that the local language model wrote about the same passages, and
asked the labelled questions that the split of `rag-app finetune` holds out; "labels" is trained on
labelled pairs instead. Each way is the one before it and one thing more. The questions of a style
are written once and used by every seed and way that takes some of them. `--method adapter` trains
the query adapter alone, which takes seconds; without it, `--preset quick` is what trains.
Dev questions, of the same split, are the labelled ones: by them settings are chosen. Out-of-domain
questions are not asked here. Intervals are of all seeds together, resampled by document.
What is done is kept in eval/results/written_questions.json; a run that was stopped goes on.
`--quick` is one seed.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from corpora import CORPORA, RESULTS, WORK, Corpus, load, write_results
from held_out import open_base, ready, settings_for, show
from outcomes import KeptOutcomes, changes

from rag_app.chunks import passage_text
from rag_app.cli.given import language_model_of, workspace_of
from rag_app.environment import prepare_environment
from rag_app.evaluate.comparison import exact_outcomes
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material, prepare_materials, read_labelled
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import train_phases
from rag_app.finetune.presets import DEFAULT, QUICK, as_quick
from rag_app.finetune.train.methods import ADAPTER
from rag_app.finetune.trial import embedded
from rag_app.pairs import SplitOptions, build_questions
from rag_app.questions import (
    QuestionStore,
    WritingOptions,
    filter_questions,
    to_pairs,
    write_questions,
)
from rag_app.questions.extract import (
    EXTRACT_VERSION,
    HEADINGS,
    OF_BARE,
    OF_HEADED,
    extract_questions,
    usual_styles,
)
from rag_app.questions.missing import stored_in
from rag_app.questions.question import GeneratedQuestion
from rag_app.questions.rarity import Rarity
from rag_app.questions.styles import (
    KEYWORDS,
    ONLY_QUESTIONS,
    QUESTION,
    SENTENCE,
    STYLES,
    TITLE,
    Shares,
    style_of,
)
from rag_app.text.language import guess_language

if TYPE_CHECKING:
    from rag_app.config import Settings
    from rag_app.index import Passages
    from rag_app.models import EmbeddingModel

NAME = "written_questions"
LABELS = "labels"
BEFORE = "as they were"
# Few enough for two cores to write; a style that is asked for more often gives what it has.
MOST_OF_STYLE = {QUESTION: 2}


@dataclass(frozen=True)
class Way:
    """Which written questions are trained on, and how.

    Fields:
        shares: of the styles that the language model wrote; None: it wrote nothing.
        per_chunk: of the language model's, before the filters.
        text: styles that are taken from the text itself, besides; USUAL: those that `rag-app
            questions --llm none` takes.
        text_per_chunk: of these, before the filters.
    """

    shares: Shares | None = None
    per_chunk: int = 1
    text: tuple[str, ...] = ()
    text_per_chunk: int = 2


USUAL = ("usual",)
MIXED: Shares = {style: 1 / len(STYLES) for style in STYLES}
PLAIN = Way(ONLY_QUESTIONS)
BOTH = Way(ONLY_QUESTIONS, text=(TITLE, KEYWORDS), text_per_chunk=1)
ALL = Way(ONLY_QUESTIONS, per_chunk=2, text=USUAL)
TEXT = Way(text=USUAL)
WAYS = {
    LABELS: Way(),
    # Without a language model.
    "text": TEXT,
    "text titles": Way(text=(TITLE,)),
    "text key words": Way(text=(KEYWORDS,)),
    "text titles and key words": Way(text=OF_HEADED),
    "text sentences": Way(text=OF_BARE),
    "text titles and sentences": Way(text=(QUESTION, TITLE, SENTENCE)),
    # With one.
    BEFORE: PLAIN,
    "two samples": Way(ONLY_QUESTIONS, per_chunk=2),
    "styles": Way(MIXED),
    "styles two samples": Way(MIXED, per_chunk=2),
    "and of the text": BOTH,
    "two samples and all of the text": ALL,
}


@dataclass
class Bench:
    """One corpus: its index, its labelled pairs, and what was written about it, by style."""

    corpus: Corpus
    settings: "Settings"
    base: "EmbeddingModel"
    passages: "Passages"
    written: dict[str, list[GeneratedQuestion]]

    @property
    def context(self) -> TrainingContext:
        """Where models and vectors are kept."""
        return TrainingContext(workspace_of(self.settings), show)


def open_bench(corpus: Corpus, styles: Sequence[str], *, write: bool) -> Bench:
    """Ingest and, if asked to, write what is missing."""
    settings = settings_for(corpus, 13)
    ready(corpus, settings, "labelled")
    index, base = open_base(settings)
    passages = index.passages()
    bench = Bench(corpus, settings, base, passages, {})
    for style in styles:
        if write:
            write_style(bench, style)
        bench.written[style] = read_style(bench, style)
        print(f"{corpus.name}: {len(bench.written[style])} of style {style}", flush=True)
    return bench


def write_style(bench: Bench, style: str) -> None:
    """Questions of one style, in a storage of their own."""
    write_questions(
        workspace_of(bench.settings).open(),
        storage=storage_of(bench, style),
        llm=language_model_of(bench.settings),
        per_chunk=MOST_OF_STYLE.get(style, 1),
        writing=WritingOptions(styles={style: 1.0}),
        progress=show,
    )


def storage_of(bench: Bench, style: str) -> Any:
    """Folder of a style's questions."""
    return WORK / bench.corpus.name / "written" / style


def read_style(bench: Bench, style: str) -> list[GeneratedQuestion]:
    """What a style's storage holds, in the order of passages."""
    stores = QuestionStore.all(storage_of(bench, style))
    return stored_in(stores[0], bench.passages.nodes) if stores else []


def chosen(bench: Bench, way: Way) -> list[GeneratedQuestion]:
    """A way's questions, before the filters: of each chunk the styles that its shares say."""
    by_chunk: dict[tuple[str, str], list[GeneratedQuestion]] = defaultdict(list)
    for style, questions in bench.written.items():
        for question in questions:
            by_chunk[question.chunk_id, style].append(question)
    found = []
    for node in bench.passages.nodes:
        for number in range(way.per_chunk if way.shares else 0):
            waiting = by_chunk[node.node_id, style_of(node.node_id, number, way.shares or {})]
            if waiting:
                found.append(waiting.pop(0))
    return found + _of_the_text(bench, way)


def _of_the_text(bench: Bench, way: Way) -> list[GeneratedQuestion]:
    nodes = bench.passages.nodes if way.text else []
    styles = usual_styles(nodes) if way.text == USUAL else way.text
    rarity = Rarity(passage_text(node) for node in bench.passages.nodes)
    return [
        GeneratedQuestion(
            question=one.text,
            chunk_id=node.node_id,
            document_id=str(node.ref_doc_id),
            start=int(node.start_char_idx or 0),
            end=int(node.end_char_idx or 0),
            generator=HEADINGS,
            prompt_version=EXTRACT_VERSION,
            language=guess_language(passage_text(node)),
            style=one.style,
        )
        for node in nodes
        for one in extract_questions(node, rarity, way.text_per_chunk, styles=styles)
    ]


def material_of(bench: Bench, name: str, seed: int) -> tuple[Material, dict[str, int]]:
    """The split of this seed with the way's pairs; and what the filters dropped."""
    way, base, passages = WAYS[name], bench.base, bench.passages
    labelled, _ = read_labelled(bench.corpus.questions, passages.nodes)
    dropped: dict[str, int] = {}
    written: list[GeneratedQuestion] = []
    if name != LABELS:
        filtered = filter_questions(chosen(bench, way), passages, base)
        written, dropped = filtered.kept, filtered.dropped
    [material] = prepare_materials(
        labelled,
        to_pairs(written),
        train_on="labelled" if name == LABELS else "synthetic",
        passages=passages,
        embed=base.embed_queries,
        options=SplitOptions(held_out="documents"),
        batch_size=TrainingOptions().batch_size,
        seed=seed,
    )
    return material, dropped


def measure(bench: Bench, name: str, seed: int, method: str, kept: KeptOutcomes) -> dict[str, Any]:
    """Train one way on one split; ask the labelled dev and test questions."""
    started = time.perf_counter()
    material, dropped = material_of(bench, name, seed)
    options = TrainingOptions(**DEFAULT, seed=seed)
    if method == QUICK:
        options = as_quick(options, material.rows, bench.base)
    else:
        options = replace(options, method=ADAPTER)
    model = train_phases(bench.context, bench.base, material, options).model
    nodes, split = bench.passages.nodes, material.split
    asked = {"test": material.test, "dev": build_questions(split.dev, nodes, split.clusters)}
    tuned = bench.passages if method != QUICK else embedded(bench.context, bench.passages, model)
    for part, questions in asked.items():
        for who, held, judged in (
            (name, tuned, model),
            ("base", bench.passages, bench.base),
        ):
            outcomes = exact_outcomes(held, judged, questions, cache=bench.context.cache)
            kept.put(row_name(bench.corpus.name, method, seed, who, part), outcomes)
    return {
        "corpus": bench.corpus.name,
        "method": method,
        "way": name,
        "seed": seed,
        "training_pairs": len(material.rows),
        "dropped": dropped,
        "asked": {part: len(questions) for part, questions in asked.items()},
        "seconds": round(time.perf_counter() - started, 1),
    }


def row_name(corpus: str, method: str, seed: int, way: str, part: str) -> str:
    """Of one way's outcomes."""
    return f"{corpus} {method if way != 'base' else 'base'} {seed} {way} {part}"


def summary(rows: Sequence[dict[str, Any]], kept: KeptOutcomes) -> list[dict[str, Any]]:
    """Each way over its seeds: the change of MRR@10, and its share of what labels bring."""
    found = []
    for corpus, method in dict.fromkeys((row["corpus"], row["method"]) for row in rows):
        here = [row for row in rows if (row["corpus"], row["method"]) == (corpus, method)]
        for way in dict.fromkeys(row["way"] for row in here):
            seeds = [row["seed"] for row in here if row["way"] == way]
            gains = {
                part: _change(kept, corpus, method, seeds, ("base", way), part)
                for part in ("test", "dev")
            }
            entry = {
                "corpus": corpus,
                "method": method,
                "way": way,
                "seeds": seeds,
                "training_pairs": [r["training_pairs"] for r in here if r["way"] == way],
                **{part: asdict(gain) for part, gain in gains.items()},
            }
            for other in (LABELS, BEFORE):
                theirs = {row["seed"] for row in here if row["way"] == other}
                if other != way and theirs.issuperset(seeds):
                    over = _change(kept, corpus, method, seeds, (other, way), "test")
                    entry[f"over {other}"] = asdict(over)
                    if other == LABELS:
                        gain = _change(kept, corpus, method, seeds, ("base", LABELS), "test")
                        entry["share of labels"] = gains["test"].mean / gain.mean
            found.append(entry)
    return found


def _change(
    kept: KeptOutcomes,
    corpus: str,
    method: str,
    seeds: Sequence[int],
    ways: tuple[str, str],
    part: str,
) -> Any:
    before, after = (
        kept.pooled({seed: row_name(corpus, method, seed, way, part) for seed in seeds})
        for way in ways
    )
    return changes(before, after)["mrr@10"]


def print_table(found: Sequence[dict[str, Any]]) -> None:
    """The table of docs/measured.md: change of MRR@10 over the base."""
    print("| documents | trained | way | seeds | pairs | test | dev | share of labels |")
    print("|---|---|---|---|---|---|---|---|")
    for row in found:
        test, dev = (
            f"{row[part]['mean']:+.3f} [{row[part]['low']:+.3f}, {row[part]['high']:+.3f}]"
            for part in ("test", "dev")
        )
        share = f"{row['share of labels']:.2f}" if "share of labels" in row else ""
        pairs = "/".join(map(str, row["training_pairs"]))
        print(
            f"| {row['corpus']} | {row['method']} | {row['way']} | {len(row['seeds'])} | {pairs} "
            f"| {test} | {dev} | {share} |".replace("0.", ".")
        )


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--seeds", default="13,14,15")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--method", choices=[QUICK, ADAPTER], default=QUICK)
    parser.add_argument("--styles", default=",".join(STYLES), help="that are written")
    parser.add_argument("--write", action="store_true", help="what is missing; else take what is")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args()
    prepare_environment()
    path = RESULTS / f"{NAME}.json"
    rows = json.loads(path.read_text("utf-8"))["rows"] if path.is_file() else []
    kept = KeptOutcomes(NAME)
    done = {(row["corpus"], row["method"], row["way"], row["seed"]) for row in rows}
    for corpus in map(load, arguments.corpus or ["sample-en"]):
        bench = open_bench(corpus, arguments.styles.split(","), write=arguments.write)
        for seed in [13] if arguments.quick else map(int, arguments.seeds.split(",")):
            for way in arguments.ways.split(","):
                if (corpus.name, arguments.method, way, seed) not in done:
                    rows.append(measure(bench, way, seed, arguments.method, kept))
                    write_results(NAME, {"summary": summary(rows, kept), "rows": rows})
    print_table(summary(rows, kept))


if __name__ == "__main__":
    main()
