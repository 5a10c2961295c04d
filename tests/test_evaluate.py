"""Scores are checked against the definitions, statistics against what can be counted by hand."""

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from rag_app.errors import PairsError, StorageError
from rag_app.evaluate.changes import Change, Flips, changes, flips
from rag_app.evaluate.comparison import compare_outcomes, judged_together
from rag_app.evaluate.evaluator import BatchRetrieverEvaluator, MetricAtK
from rag_app.evaluate.figures import score
from rag_app.evaluate.invariants import check_invariants
from rag_app.evaluate.recorded import Recorded
from rag_app.evaluate.scoring import (
    METRICS,
    Outcome,
    collapse,
    read_outcomes,
    score_questions,
    write_outcomes,
)
from rag_app.evaluate.statistics import (
    Difference,
    Estimate,
    difference,
    differences,
    estimate,
    summarise,
)
from rag_app.evaluate.verdict import LEVEL, Verdict, decide, of_both
from rag_app.pairs import Question
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever, timed


class FixedRetriever(BaseRetriever):
    """Returns what it was told to, one question at a time."""

    def __init__(self, rankings: dict[str, list[str]]) -> None:
        self.rankings = rankings
        self.asked: list[str] = []
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle, **_: Any) -> list[NodeWithScore]:
        self.asked.append(query_bundle.query_str)
        return nodes(self.rankings[query_bundle.query_str])


class BatchRetriever(FixedRetriever):
    """The same for many questions at once."""

    def retrieve_many(self, queries: Sequence[str]) -> list[list[NodeWithScore]]:
        self.asked.append(" + ".join(queries))
        return [nodes(self.rankings[query]) for query in queries]


class ForgetfulRetriever(FixedRetriever):
    """Loses a question on the way."""

    def retrieve_many(self, queries: Sequence[str]) -> list[list[NodeWithScore]]:
        return [[] for _ in queries[1:]]


def nodes(ids: Sequence[str]) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(id_=chunk, text=f"text of {chunk}"), score=1 / place)
        for place, chunk in enumerate(ids, 1)
    ]


def ask(ranking: list[str], *gold: set[str], depth: int = 10) -> Outcome:
    """The outcome of one question with this ranking and these answers."""
    question = Question("q", "?", tuple(frozenset(chunks) for chunks in gold), "doc")
    [outcome] = score_questions(FixedRetriever({"?": ranking}), [question], depth=depth)
    check_invariants([outcome])
    return outcome


def at_rank(number: int, rank: int | None, *, cluster: str | None = None) -> Outcome:
    """An outcome whose one right chunk stands at this rank of ten."""
    retrieved = [f"wrong{place}" for place in range(1, 11)]
    if rank:
        retrieved[rank - 1] = "right"
    reciprocal = 1 / rank if rank else 0.0
    values = {f"hit_rate@{k}": float(rank is not None and rank <= k) for k in range(1, 11)}
    values["mrr@10"] = reciprocal
    values["ndcg@10"] = 1 / math.log2(rank + 1) if rank else 0.0
    return Outcome(
        question_id=f"q{number:03}",
        question=f"question {number}?",
        cluster=cluster or f"doc{number}",
        gold=[["right"]],
        retrieved=retrieved,
        scores=[0.5] * 10,
        rank=rank,
        values=values,
    )


def run(ranks: Sequence[int | None], clusters: Sequence[str] | None = None) -> list[Outcome]:
    names = clusters or [f"doc{number}" for number in range(len(ranks))]
    return [
        at_rank(number, rank, cluster=name)
        for number, (rank, name) in enumerate(zip(ranks, names, strict=True))
    ]


# Scores of one ranking


def test_scores_of_a_hit_at_rank_three() -> None:
    outcome = ask(["a", "b", "right", "c"], {"right"})
    assert outcome.rank == 3
    assert [outcome.values[f"hit_rate@{k}"] for k in range(1, 11)] == [0, 0, *[1] * 8]
    assert outcome.values["mrr@10"] == pytest.approx(1 / 3, abs=1e-12)
    assert outcome.values["ndcg@10"] == pytest.approx(1 / 2, abs=1e-12)  # 1 / log2(4)
    assert tuple(outcome.values) == METRICS


class TwoViews(TracedRetriever):
    """Ranks by two views and goes by the second."""

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        with timed(traces, "vector") as rankings:
            rankings += [nodes(["x", "a", "b"]) for _ in traces]
        with timed(traces, "keyword") as rankings:
            rankings += [nodes(["y", "x", "a"]) for _ in traces]
        return rankings


