"""A model that reads its texts packed gives the vectors and gradients of one that pads them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sentence_transformers.sentence_transformer.losses import (
    MultipleNegativesRankingLoss,
    TripletLoss,
)
from tiny import make_tiny_model

from rag_app.finetune.train.cuda_graph import CudaGraphStep
from rag_app.finetune.train.losses import PackedColumnsRankingLoss, PackedColumnsTripletLoss
from rag_app.finetune.train.packed import ATTENTION, pack_texts
from rag_app.finetune.train.packed_columns import WHOLE, embed_columns

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

WIDTH = 32
MAX_TOKENS = 24
# As RoBERTa numbers them: its padding is token 1, and positions count on from there.
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
WORDS = [f"zorb{i}" for i in range(30)]
TOLERANCE = 1e-5

UNEQUAL = [
    "zorb1",
    "zorb2 zorb3 zorb4 zorb5 zorb6 zorb7 zorb8 zorb9",
    "zorb3 zorb2",
    "",
    "zorb10 zorb11 zorb12 zorb13 zorb14",
]
EQUAL = ["zorb1 zorb2 zorb3", "zorb4 zorb5 zorb6", "zorb3 zorb2 zorb1"]
# The second is cut.
TOO_LONG = ["zorb7 zorb8", " ".join(WORDS)]
ALONE = ["zorb5 zorb6 zorb7"]
TEXTS = {"unequal": UNEQUAL, "equal": EQUAL, "too long": TOO_LONG, "alone": ALONE}


pytestmark = pytest.mark.usefixtures("single_thread")


def configured(family: str) -> Any:
    """A model of two layers with random weights that differ enough to tell texts apart."""
    from transformers import AutoConfig, AutoModel

    sizes: dict[str, Any] = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 2 * WIDTH,
    }
    if family == "distilbert":
        sizes = {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 2 * WIDTH}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(SPECIAL) + len(WORDS),
        max_position_embeddings=MAX_TOKENS + 2,
        initializer_range=0.2,
        pad_token_id=1,
        **sizes,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModel.from_config(config)


def save_words(folder: Path) -> None:
    """A tokenizer of one token a word, between <s> and </s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_TOKENS,
        bos_token="<s>",  # noqa: S106
        cls_token="<s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        sep_token="</s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
    ).save_pretrained(folder)


