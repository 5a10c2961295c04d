"""What a sweep tries, builds, asks and chooses, each against what can be worked out by hand."""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from fakes import WordModel
from llama_index.core.schema import NodeWithScore, TextNode
from test_documents_pages import pdf
from tiny import make_tiny_model

from rag_app.chunks import Chunking
from rag_app.errors import ConfigError, DocumentError
from rag_app.evaluate import resampling
from rag_app.evaluate.figures import score
from rag_app.evaluate.learning import learn_weights
from rag_app.evaluate.scoring import Outcome
from rag_app.evaluate.statistics import holm
from rag_app.index import Catalog, Passages, VectorIndex, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import Question
from rag_app.progress import Progress, silent
from rag_app.retrieve import RetrievalOptions, Searched, Tools, build_retriever
from rag_app.retrieve.learned import LearnedFusion
from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever
from rag_app.sweep.choice import Choice, choose
from rag_app.sweep.context import budget_metric, score_with_budget
from rag_app.sweep.grid import Grid, Setting, read_grid, settings_of
from rag_app.sweep.indexes import Built, IndexBuilder
from rag_app.sweep.scoring import Candidate
from rag_app.sweep.settings_file import write_settings
from rag_app.sweep.weight import tune_weight
from rag_app.vectors import Vectors

pytestmark = pytest.mark.usefixtures("single_thread")

METRIC = "hit_rate@1"
NO_TOOLS = cast("Tools", None)


# Holm


def test_holm_by_hand() -> None:
    # In order: 3 x .01, 2 x .03, 1 x .04, and none below the one before it.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


# A budget of context


class Ranked(TracedRetriever):
    """Ranks the same passages for every question."""

    def __init__(self, nodes: Sequence[TextNode]) -> None:
        self.hits = [NodeWithScore(node=node, score=1.0) for node in nodes]
        super().__init__()

    def rank(self, traces: Sequence[Trace]) -> list[Ranking]:
        return [self.hits for _ in traces]


@pytest.mark.parametrize(
    ("budget", "hit"), [(600, 1.0), (599, 0.0), (601, 1.0)], ids=["exact", "too little", "more"]
)
def test_an_answer_counts_if_it_and_all_before_it_fit(budget: int, hit: float) -> None:
    lengths = {"a": 100, "b": 200, "right": 300, "d": 50}
    nodes = [TextNode(id_=name, text=" ".join([name] * n)) for name, n in lengths.items()]
    asked = [
        Question("q1", "?", (frozenset({"right"}),), "doc"),
        Question("q2", "??", (frozenset({"elsewhere"}),), "doc"),
    ]
    model: Any = WordModel()
    found, missed = score_with_budget(Ranked(nodes), asked, model, budget_tokens=budget)
    assert found.rank == 3
    assert found.values[budget_metric(budget)] == hit
    assert found.values["hit_rate@3"] == 1.0
    assert missed.values[budget_metric(budget)] == 0.0


# The choice


def outcome(number: int, *, hit: bool) -> Outcome:
    return Outcome(
        question_id=f"q{number}",
        question=f"question {number}?",
        cluster=f"doc{number}",
        gold=[["right"]],
        retrieved=["right" if hit else "wrong"],
        scores=[1.0],
        rank=1 if hit else None,
        values={METRIC: float(hit)},
    )


def outcomes(hits: int, of: int = 20) -> list[Outcome]:
    """The first so many of these questions are answered."""
    return [outcome(number, hit=number < hits) for number in range(of)]


def setting(spec: str) -> Setting:
    return Setting("org/model", Chunking(256, 32), RetrievalOptions().with_spec(spec))


def candidate(spec: str, *, dev: int, test: int, ms: float = 10.0) -> Candidate:
    built = cast("Built", None)
    return Candidate(setting(spec), built, outcomes(dev), outcomes(test), milliseconds=ms)


def chosen(present: Candidate, *others: Candidate) -> Choice:
    return choose([present, *others], present, metric=METRIC, seed=13)


def crowd(count: int) -> list[Candidate]:
    """Settings that change nothing, which Holm counts all the same."""
    return [candidate(f"hybrid:0.{n}", dev=0, test=0) for n in range(1, count + 1)]


