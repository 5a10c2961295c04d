"""What a report says: states of questions, what took a place, curves, ranks, groups, sections."""

import json
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from fakes import WordModel
from llama_index.core.schema import TextNode
from report_runs import (
    TRAINING,
    make_evaluate,
    make_finetune,
    make_sweep,
    outcome,
    outcomes,
    passage,
)

from rag_app.chunks import Chunking
from rag_app.evaluate.changes import took_its_place
from rag_app.evaluate.collection import near_duplicates, second_answers
from rag_app.evaluate.evidence import AskedIndex, keep_evidence
from rag_app.evaluate.folds import of_fold
from rag_app.evaluate.kept_passages import read_passages
from rag_app.evaluate.scoring import read_outcomes, write_outcomes
from rag_app.report.blocks import Figure, Listing, Paragraph, Report, Section, Table
from rag_app.report.compared import Compared, Side
from rag_app.report.comparing import compare_runs, report_of_two
from rag_app.report.html import as_html
from rag_app.report.intervals import hit_curve, intervals
from rag_app.report.markdown import as_markdown
from rag_app.report.question_html import question_html
from rag_app.report.questions import QuestionList, question_list, state_of
from rag_app.report.rank_plot import group_names, rank_plot
from rag_app.report.stored import read_run
from rag_app.report.tuning import REPEATED
from rag_app.report.write import REPORTS


def report_of(folder: Path) -> Report:
    run = read_run(folder)
    return REPORTS[run.kind](run, run.values)


def section(report: Report, title: str) -> Section:
    return next(one for one in report.sections if one.title == title)


def titles(report: Report) -> list[str]:
    return [one.title for one in report.sections]


def questions(report: Report) -> QuestionList:
    [found] = [one for one in section(report, "Questions").blocks if isinstance(one, QuestionList)]
    return found


def tables(found: Section) -> list[Table]:
    return [block for block in found.blocks if isinstance(block, Table)]


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [
        (1, 5, "found in both"),
        (6, 5, "fixed"),
        (None, 1, "fixed"),
        (5, 6, "broken"),
        (2, None, "broken"),
        (6, 7, "still missed"),
        (None, None, "still missed"),
    ],
)
def test_a_state_goes_by_the_passages_that_are_shown(
    before: int | None, after: int | None, state: str
) -> None:
    assert state_of(before, after, 5) == state


def test_what_took_the_place_of_the_right_passage() -> None:
    # Lost: first place is w1's now. Won: where it stands now, w2 stood before.
    assert took_its_place(outcome(0, 1), outcome(0, 3)) == "w1"
    assert took_its_place(outcome(0, 6), outcome(0, 2)) == "w2"
    # Missed in both: what is first now. First in both: nothing.
    assert took_its_place(outcome(0, None), outcome(0, None)) == "w1"
    assert took_its_place(outcome(0, 1), outcome(0, 1)) is None


def test_questions_stand_with_what_tells_most_first(tmp_path: Path) -> None:
    ranks = [1, 7, 1, 2, None], [1, 1, 9, 2, 8]
    passages = [passage(chunk) for chunk in ("r0", "r1", "r2", "r3", "r4", "w1", "w2")]
    report = report_of(make_finetune(tmp_path / "run", *ranks, passages=passages))
    listed = questions(report)
    shown = [(row.question, row.state, row.before, row.after) for row in listed.rows]
    assert shown == [
        ("question 2", "broken", 1, 9),
        ("question 1", "fixed", 7, 1),
        ("question 4", "still missed", None, 8),
        ("question 0", "found in both", 1, 1),
        ("question 3", "found in both", 2, 2),
    ]
    assert listed.counts == {"broken": 1, "fixed": 1, "still missed": 1, "found in both": 2}
    lost = listed.rows[0]
    # In the worse ranking: the right passage ninth, what is first there in its place.
    assert (lost.right.title, lost.right.score) == ("Title r2", 1 - 8 / 100)
    assert lost.instead is not None
    assert (lost.instead.title, lost.instead.text, lost.instead.score) == (
        *("Title w1", "text of w1"),
        1.0,
    )
    assert listed.rows[3].instead is None
    assert listed.left_out == 0


