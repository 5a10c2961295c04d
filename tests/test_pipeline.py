"""Every option over one real index: what comes out, in what order, and how it explains itself."""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import MINILM, ROOT
from fakes import ScriptedChat
from tiny import make_tiny_cross_encoder

from rag_app.errors import ConfigError, ModelError
from rag_app.index import Catalog, Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.cross_encoder import CrossEncoders
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, build_retriever
from rag_app.retrieve.context import COVERS
from rag_app.retrieve.pipeline import Pipeline
from rag_app.retrieve.trace import Ranking

TODAY = dt.date(2025, 6, 30)
# Eight documents in 74 chunks: two policies each in an old and a new version.
DOCUMENTS = {
    "orders": (
        "free-shipping-from-september-2022",
        "free-shipping-until-august-2022",
        "delivery-times",
        "pick-up-in-locker",
        "track-your-parcel",
    ),
    "account": ("password-rules", "password-rules-until-2023", "family-members"),
}
QUESTION = "how much do I have to order so that delivery of my parcel is free"
QUESTIONS = [
    QUESTION,
    "what must a password look like",
    "can my parents use my account",
    "where is the parcel and when do you deliver it",
]
ODD = {
    "korean": "얼마 이상 주문하면 배송비가 무료인가요?",
    "emoji": "🐈🎉",
    "marks": "?!",
    "many words": "blah " * 400,
    "one word": "x" * 10_000,
}
REWRITES = ["free shipping threshold", "minimum order for free delivery"]
STEPS = (
    "multi_query",
    "hyde",
    "rerank:judge",
    "latest",
    "cutoff 700d",
    "half-life 90d",
    "window:1",
    "parent:3",
)
EVERYTHING = "hybrid:0.6+multi_query+rerank:judge+latest+window:1"
SPECS = (
    "vector",
    "keyword",
    "hybrid:0.7",
    "ranks:0.5",
    *(f"vector+{step}" for step in STEPS),
    *(f"hybrid:0.5+{step}" for step in STEPS),
    "keyword+latest+window:1",
    "vector+parent:12",
    EVERYTHING,
)


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return load_model(MINILM, storage=tmp_path_factory.mktemp("models"), device="cpu")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with one index, in service, and the cross-encoder "judge"."""
    folder = tmp_path_factory.mktemp("shop")
    for category, names in DOCUMENTS.items():
        (folder / "docs" / category).mkdir(parents=True)
        for name in names:
            file = f"{category}/{name}.md"
            shutil.copy(ROOT / "data" / "en" / file, folder / "docs" / file)
    storage = folder / "storage"
    workspace = Workspace(storage, device="cpu")
    ingest(workspace, IngestRequest([folder / "docs"], options=IndexOptions(chunk_size=64)))
    make_tiny_cross_encoder(storage / "models" / "judge", words=["parcel", "free", "password"])
    return storage


@pytest.fixture(scope="module")
def chroma(storage: Path, minilm: EmbeddingModel) -> Searched:
    return Searched(Catalog(storage).open(), minilm)


@pytest.fixture(scope="module")
def memory(chroma: Searched) -> Searched:
    return Searched(chroma.index, chroma.model, chroma.index.passages())


@pytest.fixture(scope="module")
def tools(storage: Path) -> Tools:
    load = CrossEncoders(storage, device="cpu").load
    judge = load("judge")
    return Tools(
        storage=storage,
        today=TODAY,
        llm=None,
        load_encoder=lambda name: judge if name == "judge" else load(name),
    )


def chat() -> Any:
    """Rewrites every question in the same way."""
    answer = "".join(f"{n}. {text}\n" for n, text in enumerate(REWRITES, 1))
    return ScriptedChat(dict.fromkeys([*QUESTIONS, *ODD.values()], answer))


def build(
    searched: Searched,
    spec: str,
    tools: Tools,
    *,
    top_k: int = 5,
    fetch_k: int = 100,
    where: str | None = None,
) -> Pipeline:
    options = RetrievalOptions(fetch_k=fetch_k, where=where).with_spec(spec)
    return build_retriever(searched, options, top_k=top_k, tools=replace(tools, llm=chat()))


def ids(ranking: Ranking) -> list[str]:
    return [hit.node.node_id for hit in ranking]


def scores(ranking: Ranking) -> list[float]:
    return [hit.score for hit in ranking]


@pytest.mark.parametrize("spec", SPECS)
def test_k_different_passages_best_first(
    chroma: Searched, memory: Searched, tools: Tools, spec: str
) -> None:
    for searched in (chroma, memory):
        found = build(searched, spec, tools).retrieve(QUESTION)
        assert len(found) == len(set(ids(found))) == 5
        assert scores(found) == sorted(scores(found), reverse=True)


@pytest.mark.parametrize("spec", SPECS)
def test_how_many_are_asked_for_changes_no_place(memory: Searched, tools: Tools, spec: str) -> None:
    # What is scored at 10 is what a user sees at 3.
    few = build(memory, spec, tools, top_k=3).retrieve_many(QUESTIONS)
    many = build(memory, spec, tools, top_k=10).retrieve_many(QUESTIONS)
    assert [ids(hits) for hits in few] == [ids(hits)[:3] for hits in many]


@pytest.mark.parametrize("spec", SPECS)
def test_many_questions_are_answered_as_one_by_one(
    memory: Searched, tools: Tools, spec: str
) -> None:
    retriever = build(memory, spec, tools)
    single = [ids(retriever.retrieve(question)) for question in QUESTIONS]
    assert [ids(hits) for hits in retriever.retrieve_many(QUESTIONS)] == single


@pytest.mark.parametrize("spec", SPECS)
def test_few_candidates_are_enough_for_k(memory: Searched, tools: Tools, spec: str) -> None:
    found = build(memory, spec, tools, fetch_k=1, top_k=8).retrieve(QUESTION)
    # Twenty candidates may lie in fewer pieces than that.
    pieces = "parent" in spec or "window" in spec
    assert len(found) == 8 or (pieces and 3 <= len(found) < 8)


@pytest.mark.parametrize("spec", ["vector+window:1", "hybrid:0.5+window:1"])
def test_pieces_are_filled_up_from_the_candidates(
    memory: Searched, tools: Tools, spec: str
) -> None:
    for question in QUESTIONS:
        assert len(build(memory, spec, tools, top_k=12).retrieve(question)) == 12


@pytest.mark.parametrize("spec", SPECS)
def test_more_than_there_are(chroma: Searched, memory: Searched, tools: Tools, spec: str) -> None:
    chunks = {node.node_id: node for node in memory.passages.nodes}  # type: ignore[union-attr]
    for searched in (chroma, memory):
        found = build(searched, spec, tools, top_k=500).retrieve(QUESTION)
        if "window" in spec or "parent" in spec:
            covered = {chunk for hit in found for chunk in hit.node.metadata[COVERS]}
        else:
            covered = set(ids(found))
            assert len(found) == len(covered)
        if spec.startswith("keyword"):
            assert 40 < len(covered) <= len(chunks)
        else:
            assert covered == set(chunks)


@pytest.mark.parametrize("spec", SPECS)
def test_a_filter_that_leaves_nothing(
    chroma: Searched, memory: Searched, tools: Tools, spec: str
) -> None:
    for searched in (chroma, memory):
        retriever = build(searched, spec, tools, where="date > 2030-01-01")
        trace = Trace(QUESTION)
        assert retriever.rank([trace]) == [[]]
        assert all(step.scores == {} for step in trace.steps)


@pytest.mark.parametrize("spec", ["vector", "keyword", "hybrid:0.5", "ranks:0.5", EVERYTHING])
def test_a_filter_holds_for_every_search(
    chroma: Searched, memory: Searched, tools: Tools, spec: str
) -> None:
    where = "category = account and date >= 2023-01-01"
    found = [
        build(searched, spec, tools, where=where, top_k=8).retrieve_many(QUESTIONS)
        for searched in (chroma, memory)
    ]
    assert [ids(hits) for hits in found[0]] == [ids(hits) for hits in found[1]]
    assert any(found[0])
    for hits in found[0]:
        assert len(hits) == 8 or spec in ("keyword", EVERYTHING)
        for hit in hits:
            assert hit.node.metadata["category"] == "account"
            assert hit.node.metadata["date"] >= "2023-01-01"


def test_memory_and_chroma_know_the_same(chroma: Searched, memory: Searched) -> None:
    assert memory.metadata_keys == chroma.metadata_keys
    for document in {node.ref_doc_id for node in memory.passages.nodes}:  # type: ignore[union-attr]
        left, right = memory.chunks_of(document), chroma.chunks_of(document)
        assert [node.node_id for node in left] == [node.node_id for node in right]
        assert [node.metadata["chunk_index"] for node in left] == list(range(len(left)))


@pytest.mark.parametrize("spec", SPECS)
def test_memory_and_chroma_find_the_same(
    chroma: Searched, memory: Searched, tools: Tools, spec: str
) -> None:
    left = build(chroma, spec, tools, top_k=8).retrieve_many(QUESTIONS)
    right = build(memory, spec, tools, top_k=8).retrieve_many(QUESTIONS)
    for one, other in zip(left, right, strict=True):
        assert ids(one) == ids(other)
        assert scores(one) == pytest.approx(scores(other), abs=1e-4)
        assert [hit.node.text for hit in one] == [hit.node.text for hit in other]


@pytest.mark.parametrize("fusion", ["hybrid", "ranks"])
@pytest.mark.parametrize("fetch_k", [10, 100])
def test_a_hybrid_of_one_side_is_that_side(
    chroma: Searched, memory: Searched, tools: Tools, fusion: str, fetch_k: int
) -> None:
    for weight, side in ((1, "vector"), (0, "keyword")):
        for searched in (chroma, memory):
            single = build(searched, side, tools, top_k=10).retrieve_many(QUESTIONS)
            spec = f"{fusion}:{weight}"
            both = build(searched, spec, tools, top_k=10, fetch_k=fetch_k).retrieve_many(QUESTIONS)
            for one, fused in zip(single, both, strict=True):
                # What shares no word comes behind what does, in the vectors' order.
                assert ids(fused)[: len(one)] == ids(one)
                assert len(fused) == 10


# How a result explains itself


def test_the_steps_of_a_plain_search(memory: Searched, tools: Tools) -> None:
    for spec, names in {
        "vector": ["vector"],
        "exact": ["vector"],
        "keyword": ["keyword"],
        "hybrid:0.5": ["vector", "keyword", "hybrid"],
        "vector+half-life 90d": ["vector", "recency"],
        "vector+parent:2": ["vector", "parent"],
        "vector+rerank:judge": ["vector", "rerank"],
    }.items():
        trace = Trace(QUESTION)
        [found] = build(memory, spec, tools).rank([trace])
        assert [step.name for step in trace.steps] == names
        assert (trace.rewrites, trace.model_calls, trace.warnings) == ([], 0, [])
        last = trace.steps[-1].scores
        assert list(last)[:5] == ids(found)
        assert list(last.values())[:5] == scores(found)


def test_the_steps_of_everything(memory: Searched, tools: Tools) -> None:
    traces = [Trace(question) for question in QUESTIONS]
    found = build(memory, EVERYTHING, tools).rank(traces)
    search = ["vector", "keyword", "hybrid"]
    after = ["fusion", "rerank", "recency", "window"]
    for trace, hits in zip(traces, found, strict=True):
        assert [step.name for step in trace.steps] == ["multi_query", *search * 3, *after]
        assert all(step.seconds >= 0 for step in trace.steps)
        assert [step.note for step in trace.steps[4:10]] == (
            [f"multi_query: {REWRITES[0]}"] * 3 + [f"multi_query: {REWRITES[1]}"] * 3
        )
        assert trace.rewrites == REWRITES
        assert trace.steps[12].note.startswith("latest: ")
        assert list(trace.steps[-1].scores) == ids(hits)
        # A step sees all candidates, so that ranks before and after it can be told.
        fused, reranked, recency = (set(step.scores) for step in trace.steps[10:13])
        assert fused == reranked == recency
        place = trace.steps[11].rank(ids(hits)[0])
        assert place is not None
        assert 1 <= place <= 74
        assert trace.steps[11].rank("nothing") is None


def test_the_newest_version_comes_first(memory: Searched, tools: Tools) -> None:
    question = "free shipping until august 2022, the amount per order"
    old, new = (
        f"orders/free-shipping-{end}.md" for end in ("until-august-2022", "from-september-2022")
    )
    for spec, first in {"hybrid:0.5": old, "hybrid:0.5+latest": new}.items():
        found = build(memory, spec, tools, top_k=74).retrieve(question)
        documents = [hit.node.ref_doc_id.removeprefix("docs/") for hit in found]
        places = [documents.index(old), documents.index(new)]
        assert documents[min(places)] == first, spec


# What cannot be


def check_refused(searched: Searched, spec: str, tools: Tools, *, says: str) -> None:
    options = RetrievalOptions().with_spec(spec)
    with pytest.raises(ConfigError) as refused:
        build_retriever(searched, options, top_k=5, tools=tools)
    assert str(refused.value) == says


@pytest.mark.parametrize("kind", ["multi_query", "hyde"])
def test_rewriting_without_a_language_model(memory: Searched, tools: Tools, kind: str) -> None:
    says = (
        f"{kind} asks a language model and there is none; pip install 'rag-app[local-llm]', or "
        "name an endpoint with --llm-base-url and --llm-model"
    )
    check_refused(memory, f"vector+{kind}", tools, says=says)


def test_a_weight_that_nobody_tuned(memory: Searched, tools: Tools) -> None:
    says = (
        "hybrid:auto+latest: only `rag-app sweep` tunes the weight, on questions whose answers "
        "are known; run it, or write a number: hybrid:0.7"
    )
    check_refused(memory, "hybrid:auto+latest", tools, says=says)


def test_a_filter_that_cannot_be_read(chroma: Searched, memory: Searched, tools: Tools) -> None:
    for searched in (chroma, memory):
        with pytest.raises(ConfigError, match=r"no chunk has the key 'categry'; did you mean 'cat"):
            build(searched, "vector", tools, where="categry = orders")


def test_a_reranker_that_is_nowhere(memory: Searched, tools: Tools) -> None:
    with pytest.raises(ModelError) as refused:
        build(memory, "vector+rerank:nobody/nothing", tools)
    assert str(refused.value) == (
        "cross-encoder 'nobody/nothing' was not found: not a folder, not under "
        f"{tools.storage / 'models'}, not in the Hugging Face cache, not in a package; the hub was "
        "not asked (set RAG_APP_OFFLINE=false to ask it). Name a folder that "
        "`CrossEncoder(...).save_pretrained(folder)` wrote"
    )


# Questions that no document was written for


@pytest.mark.parametrize("question", ODD.values(), ids=ODD)
def test_odd_questions_are_answered_all_the_same(
    chroma: Searched, memory: Searched, tools: Tools, question: str
) -> None:
    for spec in ("vector", "hybrid:0.3", "ranks:0.3", "hybrid:0", EVERYTHING):
        left = build(chroma, spec, tools).retrieve(question)
        right = build(memory, spec, tools).retrieve(question)
        assert len(left) == 5
        assert ids(left) == ids(right)
    assert build(memory, "keyword", tools).retrieve(question) == []
    # Without a word in common the vectors alone decide, whatever their weight.
    plain = ids(build(memory, "vector", tools).retrieve(question))
    for spec in ("hybrid:0.3", "ranks:0.3", "hybrid:0", "ranks:0"):
        assert ids(build(memory, spec, tools).retrieve(question)) == plain


def test_no_question_at_all(memory: Searched, tools: Tools) -> None:
    assert build(memory, EVERYTHING, tools).retrieve_many([]) == []