def make_family(folder: Path, family: str) -> Path:
    """Save a tiny model of any family as a sentence-transformers folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    inner = folder.with_name(folder.name + ".inner")
    configured(family).save_pretrained(inner)
    save_words(inner)
    modules = [
        Transformer(str(inner), max_seq_length=MAX_TOKENS),
        Pooling(WIDTH, pooling_mode="mean"),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


def make_bert(folder: Path) -> Path:
    return make_tiny_model(folder, words=WORDS)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "bert": make_bert,
    "roberta": lambda folder: make_family(folder, "roberta"),
    "xlm-roberta": lambda folder: make_family(folder, "xlm-roberta"),
}


def load(folder: Path) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": "float32"})


def embed(model: "SentenceTransformer", texts: Sequence[str]) -> torch.Tensor:
    """Vectors in the way of training: with a gradient."""
    vectors: torch.Tensor = model(model.preprocess(list(texts)))["sentence_embedding"]
    return vectors


def gradients(model: "SentenceTransformer", texts: Sequence[str]) -> dict[str, torch.Tensor]:
    """Of a loss that every number of every vector has a part in."""
    vectors = embed(model, texts)
    weights = torch.linspace(-1, 1, vectors.numel()).view_as(vectors)
    torch.autograd.backward((weights * vectors).sum())
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module", params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MAKERS[request.param](tmp_path_factory.mktemp(request.param) / "tiny")


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_packed_vectors_are_the_padded_ones(folder: Path, texts: list[str]) -> None:
    padded, packed = load(folder), load(folder)
    assert pack_texts(packed)
    with torch.no_grad():
        expected, found = embed(padded, texts), embed(packed, texts)
    assert found.shape == (len(texts), WIDTH)
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_packed_gradients_are_the_padded_ones(folder: Path, texts: list[str]) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    expected, found = gradients(padded, texts), gradients(packed, texts)
    assert found.keys() == expected.keys()
    attention = [name for name in expected if "attention" in name and name.endswith("weight")]
    assert all(bool(expected[name].abs().max() > 0) for name in attention)
    for name, gradient in expected.items():
        difference = (found[name] - gradient).abs().max()
        assert difference < TOLERANCE * max(1.0, float(gradient.abs().max())), name


def test_under_autocast_hidden_states_stay_in_its_type(folder: Path) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    seen: list[torch.dtype] = []
    for layer in packed[0].auto_model.encoder.layer:
        layer.register_forward_hook(
            lambda _layer, _given, hidden: seen.append(
                (hidden[0] if isinstance(hidden, tuple) else hidden).dtype
            )
        )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = embed(packed, UNEQUAL)
    assert set(seen) == {torch.bfloat16}
    assert found.dtype == torch.float32
    with torch.no_grad():
        expected = embed(padded, UNEQUAL)
    # A number of 8 bits is off by 1 in 256 at most, more than once in each of the layers.
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def on_gpu(model: "SentenceTransformer", texts: Sequence[str]) -> dict[str, Any]:
    """What a model reads, where it reads."""
    return {
        name: value.to("cuda") if isinstance(value, torch.Tensor) else value
        for name, value in model.preprocess(list(texts)).items()
    }


def assert_like(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Gradients that differ by what bfloat16 rounds."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        difference = float((found[name] - gradient).norm())
        assert difference < 0.1 * float(gradient.norm()) + 0.01, name


@needs_gpu
@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_on_a_gpu_too_packed_texts_give_the_padded_vectors_and_gradients(
    folder: Path, texts: list[str]
) -> None:
    padded, packed = load(folder).to("cuda"), load(folder).to("cuda")
    pack_texts(packed)
    vectors, found = [], []
    for model in (padded, packed):
        with torch.autocast("cuda", torch.bfloat16):
            vectors.append(model(on_gpu(model, texts))["sentence_embedding"])
        weights = torch.linspace(-1, 1, vectors[-1].numel(), device="cuda").view_as(vectors[-1])
        torch.autograd.backward((weights * vectors[-1]).sum())
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    torch.testing.assert_close(vectors[1], vectors[0], atol=0.05, rtol=0)
    assert_like(found[1], found[0])


LEARNING_RATE = 1e-3


class NoGraph:
    """Stands for a CUDA graph: counts how often it is launched."""

    launched = 0

    def replay(self) -> None:
        NoGraph.launched += 1


def make_graph_step(model: "SentenceTransformer", autocast: Any) -> tuple[CudaGraphStep, Any]:
    """CUDA-graph steps of a model, and the optimizer."""
    loss = PackedColumnsRankingLoss(model)

    def loss_of(packed: dict[str, Any], counts: Sequence[int]) -> torch.Tensor:
        with autocast():
            value: torch.Tensor = loss.of_packed_columns(packed, counts)
            return value

    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    return CudaGraphStep(loss_of, optimizer, most_norm=1.0), optimizer


def eager_step(model: "SentenceTransformer", columns: Any, optimizer: Any, autocast: Any) -> float:
    """What a trainer does with a batch."""
    with autocast():
        value = PackedColumnsRankingLoss(model)(columns, None)
    torch.autograd.backward(value)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    model.zero_grad()
    return float(value.item())


def test_a_step_for_a_graph_is_that_of_a_trainer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU a step is done where it would be captured."""
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", tuple)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", NoGraph)
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(NoGraph, "launched", 0)
    model, other = load(folder), load(folder)
    pack_texts(model)
    pack_texts(other)
    graph_step, optimizer = make_graph_step(model, nullcontext)
    others = torch.optim.AdamW(other.parameters(), lr=LEARNING_RATE, fused=True)
    batches = [
        [model.preprocess(texts) for texts in (EQUAL, passages)]
        for passages in ([" ".join(WORDS), *EQUAL[1:]], UNEQUAL[:3])
    ]
    expected = [eager_step(other, batch, others, nullcontext) for batch in (batches[0],) * 2]

    # The first step of a size is the trainer's.
    assert graph_step.step(batches[0]) is None
    eager_step(model, batches[0], optimizer, nullcontext)
    loss = graph_step.step(batches[0])
    assert loss is not None
    assert loss.item() == pytest.approx(expected[1], rel=1e-4)
    assert NoGraph.launched == 1
    assert all(weights.grad is None for weights in model.parameters())
    assert [(group["lr"], group["capturable"]) for group in optimizer.param_groups] == [
        (LEARNING_RATE, False)
    ]
    for (name, found), weights in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, weights, atol=LEARNING_RATE / 10, rtol=0, msg=name)

    # Another batch of this size is a graph's step, one with other texts is not.
    assert graph_step.step(batches[1]) is not None
    assert NoGraph.launched == 2
    assert graph_step.step([batches[0][0], model.preprocess(EQUAL[:2])]) is None