def test_a_question_shows_what_each_view_made_of_both_passages(tmp_path: Path) -> None:
    run = make_evaluate(tmp_path / "run", {"hybrid:equal": [3, 1]})
    [kept] = run.glob("*.jsonl")
    found = [
        replace(one, steps={"vector": (9, 1), "token": (2, None), "hybrid": (one.rank, 1)})
        for one in read_outcomes(kept)
    ]
    write_outcomes(kept, found)
    report = report_of(run)
    by_name = {row.question: row.steps for row in questions(report).rows}
    assert by_name == {"question 0": found[0].steps, "question 1": {}}
    page = question_html(questions(report)).replace("\N{NO-BREAK SPACE}", " ")
    assert "vector 9 / 1, token 2 / not found, hybrid 3 / 1" in page


def test_a_question_shows_with_which_scores(tmp_path: Path) -> None:
    """Also of a passage that took the second place, whose ranks by step are not kept."""
    run = make_evaluate(tmp_path / "run", {"hybrid:equal": [3, None]})
    [kept] = run.glob("*.jsonl")
    scores: dict[str, list[float | None]] = {
        "vector": [0.25, 0.75, 0.5],
        "keyword": [None, 7.125, 6.5],
    }
    steps: dict[str, tuple[int | None, int | None]] = {"vector": (9, 1), "keyword": (None, 1)}
    found = [replace(one, steps=steps, step_scores=scores) for one in read_outcomes(kept)]
    write_outcomes(kept, found)
    page = question_html(questions(report_of(run)))
    assert "keyword\N{NO-BREAK SPACE}not\N{NO-BREAK SPACE}found" in page
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    assert "ranks (scores) by step, right / in its place" in page
    assert "vector 9 (.250) / 1 (.750), keyword not found / 1 (7.125)" in page
    # Before, the second place was the right passage's.
    both = [replace(one, retrieved=["w1", "w2", "r0"], rank=3) for one in found[:1]]
    was = [replace(one, retrieved=["w1", "r0"], rank=2) for one in found[:1]]
    compared = Compared("", Side("a", was, {}, {}), Side("b", both, {}, {}), {})
    page = question_html(question_list([compared], {})).replace("\N{NO-BREAK SPACE}", " ")
    assert "scores by step, right / in its place</span> vector .250 / .500" in page
    assert "keyword not found / 6.500" in page


def test_hit_rates_go_on_to_twenty() -> None:
    asked = outcomes([1, 2, None, 15])
    curve = hit_curve(asked, deepest=20, seed=1)
    assert [one.mean for one in curve[:3]] == [1 / 4, 2 / 4, 2 / 4]
    assert (curve[13].mean, curve[14].mean, curve[19].mean) == (2 / 4, 3 / 4, 3 / 4)
    assert all(0 <= one.low <= one.mean <= one.high <= 1 for one in curve)