def test_an_outcome_has_both_passages_ranks_in_each_step(tmp_path: Path) -> None:
    asked = [Question("q", "?", (frozenset({"a", "b"}),), "doc")]
    found = score_questions(TwoViews(), asked)
    # The right passage "a", and "y", which is first in the end.
    assert found[0].steps == {"vector": (2, None), "keyword": (3, 1)}
    first, second, third = 1.0, 1 / 2, 0.3333
    # Of the right passage, then of "y", "x" and "a".
    assert found[0].step_scores == {
        "vector": [second, None, first, second],
        "keyword": [third, first, second, third],
    }
    write_outcomes(tmp_path / "run.jsonl", found)
    assert read_outcomes(tmp_path / "run.jsonl") == found
    # One step says no more than the rank does.
    alone = ask(["a"], {"a"})
    assert (alone.steps, alone.step_scores) == ({}, {})
    # Runs before scores were kept have ranks alone.
    before = {key: value for key, value in found[0].to_dict().items() if key != "step_scores"}
    assert Outcome.from_dict(before) == dataclasses.replace(found[0], step_scores={})


def test_a_retriever_that_keeps_its_traces_is_not_asked_to_keep_them_twice() -> None:
    asked = [Question("q", "?", (frozenset({"a", "b"}),), "doc")]
    recorded = Recorded(TwoViews())
    first = score_questions(recorded, asked)
    assert len(recorded.traces) == 1
    # The traces are those of these questions, not of what it was asked before.
    assert score_questions(recorded, asked) == first == score_questions(TwoViews(), asked)
    assert score_questions(recorded, []) == []


def test_ndcg_of_two_answers_by_hand() -> None:
    outcome = ask(["x", "a", "y", "b"], {"a"}, {"b"})
    ideal = 1 + 1 / math.log2(3)
    assert outcome.values["ndcg@10"] == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / ideal, abs=1e-12
    )
    assert outcome.values["mrr@10"] == 1 / 2


def test_perfect_ranking_has_ndcg_one_even_with_more_answers_than_places() -> None:
    ranking = [f"c{number}" for number in range(12)]
    assert ask(ranking[:2], {"c0"}, {"c1"}).values["ndcg@10"] == 1
    many = ask(ranking, *({chunk} for chunk in ranking))
    assert many.values["ndcg@10"] == pytest.approx(1, abs=1e-12)


def test_nothing_retrieved_scores_zero() -> None:
    outcome = ask([], {"right"})
    assert outcome.rank is None
    assert set(outcome.values.values()) == {0.0}
    assert (outcome.retrieved, outcome.scores) == ([], [])


def test_an_answer_that_no_chunk_holds_counts_and_is_never_found() -> None:
    assert set(ask(["a", "b"], set()).values.values()) == {0.0}
    half = ask(["a", "b"], {"a"}, set()).values["ndcg@10"]
    assert half == pytest.approx(1 / (1 + 1 / math.log2(3)), abs=1e-12)


def test_question_without_any_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="question q7 has no right answer"):
        score_questions(FixedRetriever({"?": []}), [Question("q7", "?", (), "doc")])


def test_overlapping_chunks_of_one_answer_count_once() -> None:
    one = ask(["a1", "x"], {"a1", "a2"}).values
    both = ask(["a1", "a2", "x"], {"a1", "a2"}).values
    assert one == both
    assert both["ndcg@10"] == 1
    # The second chunk of the first answer does not push the second answer down.
    assert ask(["a1", "a2", "b"], {"a1", "a2"}, {"b"}).values["ndcg@10"] == 1


def test_a_chunk_with_two_answers_finds_both() -> None:
    assert ask(["ab"], {"ab", "a"}, {"ab", "b"}).values["ndcg@10"] == 1
    assert collapse([["x"], ["ab"], ["a"], ["y"], ["c"]], [{"ab", "a"}, {"ab"}, {"c"}]) == [
        "x",
        "answer 0",
        "answer 1",
        "y",
        "answer 2",
    ]


def test_a_chunk_that_is_retrieved_twice_takes_one_place() -> None:
    question = Question("q", "?", (frozenset({"right"}),), "doc")
    for retriever in (FixedRetriever, BatchRetriever):
        [outcome] = score_questions(retriever({"?": ["x", "x", "right"]}), [question])
        assert (outcome.retrieved, outcome.rank) == (["x", "right"], 2)


