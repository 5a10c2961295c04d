"""Weights that are learned, kept, and used; and when nothing is learned."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from test_other_processes import INFO, elsewhere, found, pipeline, write

from rag_app.errors import ConfigError
from rag_app.evaluate import learning
from rag_app.evaluate.learning import FEWEST_QUESTIONS, learn_fusion
from rag_app.index import Catalog, VectorIndex
from rag_app.pairs import Question
from rag_app.retrieve import RetrievalOptions, Trace
from rag_app.retrieve.learned import LearnedFusion, kept_fusion
from rag_app.retrieve.trace import Ranking

LEARNED = LearnedFusion({"vector": 0.5, "keyword": 0.25, "sentence": -0.25}, "a file", 50)


def ranking(names: str) -> Ranking:
    """Passages of one letter each, scored by place: the last has 1."""
    return [
        NodeWithScore(node=TextNode(id_=name), score=float(len(names) - place))
        for place, name in enumerate(names)
    ]


def asked(count: int, *, clusters: int | None = None) -> list[Question]:
    """Questions that passage "r" answers."""
    return [
        Question(f"q{n}", f"question {n}?", (frozenset("r"),), f"d{n % (clusters or count)}")
        for n in range(count)
    ]


def learn(
    count: int, sentence: Sequence[str], *, clusters: int | None = None, words: str = "bcr"
) -> LearnedFusion:
    """Learn where neither search puts the answer first, and sentences rank as given, in turn."""
    views = {
        "vector": [ranking("abr") for _ in range(count)],
        "keyword": [ranking(words) for _ in range(count)],
        "sentence": [ranking(sentence[n % len(sentence)]) for n in range(count)],
    }
    return learn_fusion(
        views, asked(count, clusters=clusters), depth=3, learned_on="a file", seed=13
    )


def test_a_view_that_is_right_gets_the_weight() -> None:
    learned = learn(FEWEST_QUESTIONS, ["rabc"])
    assert learned.is_learned
    assert learned.weights["sentence"] > learned.weights.get("vector", 0.0)
    assert sum(map(abs, learned.weights.values())) == pytest.approx(1, abs=1e-3)
    assert (learned.learned_on, learned.questions) == ("a file", FEWEST_QUESTIONS)
    assert learned.question_ids == tuple(sorted(f"q{n}" for n in range(FEWEST_QUESTIONS)))
    # Found by the others at rank 2 at best: a has 3, b 2 + 3, r 1 + 1, c 2.
    assert learned.reason.startswith("mrr@10 +.")
    assert "over hybrid:" in learned.reason


def test_a_view_that_says_nothing_gets_little_weight() -> None:
    # Words alone put r first; what sentences say has nothing to do with it.
    learned = learn(60, ["rabc", "abcr", "crba"], words="rbc")
    assert learned.weights["keyword"] > 10 * learned.weights.get("sentence", 0.0)
    # It puts a wrong passage first, always.
    assert "vector" not in learned.weights
    assert learned.reason.startswith("mrr@10 ")


@pytest.mark.parametrize(
    ("count", "clusters", "why"),
    [
        (10, None, "10 questions are fewer than 40"),
        (50, 4, "all 50 questions are about 4 documents, of 5 needed"),
    ],
)
def test_too_little_to_learn_from(count: int, clusters: int | None, why: str) -> None:
    learned = learn(count, ["rabc"], clusters=clusters)
    assert learned.reason == f"{why}: nothing was learned, and hybrid:equal is used"
    assert learned.weights == {"vector": 0.3333, "keyword": 0.3333, "sentence": 0.3333}
    assert not learned.is_learned


def one_of_three_is_wrong(count: int) -> dict[str, list[Ranking]]:
    """Of each question two of three views have r at the top, other ones in turn."""
    first, last = ranking("rabc"), ranking("cbar")
    return {
        view: [last if n % 3 == place else first for n in range(count)]
        for place, view in enumerate(("vector", "keyword", "sentence"))
    }


def test_learned_weights_are_taken_where_no_difference_can_be_shown() -> None:
    learned = learn_fusion(
        one_of_three_is_wrong(60), asked(60), depth=4, learned_on="a file", seed=13
    )
    assert learned.is_learned
    assert learned.reason.startswith("mrr@10 +.000 [+.000, +.000] over hybrid:equal, each ")


def test_fixed_weights_are_used_where_learned_ones_are_certainly_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning, "regression", lambda _: np.array([0.0, 0.0, -1.0]))
    views, some = one_of_three_is_wrong(60), asked(60)
    learned = learn_fusion(views, some, depth=4, learned_on="a file", seed=13)
    assert not learned.is_learned
    assert learned.weights == {"vector": 0.3333, "keyword": 0.3333, "sentence": 0.3333}
    assert learned.reason.startswith("certainly worse than hybrid:equal, which is used: mrr@10 -")


def test_questions_that_no_candidate_answers_teach_nothing() -> None:
    questions = [Question(f"q{n}", "?", (frozenset("x"),), f"d{n}") for n in range(50)]
    views = {view: [ranking("ab") for _ in questions] for view in ("vector", "keyword", "sentence")}
    learned = learn_fusion(views, questions, depth=2, learned_on="", seed=13)
    assert learned.reason == (
        "no question has a right and a wrong passage among its candidates: nothing was learned, "
        "and hybrid:equal is used"
    )
    assert not learned.is_learned


# Kept with an index


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    made = Catalog(tmp_path).make("words", INFO)
    write(made, {"d0": "red apple pie", "d1": "green apple tart. red moon.", "d2": "blue whale"})
    return made


def test_json_there_and_back() -> None:
    assert LearnedFusion.from_json(LEARNED.to_json()) == LEARNED
    assert hash(LearnedFusion.from_json(LEARNED.to_json())) == hash(LEARNED)
    with_ids = replace(LEARNED, question_ids=("a1", "b2"))
    assert LearnedFusion.from_json(with_ids.to_json()) == with_ids


def test_weights_of_a_version_that_took_only_certain_ones_are_taken() -> None:
    text = '{"weights": {"vector": 1.0}, "learned_on": "a file", "questions": 50, "certain": true}'
    assert LearnedFusion.from_json(text).is_learned


def test_weights_of_a_version_that_kept_no_questions_are_taken() -> None:
    text = '{"weights": {"vector": 1.0}, "learned_on": "a file", "questions": 50}'
    assert LearnedFusion.from_json(text) == LearnedFusion({"vector": 1.0}, "a file", 50)
    assert LearnedFusion.from_json(text).question_ids is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"weights": {}, "learned_on": "", "questions": 1}',
        '{"weights": {"magic": 1.0}, "learned_on": "", "questions": 1}',
    ],
)
def test_weights_of_another_version_are_none(index: VectorIndex, text: str) -> None:
    index.keep_fusion(text)
    assert kept_fusion(index) is None


KEPT_SPECS = {
    None: ("index", "vector+questions"),
    "keyword": ("index", "keyword"),
    "hybrid:equal+questions": ("index+latest", "hybrid:equal+questions+latest"),
    "hybrid:0.7+window:2": ("index+parent:4+hyde", "hybrid:0.7+hyde+parent:4"),
    "magic:1": ("index", "vector+questions"),
}


@pytest.mark.parametrize("kept", KEPT_SPECS)
def test_index_stands_for_what_the_index_keeps(index: VectorIndex, kept: str | None) -> None:
    spec, found = KEPT_SPECS[kept]
    index.keep_retriever("vector")
    index.keep_retriever(kept)
    asked = RetrievalOptions.parse(spec, fetch_k=7, where="a = 1")
    assert asked.of(index) == RetrievalOptions.parse(found, fetch_k=7, where="a = 1")
    plain = RetrievalOptions.parse("exact")
    assert plain.of(index) is plain


def test_an_index_is_asked_with_what_it_keeps(index: VectorIndex, tmp_path: Path) -> None:
    index.keep_fusion(LearnedFusion({"keyword": 1.0}, "", 50).to_json())
    retriever = pipeline(index, tmp_path, retriever="index")
    [by_vectors] = retriever.rank([Trace("red moon")])
    # Another process keeps it: the open retriever follows.
    Catalog(tmp_path).open("words").keep_retriever("hybrid:learned")
    trace = Trace("red moon")
    retriever.rank([trace])
    assert [step.name for step in trace.steps] == ["vector", "keyword", "hybrid"]
    assert by_vectors


LEARNED_OPTIONS = {"retriever": "hybrid", "fusion": "learned"}


def test_an_index_keeps_what_was_learned(index: VectorIndex, tmp_path: Path) -> None:
    assert kept_fusion(index) is None
    index.keep_fusion(LEARNED.to_json())
    assert kept_fusion(Catalog(tmp_path).open("words")) == LEARNED
    assert index.info == INFO


def test_where_nothing_was_learned_all_views_weigh_the_same(
    index: VectorIndex, tmp_path: Path
) -> None:
    learned = pipeline(index, tmp_path, **LEARNED_OPTIONS)
    equal = pipeline(index, tmp_path, retriever="hybrid", fusion="equal")
    for question in ("red moon", "apple", "whale pie"):
        assert found(learned, question) == found(equal, question)


def test_kept_weights_rank(index: VectorIndex, tmp_path: Path) -> None:
    index.keep_fusion(LearnedFusion({"sentence": 1.0}, "", 50).to_json())
    retriever = pipeline(index, tmp_path, **LEARNED_OPTIONS)
    trace = Trace("red moon")
    [hits] = retriever.rank([trace])
    # As a whole "red apple pie" is as near; no other has that sentence.
    assert hits[0].node.get_content() == "green apple tart. red moon."
    assert [step.name for step in trace.steps] == ["vector", "keyword", "sentence", "hybrid"]


def test_equal_weights_need_no_questions(index: VectorIndex, tmp_path: Path) -> None:
    retriever = pipeline(index, tmp_path, retriever="hybrid", fusion="equal")
    trace = Trace("red moon")
    [hits] = retriever.rank([trace])
    assert hits[0].node.get_content() == "green apple tart. red moon."
    assert [step.name for step in trace.steps] == ["vector", "keyword", "sentence", "hybrid"]


def test_weights_without_sentences_need_no_vectors_of_them(
    index: VectorIndex, tmp_path: Path
) -> None:
    index.keep_fusion(LearnedFusion({"vector": 0.7, "keyword": 0.3}, "", 50).to_json())
    learned = pipeline(index, tmp_path, **LEARNED_OPTIONS)
    fixed = pipeline(index, tmp_path, retriever="hybrid", hybrid_weight=0.7)
    for question in ("red moon", "apple", "whale pie"):
        assert found(learned, question) == found(fixed, question)
    assert not (index.folder / "sentences").exists()


def test_an_open_retriever_takes_what_another_process_learned(
    index: VectorIndex, tmp_path: Path
) -> None:
    index.keep_fusion(LearnedFusion({"keyword": 1.0}, "", 50).to_json())
    retriever = pipeline(index, tmp_path, **LEARNED_OPTIONS)
    assert found(retriever, "apple pie")[0] == "red apple pie"
    elsewhere(
        """
from rag_app.retrieve.learned import LearnedFusion
index.keep_fusion(LearnedFusion({"keyword": -1.0}, "", 50).to_json())
""",
        tmp_path,
    )
    assert found(retriever, "apple pie")[-1] == "red apple pie"


def test_the_written_form() -> None:
    options = RetrievalOptions().with_spec("hybrid:learned+latest")
    assert options == RetrievalOptions("hybrid", fusion="learned", recency="latest")
    assert options.spec == "hybrid:learned+latest"
    assert options.to_be_learned
    equal = RetrievalOptions().with_spec("hybrid:equal")
    assert (equal.spec, equal.fusion, equal.to_be_learned) == ("hybrid:equal", "equal", False)
    with pytest.raises(ConfigError, match="ranks takes a number from 0 to 1"):
        RetrievalOptions().with_spec("ranks:learned")