@needs_gpu
def test_cuda_graph_steps_train_like_the_trainer_s(folder: Path) -> None:
    model, other = load(folder).to("cuda"), load(folder).to("cuda")
    pack_texts(model)
    pack_texts(other)
    autocast = partial(torch.autocast, "cuda", torch.bfloat16)
    graph_step, optimizer = make_graph_step(model, autocast)
    others = torch.optim.AdamW(other.parameters(), lr=LEARNING_RATE, fused=True)
    texts = [
        ([*EQUAL[:2], ""], passages) for passages in (UNEQUAL[:3], [" ".join(WORDS), *EQUAL[1:]])
    ]
    expected, found = [], []
    for step in range(10):
        for group in (*optimizer.param_groups, *others.param_groups):
            group["lr"] = LEARNING_RATE / (1 + step)
        columns = [model.preprocess(column) for column in texts[step % 2]]
        there = [on_gpu(model, column) for column in texts[step % 2]]
        expected.append(eager_step(other, there, others, autocast))
        loss = graph_step.step(columns)
        # The graph is captured at the second step.
        assert (loss is None) == (step == 0)
        found.append(eager_step(model, there, optimizer, autocast) if loss is None else float(loss))
    assert expected[0] > expected[-2] + 0.1
    assert found == pytest.approx(expected, abs=0.05)
    moved = 0.0
    for weights, like in zip(model.parameters(), other.parameters(), strict=True):
        moved = max(moved, (weights - like).abs().max().item())
    assert moved < 2 * LEARNING_RATE


def test_packed_texts_have_no_padding(folder: Path) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    # Words, and two special tokens each: 3 + 5 + 4 tokens; padded three times the longest.
    texts = ["zorb1", "zorb2 zorb3 zorb4", "zorb5 zorb6"]
    assert padded.preprocess(texts)["input_ids"].shape == (3, 5)
    assert packed.preprocess(texts)["input_ids"].shape == (1, 12)


def test_a_text_does_not_see_its_neighbours(folder: Path) -> None:
    packed = load(folder)
    pack_texts(packed)
    with torch.no_grad():
        [alone] = embed(packed, ["zorb1 zorb2"])
        beside = embed(packed, ["zorb9 zorb8 zorb7", "zorb1 zorb2", "zorb3"])[1]
    torch.testing.assert_close(beside, alone, atol=TOLERANCE, rtol=0)


def test_encode_reads_packed_texts_too(folder: Path) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    texts = [*UNEQUAL, *EQUAL]
    expected, found = (
        model.encode(texts, batch_size=3, show_progress_bar=False) for model in (padded, packed)
    )
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("theirs", "ours", "columns"),
    [
        (MultipleNegativesRankingLoss, PackedColumnsRankingLoss, 2),
        (MultipleNegativesRankingLoss, PackedColumnsRankingLoss, 3),
        (TripletLoss, PackedColumnsTripletLoss, 3),
    ],
    ids=["pairs", "with negatives", "triplets"],
)
def test_columns_that_pass_together_bring_the_loss_of_columns_one_by_one(
    folder: Path, theirs: Any, ours: Any, columns: int
) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    texts = [["zorb1", "zorb2 zorb3", ""], [" ".join(WORDS), *EQUAL[:2]], UNEQUAL[:3]][:columns]
    labels = torch.zeros(3)
    losses, found = [], []
    for model, kind in ((padded, theirs), (packed, ours)):
        loss = kind(model)([model.preprocess(column) for column in texts], labels)
        torch.autograd.backward(loss)
        losses.append(loss.item())
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert losses[0] > 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert found[1].keys() == found[0].keys()
    for name, gradient in found[0].items():
        difference = (found[1][name] - gradient).abs().max()
        assert difference < TOLERANCE * max(1.0, float(gradient.abs().max())), name