def test_the_first_on_dev_wins_with_its_own_p() -> None:
    present = candidate("vector", dev=0, test=0)
    best = candidate("keyword", dev=10, test=8)
    choice = chosen(present, best, *crowd(9))
    # Eight clusters of one sign: 2 / 2^8 = .008, and ten times that for ten settings.
    assert choice.changes[best.setting.name].p == pytest.approx(2 / 2**8, abs=0.003)
    assert choice.adjusted[best.setting.name] > 0.05
    assert (choice.wins, choice.best) == (True, best)


def test_where_the_present_one_is_first_another_wins_only_after_adjustment() -> None:
    present = candidate("vector", dev=20, test=0)
    some, all_ = (candidate("exact", dev=10, test=hits) for hits in (8, 20))
    lost = chosen(present, some, *crowd(9))
    assert lost.adjusted[some.setting.name] > 0.05 > lost.changes[some.setting.name].p
    assert (lost.wins, lost.best) == (False, present)
    won = chosen(present, all_, *crowd(9))
    assert won.adjusted[all_.setting.name] < 0.05
    assert (won.wins, won.best) == (True, all_)


def test_where_the_first_does_not_win_no_other_does() -> None:
    """Its test has spent the level: whoever looks twice finds a winner by chance more often."""
    present = candidate("vector", dev=0, test=0)
    first, other = candidate("keyword", dev=20, test=0), candidate("exact", dev=10, test=20)
    choice = chosen(present, first, other)
    assert choice.adjusted[other.setting.name] < 0.05
    assert (choice.wins, choice.best) == (False, first)


def scored(spec: str, dev: Sequence[float], test: Sequence[float]) -> Candidate:
    """A setting with these values of METRIC."""

    def of(values: Sequence[float]) -> list[Outcome]:
        found = outcomes(0, of=len(values))
        pairs = zip(found, values, strict=True)
        return [replace(one, values={METRIC: value}) for one, value in pairs]

    return replace(candidate(spec, dev=0, test=0), dev=of(dev), test=of(test))