def test_rank_beyond_ten_is_known_but_scores_nothing() -> None:
    ranking = [*(f"x{number}" for number in range(11)), "right"]
    deep = ask(ranking, {"right"}, depth=12)
    assert deep.rank == 12
    assert set(deep.values.values()) == {0.0}
    assert ask(ranking, {"right"}).rank is None
    assert len(ask(ranking, {"right"}).retrieved) == 10


def test_too_shallow_a_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is 5"):
        score_questions(FixedRetriever({}), [], depth=5)


def by_definition(ranking: Sequence[str], gold: Sequence[set[str]]) -> dict[str, float]:
    """The metrics from their textbook definitions, sharing nothing with the package."""
    missing = list(range(len(gold)))
    gains: list[int] = []
    for chunk in ranking[:10]:
        if not any(chunk in answer for answer in gold):
            gains.append(0)
            continue
        new = [index for index in missing if chunk in gold[index]]
        missing = [index for index in missing if index not in new]
        gains.extend(1 for _ in new)
    gains = gains[:10]
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(10, len(gold)) + 1))
    values = {f"hit_rate@{k}": float(sum(gains[:k]) > 0) for k in range(1, 11)}
    values["mrr@10"] = max((gain / place for place, gain in enumerate(gains, 1)), default=0.0)
    dcg = sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))
    values["ndcg@10"] = dcg / ideal
    return values


def test_scores_agree_with_the_definitions_on_random_rankings() -> None:
    rng = np.random.default_rng(7)

    def some(least: int, most: int) -> list[str]:
        chosen = rng.permutation(25)[: rng.integers(least, most, endpoint=True)]
        return [f"c{number}" for number in chosen]

    questions, golds, rankings = [], [], dict[str, list[str]]()
    for number in range(300):
        text = f"question {number}"
        gold = [set(some(0, 4)) for _ in range(rng.integers(1, 13, endpoint=True))]
        rankings[text] = some(0, 20)
        questions.append(Question(str(number), text, tuple(map(frozenset, gold)), "doc"))
        golds.append(gold)
    outcomes = score_questions(BatchRetriever(rankings), questions)
    check_invariants(outcomes)
    for outcome, gold in zip(outcomes, golds, strict=True):
        expected = by_definition(rankings[outcome.question], gold)
        assert outcome.values == pytest.approx(expected, abs=1e-9)
    assert {outcome.rank for outcome in outcomes} > {None, 1, 2, 3}


# Asking the retriever


def test_batch_retriever_is_asked_once_and_others_once_per_question() -> None:
    questions = [
        Question("1", "one?", (frozenset({"a"}),), "d1"),
        Question("2", "two?", (frozenset({"b"}),), "d2"),
    ]
    rankings = {"one?": ["a", "b"], "two?": ["a", "b"]}
    batch, single = BatchRetriever(rankings), FixedRetriever(rankings)
    seen: list[tuple[str, int, int]] = []

    def watch(step: str, done: int, total: int, note: str = "") -> None:
        seen.append((step, done, total))

    outcomes = score_questions(single, questions, progress=watch)
    assert outcomes == score_questions(batch, questions)
    assert batch.asked == ["one? + two?"]
    assert single.asked == ["one?", "two?"]
    assert seen == [("retrieve", 0, 2), ("retrieve", 1, 2), ("retrieve", 2, 2)]
    assert [outcome.rank for outcome in outcomes] == [1, 2]
    assert outcomes[0].scores == [1, 1 / 2]


def test_a_batch_that_loses_a_question_is_noticed() -> None:
    questions = [Question("1", "one?", (frozenset({"a"}),), "d1")]
    with pytest.raises(RuntimeError, match="1 questions were asked, 0 answered"):
        score_questions(ForgetfulRetriever({}), questions)


def test_evaluator_serves_as_a_llamaindex_evaluator() -> None:
    evaluator = BatchRetrieverEvaluator.from_metric_names(
        ["hit_rate@1", "mrr@2"],
        retriever=FixedRetriever({"q": ["x", "a"], "nothing": []}),
    )
    result = evaluator.evaluate("q", ["a"])
    assert result.metric_vals_dict == {"hit_rate@1": 0.0, "mrr@2": 0.5}
    assert evaluator.evaluate("nothing", ["a"]).metric_vals_dict == {"hit_rate@1": 0, "mrr@2": 0}