def test_intervals_of_many_clusters_are_normal() -> None:
    import numpy as np

    n = 51**2 + 1
    values = np.tile([0.0, 1.0], n // 2)[np.newaxis]
    [found] = intervals([str(number) for number in range(n)], values, seed=1)
    # Standard error of n halves that are right: 1 / (2 sqrt(n - 1)) = 1 / 102.
    assert found.mean == 1 / 2
    assert found.low == pytest.approx(1 / 2 - 1.96 / 102)
    assert found.high == pytest.approx(1 / 2 + 1.96 / 102)


def test_the_grid_of_ranks_counts_who_moved_from_where_to_where() -> None:
    pairs = list(zip(outcomes([1, 3, 2, 15]), outcomes([1, 1, None, 12]), strict=True))
    figure = rank_plot(pairs, ("base", "tuned"), deepest=20)
    # 15 and 12 are in one group, so nothing moved there.
    assert figure.title == "rank before against rank after: 1 questions better, 1 worse"
    assert list(group_names(20)) == ["1", "2", "3", "4", "5", "6-10", "11-20", "not found"]
    assert figure.table is not None
    rows = {row[0]: row[1:] for row in figure.table.rows}
    assert rows["base 3"] == ["1", "0", "0", "0", "0", "0", "0", "0"]
    assert rows["base 2"][-1] == "1"
    assert rows["base 11-20"][-2] == "1"
    assert list(group_names(10)) == ["1", "2", "3", "4", "5", "6-10", "not found"]
    assert list(group_names(3)) == ["1", "2", "3", "not found"]


def test_scores_by_category_and_length(tmp_path: Path) -> None:
    asked = ["one two", "one two three four five", "one", "a b c d e f"]
    kinds = ["billing", "billing", "orders", ""]
    passages = [passage(f"r{n}", category=kind) for n, kind in enumerate(kinds)]
    run = make_finetune(
        tmp_path / "run", [2, 2, 1, 1], [1, 2, 4, 1], questions=asked, passages=passages
    )
    found = section(report_of(run), "By kind of question")
    by_category, by_length = tables(found)
    # billing: (1/2 + 1/2) / 2 -> (1 + 1/2) / 2; orders: 1 -> 1/4. No category: in no group.
    assert [row[:4] for row in by_category.rows] == [
        ["billing", "2", ".500", ".750"],
        ["orders", "1", "1.000", ".250"],
    ]
    assert by_category.rows[0][4].startswith("+.250 [")
    assert by_length.rows[0][:4] == ["1 to 4", "2", ".750", ".625"]
    assert by_length.rows[1][:4] == ["5 to 8", "2", ".750", ".750"]


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    run = make_finetune(tmp_path / "run", [2, 1], [1, 1], questions=["a b", "c d"])
    assert titles(report_of(run)) == [
        "Base against tuned",
        "Among the first k passages",
        "Rank before and after",
        "Questions",
        "Training",
        "Pairs",
        "Loading the tuned model",
        "Cost",
        "Settings, and how to repeat it",
    ]
    bare = {**read_raw(run)["training"], "losses": [], "dev_mrr": []}
    other = make_finetune(tmp_path / "bare", [2, 1], [1, 1], training=bare)
    assert "Training" not in titles(report_of(other))


def read_raw(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "finetune.json").read_text("utf-8"))
    return values


def test_a_tuning_with_everything(tmp_path: Path) -> None:
    plain = read_raw(make_finetune(tmp_path / "plain", [2, 1], [1, 1]))
    compared = plain["held_out"]["documents"]
    canary = {**compared, "n": 7}
    frontier = [
        {
            "name": "as trained",
            "dev_mrr": 0.8,
            "dev_gain": 0.1,
            "canary": compared["differences"]["mrr@10"],
            "chosen": True,
        }
    ]
    run = make_finetune(
        *(tmp_path / "run", [2, 1], [1, 1]),
        canary=canary,
        canary_use="guard",
        frontier=frontier,
        weakened=2,
        retriever="hybrid:0.7",
        parts={
            "base, hybrid:0.7": compared,
            "tuned, vector": compared | {"tuned": compared["base"]},
        },
        unmatched=3,
        unmatched_example="where?",
        self_answering=1,
        folds=5,
        on_training_questions={"base": compared["base"], "tuned": compared["tuned"]},
        collection={"indexes": [{"name": "tiny-256", "model": "tiny", "fingerprint": "f00"}]},
    )
    (run / "command.txt").write_text("rag-app finetune --pairs 'a b.csv'\n", "utf-8")
    report = report_of(run)
    assert report.promises[0] == (
        "The verdict judges new questions about documents that training never saw, and no others."
    )
    assert "by 5 trainings" in report.promises[1]
    [_, ways] = tables(section(report, "Base against tuned"))
    assert [row[0] for row in ways.rows] == [
        "base, vector",
        "base, hybrid:0.7",
        "tuned, vector",
        "tuned, hybrid:0.7",
    ]
    [scores, _] = tables(section(report, "Base against tuned"))
    assert scores.heads == [
        *("metric", "base", "tuned, vector", "tuned, hybrid:0.7"),
        *("last minus first [95 % interval]", "p"),
    ]
    # Two questions: hit@1 1/2 before, 1/2 tuned, 2/2 with the retriever.
    half = ".500 [.000, 1.000]"
    assert scores.rows[0][:4] == ["hit@1", half, half, "1.000 [1.000, 1.000]"]
    fallen_back = report_of(
        make_finetune(
            *(tmp_path / "fallen", [2, 1], [1, 1]),
            retriever="hybrid:equal",
            learned="not certainly better than hybrid:equal, which is used",
            parts={"base, hybrid:learned": compared, "tuned, vector": compared},
        )
    )
    shown = section(fallen_back, "Base against tuned")
    # Base and tuned have one retriever, by the name that was asked for; what it came to is below.
    assert [row[0] for row in tables(shown)[1].rows][1::2] == [
        "base, hybrid:learned",
        "tuned, hybrid:learned",
    ]
    assert tables(shown)[0].heads[3] == "tuned, hybrid:learned"
    assert [b.text for b in shown.blocks if isinstance(b, Paragraph)] == [
        "Weights of the views: not certainly better than hybrid:equal, which is used."
    ]
    [tried] = tables(section(report, "Out-of-domain questions (canary)"))
    assert tried.caption.endswith("until one does not: in 2 of 5 splits, here in the first of them")
    [plot] = [b for b in section(report, "Base against tuned").blocks if isinstance(b, Figure)]
    assert plot.svg.count('class="whisker') == 3 * 5
    assert ">tuned, vector</text>" in plot.svg
    said = [b.text for b in section(report, "Pairs").blocks if isinstance(b, Paragraph)]
    assert said == [
        "3 questions left out: the answer is not in the index (such as 'where?').",
        "1 question left out: they repeat the passage that answers them.",
    ]
    canaries = section(report, "Out-of-domain questions (canary)")
    assert tables(canaries)[0].rows[0][:2] == ["as trained", ".800 (+.100)"]
    origin = section(report, "Settings, and how to repeat it")
    assert tables(origin)[0].rows[0][:3] == ["tiny-256", "tiny", "f00"]
    listings = [block.text for block in origin.blocks if hasattr(block, "text")]
    assert "rag-app finetune --pairs 'a b.csv'" in listings
    assert "negatives.kind = none" in listings[0]
    figures = [b.title for b in section(report, "Training").blocks if isinstance(b, Figure)]
    assert figures == ["training loss by epoch", "dev MRR@10 by epoch"]