def test_equal_settings_seldom_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 sweeps of seven settings that are all the same, 2.5 % may promote one: 25."""
    monkeypatch.setattr(resampling, "RESAMPLES", 999)
    draw = np.random.default_rng(5)
    specs = ["vector", "keyword", *(f"hybrid:0.{n}" for n in range(1, 6))]
    won = 0
    for _ in range(1000):
        settings = [scored(spec, *draw.random((2, 9)).tolist()) for spec in specs]
        won += choose(settings, settings[0], metric=METRIC, seed=999).wins
    # Binomial: more than 35 of 1,000 at 2.5 % happens once in 50 times.
    assert won <= 35


def test_the_words_have_the_figures() -> None:
    present = candidate("vector", dev=0, test=0, ms=10)
    best = candidate("keyword", dev=10, test=8, ms=35)
    choice = chosen(present, best)
    change = choice.changes[best.setting.name]
    assert choice.reason == (
        "256 tokens (overlap 32), keyword: hit_rate@1 +.400 "  # 8 of 20
        f"[+{score(change.low)}, +{score(change.high)}] over the current "
        "256 tokens (overlap 32), vector; 25 ms more per question"
    )
    assert 0 < change.low < 0.4 < change.high
    faster = chosen(present, candidate("keyword", dev=10, test=8, ms=3))
    assert faster.reason.endswith("; 7 ms less per question")


def test_models_are_named_where_they_differ() -> None:
    present = candidate("vector", dev=0, test=0)
    other = Setting("runs/tuned", Chunking(256, 32), RetrievalOptions())
    best = Candidate(other, present.built, outcomes(20), outcomes(20), milliseconds=10)
    words = "256 tokens (overlap 32), vector"
    assert chosen(present, best).reason.startswith(f"tuned, {words}: hit_rate@1 +1.000 ")
    assert f"over the current model, {words}; " in chosen(present, best).reason


def test_nothing_wins_and_words_say_so() -> None:
    present = candidate("vector", dev=20, test=20)
    stays = chosen(present, candidate("keyword", dev=10, test=20))
    assert (stays.wins, stays.best) == (False, present)
    assert stays.reason == (
        "your current setting stays: 256 tokens (overlap 32), vector is best on the dev questions"
    )
    unsure = chosen(candidate("vector", dev=0, test=0), candidate("keyword", dev=1, test=2))
    assert unsure.wins is False
    assert unsure.reason.startswith(
        "your current setting stays: the best on the dev questions is not significantly better: "
        "256 tokens (overlap 32), keyword: hit_rate@1 +.100 [+.000, "
    )
    shown = score(unsure.changes["model 256/32 keyword"].smallest_detectable)
    assert unsure.reason.endswith(f"smallest difference that 20 questions can show is {shown}")
    worse = chosen(candidate("vector", dev=0, test=20), candidate("keyword", dev=1, test=0))
    assert worse.wins is False
    assert worse.reason.startswith(
        "your current setting stays: the best on the dev questions is worse: 256 tokens "
        "(overlap 32), keyword"
    )
    assert "hit_rate@1 -1.000 [" in worse.reason


def test_of_equals_the_present_one_and_then_the_faster() -> None:
    present = candidate("vector", dev=5, test=0, ms=99)
    slow, fast = (
        candidate(spec, dev=5, test=20, ms=ms) for spec, ms in (("keyword", 50), ("exact", 5))
    )
    # Equal on dev: what is there counts as first, so that others win only after adjustment.
    choice = chosen(present, slow, fast)
    assert (choice.wins, choice.best) == (True, fast)
    tied = chosen(present, candidate("keyword", dev=5, test=0, ms=1))
    assert (tied.wins, tied.best) == (False, present)


# The grid


def own(**options: Any) -> RetrievalOptions:
    return RetrievalOptions(**options)


def tried(grid: Grid) -> list[str]:
    return [one.name for one in settings_of(grid, own(), sentences="rules")]


def test_every_combination_once() -> None:
    grid = Grid(
        chunk_sizes=(128, 256, 128), models=("org/a", "b"), retrievers=("vector", "keyword")
    )
    names = tried(grid)
    assert len(names) == 2 * 2 * 2
    # An eighth of the size overlaps unless told otherwise.
    assert set(names) == {
        f"{model} {size} {spec}"
        for model, size, spec in product("ab", ("128/16", "256/32"), ("vector", "keyword"))
    }
    overlaps = Grid(
        chunk_sizes=(128, 64), chunk_overlaps=(0, 32), models=("a",), retrievers=("exact",)
    )
    assert tried(overlaps) == ["a 128/0 exact", "a 128/32 exact", "a 64/0 exact", "a 64/32 exact"]
    same = Grid(chunk_sizes=(128,), models=("a",), retrievers=("hybrid:0.7", "hybrid"))
    assert tried(same) == ["a 128/16 hybrid:0.7"]


def test_numbers_and_filter_are_the_same_for_all() -> None:
    grid = Grid(chunk_sizes=(128,), models=("a",), retrievers=("keyword", "hybrid:auto+latest"))
    given = own(fetch_k=7, where="category = billing", retriever="exact")
    for one in settings_of(grid, given, sentences="kiwi"):
        assert (one.retrieval.fetch_k, one.retrieval.where) == (7, "category = billing")
        assert one.chunking.sentences == "kiwi"


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        (Grid(chunk_sizes=()), "there is no chunk size to try; name some with --chunk-sizes"),
        (Grid(retrievers=()), "there is no retriever to try; name some with --retriever"),
        (Grid(chunk_overlaps=(65,), chunk_sizes=(128,)), "65, more than half of chunk_size 128"),
        (Grid(chunk_sizes=(8,)), "chunk_size is 8; it takes 16 to 8192 tokens"),
        (
            Grid(retrievers=("magic",)),
            "unknown retriever 'magic'; it is one of exact, vector, keyword",
        ),
        (Grid(retrievers=("hybrid:2",)), "hybrid takes a number from 0 to 1"),
        (Grid(retrievers=("vector+window:0",)), "window takes a number of chunks from 1 to 100"),
    ],
)
def test_a_grid_that_cannot_be_tried(grid: Grid, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(grid, own(), sentences="rules")
    assert says in str(caught.value)


def test_a_grid_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('chunk_sizes = [64, 128]\nmodels = ["a"]\n', "utf-8")
    assert read_grid(path) == Grid(chunk_sizes=(64, 128), models=("a",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sizes = [64]", "has an unknown key 'sizes'; known: chunk_sizes, chunk_overlaps, models"),
        ("chunk_sizes = 64", "chunk_sizes is 64; it takes a list of numbers"),
        ('chunk_sizes = ["64"]', "chunk_sizes is ['64']; it takes a list of numbers"),
        ("chunk_sizes = [true]", "it takes a list of numbers"),
        ("retrievers = [1]", "retrievers is [1]; it takes a list of texts in quotes"),
        ("chunk_sizes = [", "cannot be read as a grid: "),
    ],
)
def test_a_file_that_is_no_grid(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        read_grid(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


def test_a_grid_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read as a grid: .*; mend the file"):
        read_grid(tmp_path / "none.toml")
    (tmp_path / "cp949.toml").write_bytes('models = ["모델"]'.encode("cp949"))
    with pytest.raises(ConfigError, match=r"cannot be read as a grid: .*; mend the file"):
        read_grid(tmp_path / "cp949.toml")


# The weight of a hybrid

# Words that no stemmer changes and no list of stop words holds.
WORDS = ["".join(parts) for parts in product("bdgkmr", "aou", "bdgkmr", "aou", "k")][:200]
NODES = 8


class PlacedModel(WordModel):
    """Passage i lies on axis i; where a question lies is told."""

    def __init__(self, places: dict[str, Vectors]) -> None:
        super().__init__()
        self.places = places
        self.dimension = NODES

    def embed_queries(self, texts: Sequence[str], *, progress: Progress = silent) -> Vectors:
        return np.stack([self.places[text] for text in texts])


def between(nearest: int, second: int) -> Vectors:
    """A question next to one passage, and next to another by a hair less."""
    vector = np.zeros(NODES, np.float32)
    vector[nearest], vector[second] = 1.0, 0.999
    return vector / np.linalg.norm(vector)


def tuned(texts: list[str], places: dict[str, Vectors], questions: list[Question]) -> float:
    nodes = [TextNode(id_=f"n{i}", text=text) for i, text in enumerate(texts)]
    passages = Passages(nodes, np.eye(NODES, dtype=np.float32))
    model: Any = PlacedModel(places)
    searched = Searched(cast("Any", None), model, passages)
    auto = RetrievalOptions().with_spec("hybrid:auto")
    return tune_weight(searched, auto, questions, NO_TOOLS)


def ask(text: str, right: int) -> Question:
    return Question(text, text, (frozenset({f"n{right}"}),), f"d{right}")


def test_vectors_alone_where_only_they_are_right() -> None:
    # The words of question i stand in the next passage, which the vectors put second by a hair.
    texts = [WORDS[i] for i in range(NODES)]
    places = {WORDS[(i + 1) % NODES]: between(i, (i + 1) % NODES) for i in range(NODES)}
    questions = [ask(WORDS[(i + 1) % NODES], i) for i in range(NODES)]
    assert tuned(texts, places, questions) == 1.0


def test_words_alone_where_only_they_are_right() -> None:
    # Question i stands in two passages; the right one is shorter by a word, so first by a hair.
    # The vectors are sure of the other.
    half = NODES // 2
    filler = WORDS[100:110]
    texts = [" ".join([WORDS[i], *filler]) for i in range(half)]
    texts += [" ".join([WORDS[i], *filler, WORDS[120]]) for i in range(half)]
    places = {WORDS[i]: np.eye(NODES, dtype=np.float32)[half + i] for i in range(half)}
    assert tuned(texts, places, [ask(WORDS[i], i) for i in range(half)]) == 0.0


def test_of_equal_weights_the_one_that_did_well_elsewhere() -> None:
    texts = [WORDS[i] for i in range(NODES)]
    places = {WORDS[i]: between(i, (i + 1) % NODES) for i in range(NODES)}
    assert tuned(texts, places, [ask(WORDS[i], i) for i in range(NODES)]) == 0.7


# Weights that are learned


def in_one_sentence(count: int) -> tuple[Searched, list[Question]]:
    """Passages that answer in a sentence of a long text, beside short ones that share its words."""
    filler = " ".join(WORDS[150:170])
    nodes = [
        TextNode(id_=f"r{i}", text=f"{WORDS[i]} {WORDS[i + 60]}. {filler}.") for i in range(count)
    ]
    nodes += [TextNode(id_=f"w{i}", text=f"{WORDS[i]}. {WORDS[i + 60]}.") for i in range(count)]
    asked = [
        Question(f"q{i}", f"{WORDS[i]} {WORDS[i + 60]}", (frozenset({f"r{i}"}),), f"d{i}")
        for i in range(count)
    ]
    model: Any = WordModel()
    vectors = model.embed_passages([node.text for node in nodes])
    index: Any = SimpleNamespace(info=SimpleNamespace(sentences="rules"))
    return Searched(index, model, Passages(nodes, vectors)), asked


LEARN = RetrievalOptions().with_spec("hybrid:learned")


def test_weights_are_learned_where_sentences_tell_what_passages_do_not() -> None:
    searched, asked = in_one_sentence(50)
    options, reason = learn_weights(searched, LEARN, asked, NO_TOOLS, learned_on="a test", seed=13)
    assert options.learned is not None
    assert options.learned.weights["sentence"] > 0
    assert options.spec == "hybrid:learned"
    assert "over hybrid:" in reason
    [ranking] = build_retriever(searched, options, top_k=1, tools=NO_TOOLS).rank(
        [Trace(asked[0].text)]
    )
    assert ranking[0].node.node_id == "r0"


def test_on_few_questions_all_views_weigh_the_same() -> None:
    searched, asked = in_one_sentence(10)
    options, reason = learn_weights(searched, LEARN, asked, NO_TOOLS, learned_on="a test", seed=13)
    assert options == RetrievalOptions().with_spec("hybrid:equal")
    assert reason == (
        "10 questions are fewer than 40: nothing was learned, and hybrid:equal is used"
    )


def test_the_weights_that_an_index_keeps_are_not_learned_anew() -> None:
    learned = LearnedFusion({"vector": 1.0}, "", 50)
    kept = replace(setting("hybrid:learned"), kept=True)
    kept = replace(kept, retrieval=replace(kept.retrieval, learned=learned))
    assert not kept.retrieval.to_be_learned
    assert kept.label == "256/32 hybrid:learned (kept)"
    assert kept.words == "256 tokens (overlap 32), hybrid:learned (kept)"
    assert setting("hybrid:learned").retrieval.to_be_learned


# Indexes of the same documents

SMALL = Chunking(16, 0)
ROWS = "question,answer\nWhen?,At nine in the morning.\nWhere?,Behind the red door.\n"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_model(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def workspace(tmp_path: Path, tiny: str) -> Workspace:
    """Documents of three kinds, ingested; others that were never ingested lie beside them."""
    docs = tmp_path / "docs"
    # A folder may be called as the files in it.
    (docs / "a.md").mkdir(parents=True)
    (docs / "a.md" / "a.md").write_text("# Parcels\n\nThey go by rail. They come by boat.", "utf-8")
    (docs / "faq.csv").write_text(ROWS, "utf-8")
    (docs / "manual.pdf").write_bytes(pdf(["Press the button."], ["Then wait for the light."]))
    workspace = Workspace(tmp_path / "storage")
    ingest(workspace, IngestRequest([docs], options=IndexOptions(tiny, 32, 0)))
    (docs / "stray.md").write_text("# Stray\n\nNobody asked for this.", "utf-8")
    (docs / "faq.csv").write_text(ROWS + "Who?,Nobody asked for this either.\n", "utf-8")
    return workspace


def builder_of(workspace: Workspace) -> IndexBuilder:
    return IndexBuilder(workspace, workspace.catalog.open())


def documents(built: Built) -> set[str]:
    return {str(node.ref_doc_id) for node in built.passages.nodes}


def test_an_index_is_built_of_the_documents_of_another(workspace: Workspace, tiny: str) -> None:
    built = builder_of(workspace).build(tiny, SMALL)
    before = workspace.catalog.open().passages().nodes
    assert documents(built) == {str(node.ref_doc_id) for node in before}
    assert {name.split("#")[0] for name in documents(built)} == {
        "docs/a.md/a.md",
        "docs/faq.csv",
        "docs/manual.pdf",
    }
    assert len([name for name in documents(built) if name.startswith("docs/faq.csv#")]) == 2
    texts = " ".join(node.text for node in built.passages.nodes)
    assert "They come by boat." in texts
    assert "Nobody asked" not in texts
    pages = [n.metadata["page"] for n in built.passages.nodes if "page" in n.metadata]
    assert sorted(set(pages)) == [1, 2]
    assert built.index.info.chunking == SMALL
    assert len(built.passages.nodes) > len(before)
    assert built.seconds is not None
    assert built.megabytes is not None


def test_a_second_build_embeds_nothing(workspace: Workspace, tiny: str) -> None:
    first = builder_of(workspace).build(tiny, SMALL)
    cache = workspace.storage / "cache" / "vectors.sqlite"
    with sqlite3.connect(cache) as connection:
        connection.execute("DELETE FROM vectors")
    connection.close()
    builder = builder_of(workspace)
    again = builder.build(tiny, SMALL)
    assert again.seconds is None
    assert builder.build(tiny, SMALL) is again
    assert again.index.name == first.index.name
    assert [n.node_id for n in again.passages.nodes] == [n.node_id for n in first.passages.nodes]
    with sqlite3.connect(cache) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (0,)
    connection.close()


def test_what_is_there_is_not_built_again(workspace: Workspace, tiny: str) -> None:
    catalog = workspace.catalog
    built = builder_of(workspace).build(tiny, catalog.open().info.chunking)
    assert (built.index.name, built.seconds) == (catalog.active.current(), None)
    assert catalog.names() == [built.index.name]


def contents(index: VectorIndex) -> tuple[str | None, list[str]]:
    """The token of the last write, and what is in it."""
    return index.connection.token, [node.text for node in index.ordered_nodes()]


def test_the_source_is_not_written_where_a_document_was_edited(
    workspace: Workspace, tiny: str, tmp_path: Path
) -> None:
    source = workspace.catalog.open()
    before = contents(source)
    path = tmp_path / "docs" / "a.md" / "a.md"
    path.write_text("# Parcels\n\nThey go by road now.", "utf-8")
    builder = builder_of(workspace)
    assert builder.changed == ["docs/a.md/a.md"]
    assert not builder.is_there(tiny, source.info.chunking)
    present, small = (builder.build(tiny, chunking) for chunking in (source.info.chunking, SMALL))
    assert contents(workspace.catalog.open()) == before
    assert present.index.name == f"{source.name}-2"
    assert documents(present) == documents(small)
    for built in (present, small):
        texts = " ".join(node.text for node in built.passages.nodes)
        assert "They go by road now." in texts
        assert "They come by boat." not in texts
    # The next sweep finds what this one made, and the source once it was brought up to date.
    assert builder_of(workspace).build(tiny, source.info.chunking).seconds is None
    (tmp_path / "docs" / "stray.md").unlink()
    (tmp_path / "docs" / "faq.csv").write_text(ROWS, "utf-8")
    ingest(workspace, IngestRequest([tmp_path / "docs"]))
    assert builder_of(workspace).build(tiny, source.info.chunking).index.name == source.name


@pytest.mark.parametrize("rolled_back", [False, True])
def test_neither_is_another_index_that_is_or_was_in_service(
    workspace: Workspace, tiny: str, tmp_path: Path, rolled_back: bool
) -> None:
    catalog = workspace.catalog
    source = catalog.open()
    small = builder_of(workspace).build(tiny, SMALL).index
    catalog.put_into_service(small.name)
    if rolled_back:
        catalog.put_into_service(source.name)
    before = contents(small)
    (tmp_path / "docs" / "a.md" / "a.md").write_text("They go by road now.", "utf-8")
    builder = IndexBuilder(workspace, source)
    assert builder.build(tiny, SMALL).index.name == f"{small.name}-2"
    assert contents(catalog.open(small.name)) == before


def test_a_document_that_is_gone(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "a.md" / "a.md"
    path.unlink()
    with pytest.raises(DocumentError, match="run `rag-app ingest` on its folder, then") as caught:
        builder_of(workspace)
    assert str(caught.value).startswith(f"{path} cannot be opened")


def test_a_row_that_is_gone(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "faq.csv"
    path.write_text(ROWS.replace("nine", "ten"), "utf-8")
    before = workspace.catalog.open().count()
    with pytest.raises(DocumentError) as caught:
        builder_of(workspace)
    assert re.fullmatch(
        rf"docs/faq\.csv#\w+ is no longer in {re.escape(str(path))}; run `rag-app ingest` on its "
        "folder, then sweep again",
        str(caught.value),
    )
    assert workspace.catalog.open().count() == before


def test_an_index_of_other_documents_is_left_alone(
    workspace: Workspace, tiny: str, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.txt").write_text("Something else.", "utf-8")
    options = IndexOptions(tiny, SMALL.chunk_size, SMALL.chunk_overlap)
    other = ingest(workspace, IngestRequest([tmp_path / "more"], options=options)).index
    built = builder_of(workspace).build(tiny, SMALL)
    assert built.index.name == f"{other}-2"
    assert "more/b.txt" not in documents(built)
    kept = workspace.catalog.open(other)
    assert {record.document_id for record in kept.records()} == {"more/b.txt"}
    assert builder_of(workspace).build(tiny, SMALL).index.name == f"{other}-2"


def test_a_document_that_was_removed_since_the_last_sweep(
    workspace: Workspace, tiny: str, tmp_path: Path
) -> None:
    first = builder_of(workspace).build(tiny, SMALL)
    (tmp_path / "docs" / "manual.pdf").unlink()
    (tmp_path / "docs" / "stray.md").unlink()
    ingest(workspace, IngestRequest([tmp_path / "docs"], options=IndexOptions(tiny, 32, 0)))
    built = builder_of(workspace).build(tiny, SMALL)
    assert built.index.name == first.index.name
    assert documents(first) - documents(built) == {"docs/manual.pdf"}


def half_made(catalog: Catalog, name: str) -> None:
    """What a run leaves that is killed between making a store and its collection."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    path = catalog.folder / name / "chroma"
    path.mkdir(parents=True)
    chromadb.PersistentClient(path=str(path), settings=ChromaSettings(anonymized_telemetry=False))