def test_a_batch_of_unequal_columns_passes_the_model_once(folder: Path) -> None:
    packed = load(folder)
    pack_texts(packed)
    passes: list[torch.Size] = []
    packed.register_forward_pre_hook(lambda _, given: passes.append(given[0]["input_ids"].shape))
    questions, passages = packed.preprocess(["zorb1"]), packed.preprocess(["zorb2 zorb3"])
    PackedColumnsRankingLoss(packed)([questions, passages], torch.zeros(1))
    # Seven tokens, filled up.
    assert passes == [(1, WHOLE)]


@pytest.mark.parametrize(("included", "passes"), [(True, 1), (False, 2)], ids=["in", "left out"])
def test_columns_with_prompts_pass_together_where_vectors_hold_them(
    folder: Path, included: bool, passes: int
) -> None:
    padded, packed = load(folder), load(folder)
    pack_texts(packed)
    seen: list[Any] = []
    packed.register_forward_pre_hook(lambda _, given: seen.append(given))
    losses = []
    for model, kind in ((padded, MultipleNegativesRankingLoss), (packed, PackedColumnsRankingLoss)):
        model.set_pooling_include_prompt(include_prompt=included)
        # One is a token longer than the other.
        columns = [
            model.preprocess(EQUAL, prompt="zorb20 "),
            model.preprocess(UNEQUAL[:3], prompt="zorb21 zorb22 "),
        ]
        losses.append(kind(model)(columns, torch.zeros(3)).item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert len(seen) == passes


@pytest.mark.parametrize(
    ("passages", "tokens"),
    [(1, WHOLE), (40, WHOLE), (41, 2 * WHOLE)],
    ids=["few", "nearly whole", "whole"],
)
def test_columns_together_are_filled_up_to_a_whole_number_of_tokens(
    folder: Path, passages: int, tokens: int
) -> None:
    packed = load(folder)
    pack_texts(packed)
    passes: list[torch.Size] = []
    packed.register_forward_pre_hook(lambda _, given: passes.append(given[0]["input_ids"].shape))
    # Five tokens and three, so that 41 passages are 128 tokens with the question, and one more text
    # needs tokens of its own.
    columns = [packed.preprocess(["zorb1 zorb2 zorb3"]), packed.preprocess(["zorb2"] * passages)]
    question, others = embed_columns(packed, columns)
    assert passes == [(1, tokens)]
    assert (len(question), len(others)) == (1, passages)
    torch.testing.assert_close(question, embed(packed, ["zorb1 zorb2 zorb3"]))
    torch.testing.assert_close(others[-1], embed(packed, ["zorb2"])[0])


def test_an_unknown_family_is_left_as_it_was(tmp_path: Path) -> None:
    model = load(make_family(tmp_path / "tiny", "distilbert"))
    module: Any = model[0]
    before = module.auto_model.config._attn_implementation
    with torch.no_grad():
        vectors = embed(model, UNEQUAL)
        assert pack_texts(model) is False
        assert module.auto_model.config._attn_implementation == before != ATTENTION
        assert model.preprocess(UNEQUAL)["input_ids"].shape == (5, 10)
        torch.testing.assert_close(embed(model, UNEQUAL), vectors, atol=0, rtol=0)


def test_a_model_without_a_transformer_is_left_as_it_was() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    model = SentenceTransformer(modules=[BoW(vocab=WORDS)], device="cpu")
    assert pack_texts(model) is False