def test_repeats_count_each_question_once(tmp_path: Path) -> None:
    run = make_finetune(tmp_path / "run", [2, 1], [1, 1], folds=4)
    for side in ("base", "tuned"):
        once = read_outcomes(run / f"{side}.jsonl")
        again = [*of_fold(once[:1], 1), *of_fold(once[1:], 2)]
        again += [*of_fold(once[1:], 3), *of_fold(once[:1], 4)]
        write_outcomes(run / f"{side}.jsonl", again)
    report = report_of(run)
    assert tables(section(report, "Base against tuned"))[0].caption.startswith("2 questions: ")
    assert REPEATED in report.promises


def test_a_tuning_says_which_of_its_epochs_was_kept(tmp_path: Path) -> None:
    said = {}
    for epochs in (None, 3, 30):
        training = TRAINING | {"epochs": epochs}
        run = make_finetune(tmp_path / f"run-{epochs}", [2, 1], [1, 1], training=training)
        first = section(report_of(run), "Training").blocks[0]
        assert isinstance(first, Paragraph)
        said[epochs] = first.text
    assert said == {
        None: "Epoch 2 was kept.",
        3: "Epoch 2 of 3 was kept.",
        30: "Epoch 2 of 30 was kept. A query adapter trains 30 short epochs for epochs = 3.",
    }


def test_losses_of_weights_stand_by_step(tmp_path: Path) -> None:
    training = TRAINING | {"epochs": 3, "losses": [1.2, 0.9, 0.8, 0.7]}
    report = report_of(make_finetune(tmp_path / "run", [2, 1], [1, 1], training=training))
    losses, dev = [b for b in section(report, "Training").blocks if isinstance(b, Figure)]
    assert (losses.title, dev.title) == ("training loss by step", "dev MRR@10 by epoch")
    assert losses.table is not None
    assert losses.table.rows[-1] == ["20", "0.700"]