def test_an_index_that_a_killed_run_left_without_its_collection(
    workspace: Workspace, tiny: str
) -> None:
    catalog = workspace.catalog
    info = catalog.open().info
    half_made(catalog, "broken")
    assert "broken" not in catalog.names()
    built = builder_of(workspace).build(tiny, SMALL)
    assert built.seconds is not None
    assert built.index.info == replace(info, chunk_size=16, chunk_overlap=0)


# The settings file


def test_other_keys_and_comments_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rag_app.toml"
    path.write_text('# mine\nseed = 3  # lucky\nretriever = "vector"\ntop_k = 7', "utf-8")
    write_settings(path, {"retriever": "hybrid:0.4", "chunk_size": 128})
    assert path.read_text("utf-8") == (
        '# mine\nseed = 3  # lucky\nretriever = "hybrid:0.4"\ntop_k = 7\nchunk_size = 128\n'
    )
    assert list(tmp_path.iterdir()) == [path]


def test_a_settings_file_is_made(tmp_path: Path) -> None:
    write_settings(tmp_path / "new.toml", {"model": 'odd "name"', "chunk_size": 64})
    text = (tmp_path / "new.toml").read_text("utf-8")
    assert text == 'model = "odd \\"name\\""\nchunk_size = 64\n'


def test_a_settings_file_that_is_no_toml_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rag_app.toml"
    path.write_text("seed = = 3\n", "utf-8")
    with pytest.raises(ConfigError, match=r"cannot be read: .*; mend the file"):
        write_settings(path, {"chunk_size": 64})
    assert path.read_text("utf-8") == "seed = = 3\n"
