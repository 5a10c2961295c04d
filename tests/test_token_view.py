"""Late interaction: MaxSim by hand, which tokens count, what is kept and when it is made again."""

import datetime as dt
from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest
from conftest import MINILM
from fakes import TokenWordModel, WordModel
from llama_index.core.schema import NodeWithScore, TextNode
from test_other_processes import INFO, pipeline, write

from rag_app.errors import ConfigError
from rag_app.index import Catalog, VectorIndex
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.bert import BertEncoder
from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace, rank_views
from rag_app.retrieve.learned import LearnedFusion
from rag_app.retrieve.sentences.folder import FOLDER as SENTENCES
from rag_app.retrieve.tokens.folder import FOLDER, open_token_embeddings, token_embeddings_of
from rag_app.retrieve.tokens.scorer import TokenScorer
from rag_app.retrieve.tokens.vectors import PassageTokens
from rag_app.retrieve.views import prepare_views
from rag_app.vectors import TokenEmbeddings, Vectors

EAST, NORTH = [1, 0], [0, 1]


def tokens(*rows: Sequence[float], ids: Sequence[int]) -> TokenEmbeddings:
    return TokenEmbeddings(np.array(ids, np.int32), np.array(rows, np.float32))


def passages(frequencies: Sequence[int]) -> PassageTokens:
    """Chunk a lies east and north, b north alone, c has no tokens."""
    rows = np.array([EAST, NORTH, NORTH], np.int8) * 127
    return PassageTokens(
        ["a", "b", "c"],
        np.array([0, 2, 3]),
        np.array([2, 1, 0]),
        rows,
        np.full(3, 1 / 127, np.float32),
        np.array([0, 1, 1], np.int32),
        np.array(frequencies),
    )


def test_each_token_of_the_question_takes_its_nearest_by_hand() -> None:
    question = tokens([0.6, 0.8], [1, 0], ids=[0, 1])
    # Of the first token the nearest is at .8 in both; of the second at 1 in a, at 0 in b.
    assert passages([1, 1]).scores(question, ["b", "a"]) == pytest.approx({"a": 0.9, "b": 0.4})


def test_rare_tokens_weigh_more() -> None:
    question = tokens([0, 1], [1, 0], ids=[0, 1])
    common, rare = log(4 / 2.5), log(4 / 1.5)
    found = passages([2, 1]).scores(question, ["a", "b"])
    assert found == pytest.approx({"a": 1.0, "b": common / (common + rare)})
    # What no chunk holds is the rarest.
    assert passages([2, 1]).rarity(np.array([0, 1, 9])) == pytest.approx([common, rare, log(8)])


def test_what_has_no_tokens_is_left_out() -> None:
    question = tokens(EAST, ids=[0])
    assert passages([1, 1]).scores(question, ["c", "gone"]) == {}
    assert passages([1, 1]).scores(tokens(ids=[]), ["a"]) == {}


def test_the_scorer_ranks_what_others_found() -> None:
    model = TokenWordModel()
    nodes = [TextNode(id_="a", text="red apple"), TextNode(id_="b", text="blue whale")]
    found = [NodeWithScore(node=node, score=9.0) for node in nodes]
    trace, hyde = Trace("A whale?"), Trace("red apple pie", as_passage=True)
    scorer = TokenScorer(token_embeddings_of(nodes, model), model)
    first, second = scorer.score([found, found], [trace, hyde])
    assert [hit.node.node_id for hit in first] == ["b", "a"]
    assert [hit.node.node_id for hit in second] == ["a", "b"]
    # "whale" is in one of two chunks, "a" in none.
    assert first[0].score == pytest.approx(log(3 / 1.5) / (log(3 / 1.5) + log(3 / 0.5)))
    assert [(step.name, list(step.scores)) for step in trace.steps] == [("token", ["b", "a"])]
    assert model.token_texts == ["red apple", "blue whale", "red apple pie"]


# Tokens of a real model


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return load_model(MINILM, storage=tmp_path_factory.mktemp("storage"))


def words_of(model: EmbeddingModel, found: TokenEmbeddings) -> list[str]:
    return [str(model.tokenizer.id_to_token(int(token))) for token in found.ids]


def test_prompt_punctuation_and_special_tokens_are_left_out(minilm: EmbeddingModel) -> None:
    prompted = EmbeddingModel("prompted", minilm.folder)
    prompted.prompts = type(minilm.prompts)("query: ", "passage: ")
    [found] = prompted.embed_query_tokens(["Reset it, now (2x)!"])
    assert words_of(minilm, found) == ["reset", "it", "now", "2", "##x"]
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    plain = minilm.embed_query_tokens(["Reset it, now (2x)!"])[0]
    # In its context a token lies elsewhere.
    assert not np.allclose(plain.vectors, found.vectors, atol=1e-3)
    assert [len(one.ids) for one in minilm.embed_passage_tokens(["", "?!", "a"])] == [0, 0, 1]


def test_a_long_text_has_the_tokens_that_the_model_reads(minilm: EmbeddingModel) -> None:
    [found] = minilm.embed_passage_tokens(["word " * 400])
    assert words_of(minilm, found) == ["word"] * (minilm.max_tokens - 2)


def test_without_torch_tokens_lie_in_the_same_place(minilm: EmbeddingModel) -> None:
    light = EmbeddingModel("light", minilm.folder, without_torch=True)
    texts = ["How do I reset the lock?", "word " * 400, "?"]
    for one, other in zip(
        light.embed_query_tokens(texts), minilm.embed_query_tokens(texts), strict=True
    ):
        assert one.ids.tolist() == other.ids.tolist()
        assert np.einsum("td,td->t", one.vectors, other.vectors) == pytest.approx(
            np.ones(len(one.ids)), abs=1e-4
        )


