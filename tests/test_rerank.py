"""Reading candidates again: the order is the cross-encoder's, and only a cross-encoder is taken."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import MINILM
from llama_index.core.schema import NodeWithScore, TextNode
from tiny import make_tiny_cross_encoder, make_tiny_model

from rag_app.errors import ModelError
from rag_app.models import find_weights
from rag_app.models.cross_encoder import CrossEncoder, CrossEncoders
from rag_app.retrieve.rerank import CrossEncoderRerank
from rag_app.vectors import Vectors

QUESTION = "when is the refund paid"
PASSAGES = ["the refund is paid in five days", "parcels go by freight", "paid", "refund " * 300]

pytestmark = pytest.mark.usefixtures("single_thread")


class Reader:
    """A cross-encoder that gives each passage the number at its end."""

    def __init__(self) -> None:
        self.read: list[tuple[str, list[str]]] = []

    def score(self, question: str, passages: Sequence[str]) -> Vectors:
        self.read.append((question, list(passages)))
        return np.array([float(text.split()[-1]) for text in passages], dtype=np.float32)


def hits(*texts: str) -> list[NodeWithScore]:
    """Passages that were found in this order, all titled "Refunds"."""
    return [
        NodeWithScore(
            node=TextNode(
                id_=f"{n}",
                text=text,
                metadata={"title": "Refunds", "path": "secret.md"},
                excluded_embed_metadata_keys=["path"],
                metadata_template="{value}",
                text_template="{metadata_str}\n{content}",
            ),
            score=1 / n,
        )
        for n, text in enumerate(texts, 1)
    ]


def reranked(
    encoder: Reader | CrossEncoder, found: list[NodeWithScore]
) -> list[tuple[str, float | None]]:
    rerank = CrossEncoderRerank(encoder)
    return [
        (hit.node.node_id, hit.score) for hit in rerank.postprocess_nodes(found, query_str=QUESTION)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = sorted({word for text in PASSAGES for word in text.split()})
    return make_tiny_cross_encoder(tmp_path_factory.mktemp("judge") / "judge", words=words)


@pytest.fixture(scope="module")
def judge(folder: Path) -> CrossEncoder:
    return CrossEncoder("judge", folder, device="cpu")


def test_all_candidates_in_the_order_of_the_cross_encoder() -> None:
    reader, found = Reader(), hits("good 2", "best 7", "bad -3.5", "better 3")
    assert reranked(reader, found) == [("2", 7), ("4", 3), ("1", 2), ("3", -3.5)]
    # What was found is not changed.
    assert [hit.score for hit in found] == [1, 1 / 2, 1 / 3, 1 / 4]


def test_it_reads_the_question_and_what_is_embedded_of_a_passage() -> None:
    reader = Reader()
    reranked(reader, hits("good 2", "best 7"))
    assert reader.read == [(QUESTION, ["Refunds\ngood 2", "Refunds\nbest 7"])]


def test_equal_scores_keep_the_order_of_the_candidates() -> None:
    assert reranked(Reader(), hits("c 1", "a 1", "d 2", "b 1")) == [
        ("3", 2),
        ("1", 1),
        ("2", 1),
        ("4", 1),
    ]


def test_nothing_is_read_of_nothing() -> None:
    reader = Reader()
    assert reranked(reader, []) == []
    assert reader.read == []


def test_a_real_cross_encoder_scores_pairs(judge: CrossEncoder) -> None:
    scores = judge.score(QUESTION, PASSAGES)
    assert scores.shape == (4,)
    assert scores.dtype == np.float32
    assert len(set(scores.tolist())) == 4
    for passage, score in zip(PASSAGES, scores, strict=True):
        # Alone or among others, a passage longer than the model reads included.
        assert judge.score(QUESTION, [passage])[0] == pytest.approx(score, abs=1e-6)
    assert judge.score("parcels", PASSAGES).tolist() != scores.tolist()
    found = reranked(judge, hits(*PASSAGES))
    titled = judge.score(QUESTION, [f"Refunds\n{text}" for text in PASSAGES])
    assert [name for name, _ in found] == [f"{n + 1}" for n in np.argsort(-titled)]
    assert [score for _, score in found] == pytest.approx(-np.sort(-titled), abs=1e-6)


def test_by_name_under_storage_and_by_folder(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "models" / "acme__judge")
    scores = [
        CrossEncoders(tmp_path, device="cpu").load(name).score(QUESTION, PASSAGES).tolist()
        for name in ("acme/judge", str(folder))
    ]
    assert scores[0] == scores[1]


def test_it_is_loaded_once_and_anew_when_its_folder_was_written(
    folder: Path, tmp_path: Path
) -> None:
    for name in "abc":
        shutil.copytree(folder, tmp_path / "models" / name)
    encoders = CrossEncoders(tmp_path, device="cpu")
    first = encoders.load("a")
    assert encoders.load("b") is not first
    assert encoders.load("a") is first
    # Another one of the same name.
    shutil.rmtree(tmp_path / "models" / "a")
    make_tiny_cross_encoder(tmp_path / "models" / "a", words=["refund", "parcels"])
    tuned = encoders.load("a")
    assert tuned.score(QUESTION, PASSAGES).tolist() != first.score(QUESTION, PASSAGES).tolist()
    # Two are kept.
    encoders.load("b")
    encoders.load("c")
    assert encoders.load("a") is not tuned


def refusal(name: str | Path, storage: Path) -> str:
    with pytest.raises(ModelError) as refused:
        CrossEncoders(storage, device="cpu").load(str(name))
    return str(refused.value)


def test_an_embedding_model_is_refused(tmp_path: Path) -> None:
    # sentence-transformers would load it, with a last layer of random weights.
    said = (
        "was not trained to score pairs (it is a BertModel); a reranker is a cross-encoder, such "
        "as cross-encoder/ms-marco-MiniLM-L6-v2"
    )
    tiny = make_tiny_model(tmp_path / "tiny")
    assert refusal(tiny, tmp_path) == f"{tiny} {said}"
    assert refusal(tmp_path / "tiny.bert", tmp_path) == f"{tmp_path / 'tiny.bert'} {said}"
    assert refusal(MINILM, tmp_path) == f"{MINILM} {said}"
    assert find_weights(MINILM, storage=tmp_path).is_dir()


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    three = make_tiny_cross_encoder(tmp_path / "three", labels=3)
    assert refusal(three, tmp_path) == f"{three} gives 3 scores for a pair; a reranker gives one"


def test_a_cross_encoder_that_is_nowhere(tmp_path: Path) -> None:
    assert refusal("nobody/nothing", tmp_path) == (
        f"cross-encoder 'nobody/nothing' was not found: not a folder, not under "
        f"{tmp_path / 'models'}, not in the Hugging Face cache, not in a package; the hub was not "
        "asked (set RAG_APP_OFFLINE=false to ask it). Name a folder that "
        "`CrossEncoder(...).save_pretrained(folder)` wrote"
    )


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    assert refusal(copy, tmp_path) == (
        f"{copy} holds no .safetensors weights; save the model with "
        "`CrossEncoder(...).save_pretrained(folder)` and name that folder"
    )


@pytest.mark.parametrize("name", ["modules.json", "config.json", "model.safetensors"])
def test_a_broken_folder_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / name).write_bytes(b"{ broken")
    said = refusal(copy, tmp_path)
    assert said.startswith(f"{copy / name} is damaged (")
    assert said.endswith("`CrossEncoder(...).save_pretrained(folder)`, or name another model")
    assert "\n" not in said