def test_evaluator_applies_node_postprocessors() -> None:
    evaluator = BatchRetrieverEvaluator.from_metric_names(
        ["hit_rate@1"],
        retriever=BatchRetriever({"q": ["x", "a"]}),
        node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=0.6)],
    )
    assert [[hit.node.node_id for hit in found] for found in evaluator.retrieve_all(["q"])] == [
        ["x"]
    ]


def test_metric_without_expected_ids_is_a_bug() -> None:
    with pytest.raises(ValueError, match="must be provided"):
        MetricAtK.from_name("ndcg@10").compute("q", [], ["a"])


# Files


def test_outcomes_survive_a_file(tmp_path: Path) -> None:
    outcomes = [
        dataclasses.replace(at_rank(1, 3), question='배송은 "며칠" 걸리나요?\u2028'),
        at_rank(2, None),
    ]
    path = tmp_path / "new" / "outcomes.jsonl"
    write_outcomes(path, outcomes)
    assert read_outcomes(path) == outcomes
    assert "배송은" in path.read_text("utf-8")
    assert [entry.name for entry in path.parent.iterdir()] == ["outcomes.jsonl"]
    assert Outcome.from_dict(outcomes[0].to_dict()) == outcomes[0]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    write_outcomes(path, [at_rank(1, 1)])
    broken = dataclasses.replace(at_rank(2, 1), scores=[math.nan])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_outcomes(path, [at_rank(1, 1), broken])
    assert read_outcomes(path) == [at_rank(1, 1)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["outcomes.jsonl"]


def test_unusable_outcome_files_name_the_line_and_the_mend(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.jsonl"
    with pytest.raises(StorageError, match=r"cannot be read.*rag-app evaluate"):
        read_outcomes(path)
    fields = at_rank(1, 1).to_dict()
    del fields["rank"]
    path.write_text(f"\n{json.dumps(fields)}\n", "utf-8")
    with pytest.raises(StorageError, match=r"line 2 is not an outcome \(rank: Field required\)"):
        read_outcomes(path)
    with pytest.raises(StorageError, match="cannot be written"):
        write_outcomes(path / "below-a-file.jsonl", [])


# Invariants


@pytest.mark.parametrize(
    ("metric", "value", "claim"),
    [
        ("mrr@10", 0.2, "mrr@10 is 1 / rank"),
        ("mrr@10", 1.1, "mrr@10 <= hit_rate@10"),
        ("hit_rate@5", 0.0, "never falls"),
        ("hit_rate@1", 1.0, "hit_rate@1 <= mrr@10"),
        ("ndcg@10", 1.63, "ndcg@10 <= hit_rate@10"),
        ("ndcg@10", 0.339, "ndcg@10 of one answer"),
    ],
)
def test_impossible_values_are_refused(metric: str, value: float, claim: str) -> None:
    outcome = at_rank(1, 2)
    check_invariants([outcome])
    wrong = dataclasses.replace(outcome, values={**outcome.values, metric: value})
    with pytest.raises(RuntimeError, match=f"question q001: .*{claim}"):
        summarise([wrong], seed=1)


def test_a_missing_metric_is_refused() -> None:
    with pytest.raises(RuntimeError, match="metrics are"):
        check_invariants([dataclasses.replace(at_rank(1, 2), values={"mrr@10": 0.5})])


# Intervals


def test_means_are_means_over_questions() -> None:
    scores = summarise(run([1, 2, 4, None]), seed=3)
    assert tuple(scores) == METRICS
    assert scores["mrr@10"].mean == pytest.approx((1 + 1 / 2 + 1 / 4 + 0) / 4)
    assert scores["hit_rate@2"].mean == pytest.approx(2 / 4)
    assert scores["hit_rate@10"].mean == pytest.approx(3 / 4)


def test_interval_is_that_of_the_binomial_the_bootstrap_samples() -> None:
    # 20 independent questions, half found: the bootstrap mean is Binomial(20, 1/2) / 20, whose
    # 2.5 % and 97.5 % points are 6/20 and 14/20.
    alone = estimate(run([1] * 10 + [None] * 10), "hit_rate@1", seed=3)
    assert dataclasses.astuple(alone) == pytest.approx((10 / 20, 6 / 20, 14 / 20))


def test_questions_that_repeat_each_other_widen_the_interval() -> None:
    # The same 20 questions in 4 documents of 5: Binomial(4, 1/2) / 4 is 0 with P = 1/16 > 2.5 %.
    clusters = [f"doc{number // 5}" for number in range(20)]
    together = estimate(run([1] * 10 + [None] * 10, clusters), "hit_rate@1", seed=3)
    assert dataclasses.astuple(together) == pytest.approx((10 / 20, 0, 1))


def test_large_documents_weigh_as_many_questions_as_they_have() -> None:
    # Resamples of {3 of 3 found, 0 of 1 found}: 1, 3/4 and 0 with P = 1/4, 1/2, 1/4.
    outcomes = run([1, 1, 1, None], ["long", "long", "long", "short"])
    assert dataclasses.astuple(estimate(outcomes, "hit_rate@1", seed=3)) == (3 / 4, 0, 1)


def test_no_spread_gives_an_interval_of_no_width() -> None:
    assert estimate(run([1] * 8), "mrr@10", seed=1) == Estimate(1, 1, 1)
    third = estimate(run([3] * 7), "mrr@10", seed=1)
    assert dataclasses.astuple(third) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_one_document_says_nothing_about_others() -> None:
    base, tuned = run([None, None], ["doc", "doc"]), run([1, 1], ["doc", "doc"])
    assert estimate(tuned, "mrr@10", seed=1) == Estimate(1, 0, 1)
    assert difference(base, tuned, "mrr@10", seed=1) == Difference(1, -1, 1, 1, 1)
    assert estimate(run([2]), "mrr@10", seed=1) == Estimate(1 / 2, 0, 1)


def test_no_questions_are_an_error_that_names_the_mend() -> None:
    with pytest.raises(PairsError, match="rag-app questions"):
        summarise([], seed=1)
    with pytest.raises(PairsError, match="rag-app questions"):
        differences([], [], seed=1)


# Differences


def test_p_is_the_exact_enumeration_where_there_are_few_documents() -> None:
    before, after = [3, 1, None, 2, 10, 4, 1], [1, 2, 5, 1, 1, 4, 1]
    changed = [1 - 1 / 3, 1 / 2 - 1, 1 / 5, 1 - 1 / 2, 1 - 1 / 10]
    observed = abs(sum(changed))
    totals = [
        abs(sum(sign * value for sign, value in zip(signs, changed, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(changed))
    ]
    expected = sum(total >= observed - 1e-12 for total in totals) / 2**5
    found = difference(run(before), run(after), "mrr@10", seed=1)
    assert found.p == pytest.approx(expected, abs=1e-12)
    assert found.mean == pytest.approx(sum(changed) / 7)


def test_p_of_six_documents_that_all_gain() -> None:
    # Only "all as they are" and "all turned round" are as extreme: 2 of 2 ** 6.
    found = difference(run([None] * 6), run([1] * 6), "hit_rate@1", seed=1)
    assert found == Difference(mean=1, low=1, high=1, p=2 / 64, smallest_detectable=0)


def test_p_counts_documents_not_questions() -> None:
    clusters = [f"doc{number // 20}" for number in range(60)]
    found = difference(run([None] * 60, clusters), run([1] * 60, clusters), "mrr@10", seed=1)
    assert found.p == 2 / 2**3


def test_p_of_many_documents_is_near_the_sign_test() -> None:
    # 18 gains and 6 losses of the same size: P(X <= 6 or X >= 18), X ~ Binomial(24, 1/2).
    exact = 2 * sum(math.comb(24, k) for k in range(7)) / 2**24
    found = difference(run([None] * 18 + [1] * 6), run([1] * 18 + [None] * 6), "hit_rate@1", seed=1)
    assert found.p == pytest.approx(exact, abs=0.004)


def test_interval_and_smallest_difference_are_those_of_the_paired_difference() -> None:
    # 40 of 100 documents gain 1: the bootstrap mean is Binomial(100, 2/5) / 100, whose standard
    # error is sqrt(.4 * .6 / 100) and whose 2.5 % and 97.5 % points are .31 and .50 (within .01).
    found = difference(run([None] * 100), run([1] * 40 + [None] * 60), "hit_rate@1", seed=1)
    assert found.mean == pytest.approx(40 / 100)
    assert (found.low, found.high) == pytest.approx((0.31, 0.50), abs=0.011)
    assert found.smallest_detectable == pytest.approx(2.8 * math.sqrt(0.24 / 100), rel=0.03)


def test_nothing_changed_is_no_difference() -> None:
    outcomes = run([1, 2, None, 4])
    assert set(differences(outcomes, outcomes, seed=1).values()) == {Difference(0, 0, 0, 1, 0)}


def test_turning_the_comparison_round_turns_the_sign() -> None:
    base, tuned = run([3, 1, None, 2, 10, 4]), run([1, 2, 5, 1, 1, 4])
    there = difference(base, tuned, "mrr@10", seed=1)
    back = difference(tuned, base, "mrr@10", seed=1)
    assert back.mean == pytest.approx(-there.mean)
    assert back.p == there.p


def test_pairs_go_by_id_not_by_order() -> None:
    base, tuned = run([1, 2, 3, 4]), run([2, 1, 3, None])
    assert differences(base, tuned[::-1], seed=1) == differences(base, tuned, seed=1)


def test_different_questions_are_not_compared() -> None:
    with pytest.raises(ValueError, match="3 outcomes and 2, 2 question ids in common"):
        difference(run([1, 2, 3]), run([1, 2]), "mrr@10", seed=1)
    twice = [at_rank(1, 1), at_rank(1, 2)]
    with pytest.raises(ValueError, match="the same questions"):
        changes(twice, twice)


def test_same_seed_same_numbers() -> None:
    rng = np.random.default_rng(5)
    clusters = [f"doc{number // 3}" for number in range(90)]
    base = run(rng.integers(1, 11, 90).tolist(), clusters)
    tuned = run(rng.integers(1, 11, 90).tolist(), clusters)
    scores = summarise(base, seed=1)
    assert scores == summarise(base, seed=1)
    assert scores != summarise(base, seed=2)
    found = differences(base, tuned, seed=1)
    assert found == differences(base, tuned, seed=1)
    for metric in METRICS:
        assert dataclasses.astuple(difference(base, tuned, metric, seed=1)) == pytest.approx(
            dataclasses.astuple(found[metric]), abs=1e-9
        )
        assert dataclasses.astuple(estimate(base, metric, seed=1)) == pytest.approx(
            dataclasses.astuple(scores[metric]), abs=1e-9
        )


def test_results_are_plain_numbers_that_json_takes() -> None:
    base, tuned = run([1, 2, None, 1]), run([2, 1, 1, 1])
    results: list[Estimate | Difference] = [
        *summarise(base, seed=1).values(),
        *differences(base, tuned, seed=1).values(),
    ]
    for result in results:
        assert {type(value) for value in dataclasses.astuple(result)} == {float}
        json.dumps(dataclasses.asdict(result), allow_nan=False)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # 60 documents with 1 to 4 questions that succeed or fail together half the time.
    rng = np.random.default_rng(11)
    held = []
    for _ in range(100):
        ranks: list[int | None] = []
        clusters: list[str] = []
        for document in range(60):
            chance = rng.beta(1, 1)
            for _ in range(int(rng.integers(1, 5))):
                ranks.append(1 if rng.random() < chance else None)
                clusters.append(f"doc{document}")
        found = estimate(run(ranks, clusters), "hit_rate@1", seed=1)
        held.append(found.low <= 0.5 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.99


# Verdict


def verdict_of(base: Sequence[int | None], tuned: Sequence[int | None]) -> str:
    before, after = run(base), run(tuned)
    return str(
        decide(
            differences(before, after, seed=1),
            summarise(before, seed=1),
            summarise(after, seed=1),
            len(before),
        )
    )


def decided(low: float, high: float, p: float) -> str:
    return decide(
        {"mrr@10": Difference((low + high) / 2, low, high, p, 0.03)},
        {"mrr@10": Estimate(0.5, 0.4, 0.6)},
        {"mrr@10": Estimate(0.5 + (low + high) / 2, 0.4, 0.6)},
        50,
    ).decision


@pytest.mark.parametrize(
    ("low", "high", "p", "decision"),
    [
        (0.01, 0.09, 0.0002, "promote"),
        (0.01, 0.09, 0.05, "hold"),
        (0.0, 0.09, 0.01, "hold"),
        (-0.02, 0.09, 0.2, "hold"),
        (-0.09, 0.0, 0.01, "hold"),
        (-0.09, -0.01, 0.05, "hold"),
        (-0.09, -0.01, 0.0002, "reject"),
        (0.0, 0.0, 1.0, "hold"),
    ],
)
def test_verdict_needs_the_interval_and_the_test(
    low: float, high: float, p: float, decision: str
) -> None:
    assert decided(low, high, p) == decision


def test_verdicts_say_why_in_numbers() -> None:
    verdict = decide(
        {"mrr@10": Difference(0.076, 0.0501, 0.1, 0.0002, 0.03)},
        {"mrr@10": Estimate(0.561, 0.5, 0.6)},
        {"mrr@10": Estimate(0.637, 0.6, 0.7)},
        406,
    )
    assert str(verdict) == (
        "promote: mrr@10 rose from .561 to .637 (+.076 [+.050, +.100], p = .0002) on 406 questions"
    )


def test_several_comparisons_are_judged_together() -> None:
    base = run([None] * 20)
    six, all_of_them, none = run([1] * 6 + [None] * 14), run([1] * 20), run([None] * 20)
    [alone] = judged_together([compare_outcomes(base, six, seed=1)])
    assert alone.verdict == compare_outcomes(base, six, seed=1).verdict
    assert (alone.verdict.decision, alone.p_holm) == ("promote", alone.differences["mrr@10"].p)
    assert 0.02 < alone.differences["mrr@10"].p < 0.05
    others = [compare_outcomes(base, one, seed=1) for one in (six, all_of_them, none)]
    held, risen, same = judged_together(others)
    # Of three the second smallest p counts twice.
    assert held.p_holm is not None
    assert held.p_holm == pytest.approx(2 * held.differences["mrr@10"].p)
    assert held.verdict.decision == "hold"
    assert f"p = {score(held.p_holm, digits=4)}, Holm-adjusted for 3 comparisons" in str(
        held.verdict
    )
    assert (risen.verdict.decision, same.verdict.decision) == ("promote", "hold")
    assert judged_together([]) == []


def test_verdict_of_a_clear_rise_and_of_its_reverse() -> None:
    assert verdict_of([None] * 20, [1] * 20) == (
        "promote: mrr@10 rose from .000 to 1.000 (+1.000 [+1.000, +1.000], p = .0002) "
        "on 20 questions"
    )
    assert verdict_of([1] * 20, [None] * 20).startswith(
        "reject: mrr@10 fell from 1.000 to .000 (-1.000 [-1.000, -1.000]"
    )


def test_a_hold_says_how_many_more_questions_would_tell() -> None:
    def reason(mean: float, smallest: float) -> str:
        return decide(
            {"mrr@10": Difference(mean, mean - 0.1, mean + 0.1, 0.5, smallest)},
            {"mrr@10": Estimate(0.5, 0.4, 0.6)},
            {"mrr@10": Estimate(0.5 + mean, 0.4, 0.6)},
            100,
        ).reason

    # 100 * ((.06 / .03) ** 2 - 1) = 300; of 316 two digits are said.
    assert reason(0.03, 0.06).endswith(
        "about 300 more about other documents would tell, if the gain is as large as it looks"
    )
    assert "; about 320 more about other documents would tell" in reason(0.03, 0.0612)
    assert reason(0.001, 0.06).endswith("would take more than 10,000 more")
    assert reason(-0.01, 0.06).endswith("that so many questions can show is .060")


def test_questions_about_few_documents_cannot_show_anything() -> None:
    def reason(clusters: int, level: float = LEVEL) -> str:
        change = {"mrr@10": Difference(0.2, 0.1, 0.3, 2 / 2**clusters, 0.05)}
        score = {"mrr@10": Estimate(0.5, 0.4, 0.6)}
        return str(decide(change, score, score, 50, level=level, clusters=clusters))

    # Of five documents all of which rose the same, 2 of 32 sign patterns are as far from 0.
    assert reason(5).endswith(
        "questions about 5 documents or groups of near-duplicates cannot show any difference: "
        "label questions to 6 or more"
    )
    assert reason(6).startswith("promote: ")
    held = reason(6, LEVEL / 2)
    assert held.startswith("hold: ")
    assert held.endswith("label questions to 7 or more")
    assert "would tell" not in held
    assert reason(7, LEVEL / 2).startswith("promote: ")


def test_two_promises_are_decided_together() -> None:
    rose, held, fell = (Verdict(name, name) for name in ("promote", "hold", "reject"))
    assert of_both(rose, held) == Verdict("promote", "promote; hold")
    # What decides comes first, whichever kind of questions it is about.
    assert of_both(held, rose) == Verdict("promote", "promote; hold")
    assert of_both(held, fell) == Verdict("reject", "reject; hold")
    assert of_both(rose, rose).decision == "promote"
    assert of_both(held, held).decision == "hold"
    assert of_both(rose, fell).decision == "hold"
    assert of_both(fell, held).decision == "reject"
    # Either may promote, so that each takes half the level.
    change = {"mrr@10": Difference(0.05, 0.01, 0.09, 0.03, 0.05)}
    score = {"mrr@10": Estimate(0.5, 0.4, 0.6)}
    assert decide(change, score, score, 50).decision == "promote"
    held = decide(change, score, score, 50, level=LEVEL / 2)
    assert held.decision == "hold"
    # Its interval excludes 0, so "could be chance" would be puzzling.
    assert "could be chance" not in held.reason
    assert "not certain enough: as either kind of questions may promote" in held.reason
    assert "each needs p below .025" in held.reason
    # (2.241 + .84) / (1.96 + .84) * .05 = .055; 50 * ((.055 / .05) ** 2 - 1) = 10.5.
    assert "so many questions can show is .055; about 11 more about other " in held.reason
    no_gain = {"mrr@10": Difference(0.0, -0.04, 0.04, 0.9, 0.05)}
    assert "could be chance" in decide(no_gain, score, score, 50, level=LEVEL / 2).reason


def test_folds_that_differ_by_their_models_widen_the_interval() -> None:
    base = run([None] * 40)
    # In the first fold all questions are found first, in the second none.
    tuned = run([1] * 20 + [None] * 20)
    folds = {outcome.question_id: place // 20 for place, outcome in enumerate(base)}
    alone = differences(base, tuned, seed=1)["mrr@10"]
    together = differences(base, tuned, seed=1, folds=folds)["mrr@10"]
    assert together.mean == alone.mean == 0.5
    # Fold means 1 and 0, of no spread inside: their variance is 1 / 2, the mean's half of it. The
    # questions alone make it 1 / 4 / 40.
    wider = (1 + (1 / 4) / (1 / 160)) ** 0.5
    assert together.smallest_detectable == 1.0
    assert together.low == pytest.approx(max(-1, 0.5 - wider * (0.5 - alone.low)), abs=0.02)
    assert together.p > 0.3 > alone.p


def test_folds_whose_models_are_alike_leave_the_interval() -> None:
    base, tuned = run([None] * 40), run([1, None] * 20)
    folds = {outcome.question_id: place // 20 for place, outcome in enumerate(base)}
    assert differences(base, tuned, seed=1, folds=folds) == differences(base, tuned, seed=1)


def test_verdict_of_little_evidence_says_how_much_would_show() -> None:
    told = verdict_of([1, 2, 2, 1], [1, 1, 2, 2])
    assert told.startswith("hold: mrr@10 went from .750 to .750 (+.000 [")
    assert "p = 1.0000) on 4 questions, which could be chance; the smallest difference" in told


def test_verdict_of_no_change_at_all() -> None:
    assert verdict_of([1, 2], [1, 2]) == "hold: mrr@10 is .750 before and after on 2 questions"


# What changed


def test_changes_list_the_largest_loss_first_with_what_took_its_place() -> None:
    base, tuned = run([1, 2, 5, 1, None, 3]), run([1, None, 1, 4, 2, 4])
    found = changes(base, tuned)
    assert found == [
        Change("q003", "question 3?", 1, 4, "wrong1"),
        Change("q001", "question 1?", 2, None, "wrong2"),
        Change("q005", "question 5?", 3, 4, "wrong3"),
        Change("q004", "question 4?", None, 2, "wrong2"),
        Change("q002", "question 2?", 5, 1, "wrong1"),
    ]
    assert [change.gain for change in found] == pytest.approx(
        [1 / 4 - 1, -1 / 2, 1 / 4 - 1 / 3, 1 / 2, 1 - 1 / 5]
    )


def test_nothing_takes_the_place_in_a_list_that_is_too_short() -> None:
    lost = dataclasses.replace(at_rank(1, None), retrieved=[], scores=[])
    assert changes([at_rank(1, 1)], [lost])[0].instead is None


def test_fixed_and_broken_questions_are_counted_by_depth() -> None:
    base, tuned = run([1, 2, 6, None, 1]), run([2, 1, 5, 1, 1])
    assert flips(base, tuned) == [Flips(1, fixed=2, broken=1), Flips(5, fixed=2, broken=0)]