def test_a_question_passes_the_model_once_for_its_vector_and_its_tokens(
    minilm: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[list[int]] = []
    whole = BertEncoder.__call__

    def counted(encoder: BertEncoder, texts: Sequence[Sequence[int]]) -> list[Vectors]:
        passes.append([len(ids) for ids in texts])
        return whole(encoder, texts)

    monkeypatch.setattr(BertEncoder, "__call__", counted)
    light = EmbeddingModel("light", minilm.folder, without_torch=True)
    light.embed_queries(["reset it"])
    light.embed_query_tokens(["reset it"])
    light.embed_query_tokens(["reset it now"])
    assert passes == [[4], [5]]


# Beside an index


@pytest.fixture
def index(tmp_path: Path) -> VectorIndex:
    made = Catalog(tmp_path).make("words", INFO)
    write(made, {"d0": "red apple. green pear.", "d1": "blue whale song"})
    return made


def opened(index: VectorIndex, model: TokenWordModel) -> int:
    """Open the token embeddings; how many chunks were embedded for it."""
    before = len(model.token_texts)
    found = open_token_embeddings(index, model)
    assert sorted(found.chunk_ids) == sorted(index.chunk_ids())
    fresh = token_embeddings_of(index.nodes(), model)
    embedded = len(model.token_texts) - before - len(found.chunk_ids)
    for question in ("red whale", "a green apple"):
        [asked] = model.embed_query_tokens([question])
        ids = index.chunk_ids()
        assert found.scores(asked, ids) == pytest.approx(fresh.scores(asked, ids))
    return embedded


def test_only_new_chunks_are_embedded(index: VectorIndex) -> None:
    model = TokenWordModel()
    assert (opened(index, model), opened(index, model)) == (2, 0)
    write(index, {"d2": "yellow moon. red apple."})
    assert opened(index, model) == 1
    index.delete(index.chunk_ids()[:1])
    assert opened(index, model) == 0
    index.delete(index.chunk_ids())
    assert opened(index, model) == 0


def test_those_of_another_model_are_not_taken(index: VectorIndex) -> None:
    assert opened(index, TokenWordModel()) == 2
    assert opened(index, TokenWordModel(seed=1)) == 2


def test_in_memory_and_kept_ones_score_alike(index: VectorIndex) -> None:
    model = TokenWordModel()
    [asked] = model.embed_query_tokens(["a green pear"])
    memory = Searched(index, model, index.passages()).token_scorer
    live = Searched(index, model).token_scorer
    assert memory is not None
    assert live is not None
    ids = index.chunk_ids()
    assert live.tokens.scores(asked, ids) == pytest.approx(memory.tokens.scores(asked, ids))


def test_who_opens_an_index_hears_of_it_while_tokens_are_embedded(index: VectorIndex) -> None:
    heard: list[tuple[str, int, int]] = []
    searched = Searched(
        index,
        TokenWordModel(),
        progress=lambda step, done, total, *_: heard.append((step, done, total)),
    )
    for _ in range(2):
        assert searched.token_scorer is not None
    assert heard == [("token embeddings", 2, 2)]


@pytest.mark.parametrize(
    ("weights", "made"),
    [
        ({"vector": 0.7, "keyword": 0.3}, set()),
        ({"vector": 0.5, "sentence": 0.5}, {SENTENCES}),
        ({"keyword": 0.5, "token": 0.5}, {FOLDER}),
        ({"sentence": 0.5, "token": 0.5}, {SENTENCES, FOLDER}),
    ],
)
def test_an_ingest_makes_what_the_search_uses(
    index: VectorIndex, weights: dict[str, float], made: set[str]
) -> None:
    model = TokenWordModel()
    prepare_views(index, model, None)
    index.keep_fusion(LearnedFusion(weights, "", 50).to_json())
    prepare_views(index, model, None)
    assert {name for name in (SENTENCES, FOLDER) if (index.folder / name).exists()} == made


# In a hybrid


def views_of(index: VectorIndex, model: WordModel, tmp_path: Path) -> dict[str, Vectors]:
    searched = Searched(index, model, index.passages())
    tools = Tools(tmp_path, dt.date(2026, 1, 1), None, lambda name: pytest.fail(name))
    views = rank_views(searched, RetrievalOptions("hybrid"), [Trace("red moon")], tools=tools)
    return {name: np.array([hit.score for hit in hits]) for name, [hits] in views.items()}


def test_a_model_without_tokens_has_three_views(index: VectorIndex, tmp_path: Path) -> None:
    assert list(views_of(index, WordModel(), tmp_path)) == ["vector", "keyword", "sentence"]
    with_tokens = views_of(index, TokenWordModel(), tmp_path)
    assert list(with_tokens) == ["vector", "keyword", "sentence", "token"]
    assert len(with_tokens["token"]) == 2


def test_weights_of_tokens_for_a_model_without_any(index: VectorIndex, tmp_path: Path) -> None:
    index.keep_fusion(LearnedFusion({"token": 1.0}, "", 50).to_json())
    with pytest.raises(ConfigError) as refused:
        pipeline(index, tmp_path, retriever="hybrid", fusion="learned").rank([Trace("red moon")])
    assert str(refused.value) == (
        "the weights that are kept for index 'words' weigh tokens, and words gives none; `rag-app "
        "sweep --retriever hybrid:learned` learns them anew"
    )