def test_a_tuning_says_how_its_model_is_loaded(tmp_path: Path) -> None:
    plain = read_raw(make_finetune(tmp_path / "plain", [4, 2], [2, 1]))["held_out"]["documents"]
    # With vector search .75 was judged, with the hybrid 1; plain encode gives (1/4 + 1/2) / 2.
    run = make_finetune(
        *(tmp_path / "run", [4, 2], [1, 1]),
        model='storage/models/my "best"',
        retriever="hybrid:0.7",
        parts={"base, hybrid:0.7": plain | {"tuned": plain["base"]}, "tuned, vector": plain},
        plain_encode=plain["base"],
    )
    found = section(report_of(run), "Loading the tuned model")
    first, in_sentence_transformers, second, in_llama_index, said = found.blocks
    assert first == Paragraph("As it was judged, in sentence-transformers:")
    assert isinstance(in_sentence_transformers, Listing)
    assert in_sentence_transformers.text.splitlines()[2:] == [
        'model = SentenceTransformer("storage/models/my \\"best\\"")',
        'queries = model.encode_query(["your question"], normalize_embeddings=True)',
        'passages = model.encode_document(["your passage"], normalize_embeddings=True)',
    ]
    assert second == Paragraph("As it was judged, in LlamaIndex:")
    assert isinstance(in_llama_index, Listing)
    assert 'Embedding("storage/models/my \\"best\\"")' in in_llama_index.text
    assert isinstance(said, Paragraph)
    assert said.text.startswith("Plain encode, which LlamaIndex's HuggingFaceEmbedding calls,")
    assert "its MRR@10 is .375 [" in said.text
    assert "] instead of .750 [" in said.text
    html, markdown = as_html(report_of(run)), as_markdown(report_of(run))
    assert escape('model.encode_query(["your question"]') in html
    assert "```python\nfrom rag_app import Embedding\n" in markdown


def test_plain_encode_and_loading_are_left_out_where_there_is_nothing_to_say(
    tmp_path: Path,
) -> None:
    same = make_finetune(tmp_path / "same", [2, 1], [1, 1], plain_encode=None)
    blocks = section(report_of(same), "Loading the tuned model").blocks
    assert len(blocks) == 4
    reranker = make_finetune(tmp_path / "reranker", [2, 1], [1, 1], ms_per_question=40.0)
    assert "Loading the tuned model" not in titles(report_of(reranker))


def test_an_evaluation_of_one_run_compares_nothing(tmp_path: Path) -> None:
    report = report_of(make_evaluate(tmp_path / "run", {"exact": [1, 7]}))
    assert (report.verdict, report.title) == ("", "Evaluation")
    assert report.sentence.startswith("index, exact, on 2 questions: hit@1 .500 [")
    assert "Rank before and after" not in titles(report)
    listed = questions(report)
    assert listed.is_alone
    assert [(row.after, row.state) for row in listed.rows] == [
        (7, "still missed"),
        (1, "found in both"),
    ]


def test_an_evaluation_of_several_runs(tmp_path: Path) -> None:
    runs = {"exact": [1, 7], "keyword": [1, 1], "hybrid": [2, 1]}
    report = report_of(make_evaluate(tmp_path / "run", runs))
    assert report.title == "hybrid against exact"
    assert report.verdict == "hold"
    every = tables(section(report, "The first run against the last"))[-1]
    assert [row[0] for row in every.rows] == ["index, exact", "index, keyword", "index, hybrid"]


def test_a_sweep_has_a_curve_for_each_retriever(tmp_path: Path) -> None:
    settings = {
        (128, "vector"): [6, 6, 1, 1],
        (256, "vector"): [1, 1, 1, 6],
        (128, "hybrid:0.3"): [1, 6, 6, 6],
        (256, "hybrid:0.7"): [1, 1, 1, 1],
    }
    report = report_of(make_sweep(tmp_path / "run", settings))
    assert report.verdict == "promote"
    [figure] = [b for b in section(report, "By chunk size").blocks if isinstance(b, Figure)]
    assert figure.table is not None
    assert figure.table.heads == ["retriever", "tokens", "hit@1024 tokens"]
    # hit@5, of four questions.
    assert [(name, size, cell[:4]) for name, size, cell in figure.table.rows] == [
        ("hybrid", "128", ".250"),
        ("hybrid", "256", "1.00"),
        ("vector", "128", ".500"),
        ("vector", "256", ".750"),
    ]
    assert titles(report) == [
        "The present setting against the best",
        "All settings",
        "Among the first k passages",
        "Rank before and after",
        "Questions",
        "By chunk size",
        "How the questions were used",
        "Cost",
        "Settings, and how to repeat it",
    ]
    alike = make_sweep(tmp_path / "alike", {(128, "vector"): [1, 2], (128, "keyword"): [1, 1]})
    assert "By chunk size" not in titles(report_of(alike))


def test_a_sweep_with_tuning_has_a_row_for_each_model(tmp_path: Path) -> None:
    run = make_sweep(tmp_path / "run", {(128, "vector"): [1, 2], (256, "vector"): [1, 1]})
    values = json.loads((run / "sweep.json").read_text("utf-8"))
    untuned, tuned = ({"mrr@10": {"mean": m, "low": 0, "high": 1}} for m in (1 / 2, 3 / 4))
    change = {"mean": 1 / 4, "low": 0, "high": 1 / 2, "p": 0.01, "smallest_detectable": 0.1}
    row = {"model": "maker/tiny", "untuned": untuned, "tuned": tuned, "change": change}
    values["bases"] = {"runs": [{**row, "embed_seconds_per_1000": 2}], "reasons": ["it is first"]}
    (run / "sweep.json").write_text(json.dumps(values), "utf-8")
    [models] = tables(section(report_of(run), "Models, untuned and tuned"))
    scores = (".500 [.000, 1.000]", ".750 [.000, 1.000]", "+.250 [+.000, +.500]")
    assert models.rows == [["tiny", *scores, "2.0", ""]]


def test_two_runs_are_compared_question_by_question(tmp_path: Path) -> None:
    first = make_finetune(tmp_path / "first", [2, 2], [1, 2, 4, 1][:2])
    second = make_evaluate(tmp_path / "second", {"exact": [4, 1]})
    found = compare_runs(read_run(first), read_run(second))
    # MRR@10: (1 + 1/2) / 2 = 3/4 against (1/4 + 1) / 2 = 5/8.
    assert found.differences["mrr@10"].mean == pytest.approx(5 / 8 - 3 / 4)


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for branch in ("main", "pr"):
        make_evaluate(tmp_path / branch / "eval", {"exact": [4, 1]})
    report = report_of_two(*(read_run(tmp_path / branch / "eval") for branch in ("main", "pr")))
    assert (report.title, report.run) == ("pr/eval against main/eval", "main/eval, pr/eval")


def node(name: str, text: str, **metadata: str) -> TextNode:
    made = TextNode(id_=name, text=text, metadata=metadata)
    made.relationships = {}
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo

    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=f"{name}.md")
    made.start_char_idx, made.end_char_idx = 0, len(text)
    return made


TERMS = "send the parcel back within thirty days of delivery in its box"
NODES = [
    node("r0", f"{TERMS} please", title="Returns", date="2024-05-01"),
    node("w1", f"{TERMS} thanks", title="Sending back"),
    node("r1", "the fee is five euro a month", title="Fees from 2024", date="2024-01-01"),
    node("w2", "the fee was four euro a month", title="Fees until 2023", date="2022-01-01"),
    node("w3", "lamps come in red and in blue", title="Lamps"),
]


def test_where_the_documents_are_at_fault(tmp_path: Path) -> None:
    # What stands first: nearly the right passage; an older version of it; another; the right one.
    asked = outcomes([2, 3, 4, 1])
    asked[1].retrieved[0] = "w2"
    asked[2].retrieved[0] = "w3"
    found = [(one.question_id, one.found, one.kind) for one in second_answers(asked, NODES)]
    assert found == [("q0", "w1", "near-duplicate"), ("q1", "w2", "version")]
    assert near_duplicates(NODES) == [["r0.md", "w1.md"]]

    run = make_finetune(tmp_path / "run", [1, 1, 1, 1], [2, 3, 4, 1])

    model = WordModel("tiny")
    index = AskedIndex("tiny-256", model, Chunking(), NODES)
    keep_evidence(run, [index], asked)
    assert set(read_passages(run)) == {"r0", "w1", "r1", "w2", "w3"}
    report = report_of(run)
    faults = tables(section(report, "Where the documents are at fault"))
    assert faults[0].rows == [
        ["question 0", "Returns (r0.md)", "Sending back (w1.md)", "near-duplicate"],
        [
            "question 1",
            "Fees from 2024 (r1.md)",
            "Fees until 2023 (w2.md)",
            "an older version (2022-01-01; labelled: 2024-01-01)",
        ],
    ]
    assert faults[1].rows == [["r0.md, w1.md", "2"]]
    rows = {row.question: row.also_right for row in questions(report).rows}
    assert rows["question 0"] == "near-duplicate"
    assert rows["question 2"] == ""
    [described] = read_run(run).collection.indexes
    assert (described["model"], described["fingerprint"]) == ("tiny", model.fingerprint)
    assert (described["documents"], described["chunks"]) == (5, 5)
