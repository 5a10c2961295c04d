"""Each method changes the weights that it says and no others, and saves a model like the base."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_finetune import DEV, OPTIONS, ROWS, WORDS, make_base, make_engine, weights
from test_packed import embed, load, make_family
from tiny import make_tiny_model

from rag_app.errors import TrainingError
from rag_app.finetune.data.dev import DevEvaluator
from rag_app.finetune.data.negatives import NegativeKind, NegativeOptions
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.phases import Phase, plan_phases
from rag_app.finetune.train.losses import LOSSES
from rag_app.finetune.train.methods import METHODS, find_method
from rag_app.finetune.train.packed import pack_texts
from rag_app.finetune.train.run import dev_evaluator
from rag_app.models import EmbeddingModel

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LORA = replace(OPTIONS, method="lora", epochs=1)
TOP = replace(OPTIONS, method="top", top_layers=1, epochs=1)
Finish = Callable[[], None]


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


def changed(before: Path, after: Path) -> set[str]:
    """Names of the weights that differ; both folders hold the same names."""
    first, second = weights(before), weights(after)
    assert first.keys() == second.keys()
    return {name for name in first if not np.array_equal(first[name], second[name])}


def linear_weights(model: "SentenceTransformer") -> set[str]:
    inner: Any = model[0].auto_model
    return {
        f"encoder.{name}.weight"
        for name, module in inner.encoder.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def test_lora_changes_the_linear_layers_and_leaves_nothing_of_its_own(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    make_engine(base, tmp_path / "x", options=LORA).finetune()
    # Query, key, value, output and two of the feed-forward part, in two layers.
    names = linear_weights(base.transformer)
    assert len(names) == 2 * 6
    assert changed(base.folder, tmp_path / "x") == names
    assert not list((tmp_path / "x").rglob("adapter_*"))


def test_a_model_tuned_by_lora_is_as_good_as_it_was_in_training(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    engine = make_engine(base, tmp_path / "x", options=replace(LORA, epochs=3))
    engine.finetune()
    before = DevEvaluator(DEV, base.prompts)(base.transformer)["dev_mrr@10"]
    saved = DevEvaluator(DEV, base.prompts)(engine.load().transformer)["dev_mrr@10"]
    assert saved > before + 0.1
    assert saved == pytest.approx(max(engine.finished_report().dev_mrr), abs=0.02)


def test_merged_weights_give_what_the_adapted_layers_gave(base: EmbeddingModel) -> None:
    model = load(base.folder)
    finish = METHODS["lora"].prepare(model, LORA)
    texts = [ROWS[0].question, ROWS[1].passage]
    with torch.no_grad():
        untrained = embed(model, texts)
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.01
        trained = embed(model, texts)
        finish()
        merged = embed(model, texts)
    assert (trained - untrained).abs().max() > 1e-3
    torch.testing.assert_close(merged, trained, atol=1e-5, rtol=0)


def test_top_changes_only_the_last_layer(base: EmbeddingModel, tmp_path: Path) -> None:
    engine = make_engine(base, tmp_path / "x", options=TOP)
    engine.finetune()
    names = changed(base.folder, tmp_path / "x")
    assert {name.split(".")[2] for name in names} == {"1"}
    last = {name for name in linear_weights(base.transformer) if ".layer.1." in name}
    assert len(last) == 6
    assert last <= names
    # Read as in training: packed, and in bfloat16 where the processor knows it.
    saved = engine.load().transformer
    pack_texts(saved)
    score = dev_evaluator(DEV, base.prompts, "cpu")(saved)["dev_mrr@10"]
    assert score == pytest.approx(engine.finished_report().dev_mrr[0], abs=0.02)


def kept(model: "SentenceTransformer") -> Finish:
    pack_texts(model)
    return METHODS["top"].prepare(model, TOP)


def frozen(model: "SentenceTransformer") -> Finish:
    inner: Any = model[0].auto_model
    for weight in model.parameters():
        weight.requires_grad_(False)
    for weight in inner.encoder.layer[-1].parameters():
        weight.requires_grad_(True)
    return lambda: None


def trained(folder: Path, prepare: Callable[["SentenceTransformer"], Finish], target: Path) -> Path:
    """Three steps of plain gradient descent in float32: on eight pairs, on others, on a mixture."""
    model = load(folder)
    finish = prepare(model)
    loss = LOSSES["mnrl"].build(model, TOP, [])
    optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], lr=0.1)
    for rows in (ROWS[:8], ROWS[8:16], ROWS[4:12]):
        texts = ([row.question for row in rows], [row.passage for row in rows])
        optimizer.zero_grad()
        loss([model.preprocess(side) for side in texts], None).backward()
        optimizer.step()
    finish()
    model.save_pretrained(str(target), create_model_card=False)
    return target


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_kept_layers_train_as_frozen_ones_do(tmp_path: Path, family: str) -> None:
    folder = (
        make_tiny_model(tmp_path / "tiny", words=WORDS)
        if family == "bert"
        else make_family(tmp_path / "tiny", family)
    )
    one = trained(folder, frozen, tmp_path / "frozen")
    other = trained(folder, kept, tmp_path / "kept")
    moved = [np.abs(weights(one)[name] - weights(folder)[name]).max() for name in weights(one)]
    assert max(moved) > 1e-2
    assert changed(folder, one) == changed(folder, other)
    for name, values in weights(one).items():
        np.testing.assert_allclose(weights(other)[name], values, atol=1e-5, err_msg=name)


def test_lower_layers_are_computed_once_for_a_text(base: EmbeddingModel) -> None:
    model = load(base.folder)
    inner: Any = model[0].auto_model
    lower = inner.encoder.layer[0]
    finish = kept(model)
    texts = [row.question for row in ROWS[:3]]
    with torch.no_grad():
        first = embed(model, texts)
        for weight in lower.parameters():
            weight.zero_()
        # In another order, and one of them alone.
        torch.testing.assert_close(embed(model, texts[::-1]), first.flip(0), atol=1e-5, rtol=0)
        torch.testing.assert_close(embed(model, texts[1:2]), first[1:2], atol=1e-5, rtol=0)
        finish()
        assert (embed(model, texts) - first).abs().max() > 1e-2


def test_what_finds_no_room_is_computed_anew(base: EmbeddingModel) -> None:
    model = load(base.folder)
    inner: Any = model[0].auto_model
    lower = inner.encoder.layer[0]
    kept(model)
    inner.embeddings.room = 1500
    texts = [row.question for row in ROWS[:6]]
    with torch.no_grad():
        first = embed(model, texts)
        torch.testing.assert_close(embed(model, texts[::-1]), first.flip(0), atol=1e-5, rtol=0)
        for weight in lower.parameters():
            weight.zero_()
        moved = [
            float((embed(model, [text]) - vector).abs().max())
            for text, vector in zip(texts, first, strict=True)
        ]
    assert 0 < sum(change < 1e-5 for change in moved) < 6
    assert 0 <= inner.embeddings.room < 1500


@pytest.mark.parametrize("layers", [0, 2, 5])
def test_a_wrong_number_of_layers_says_how_many_there_are(
    base: EmbeddingModel, tmp_path: Path, layers: int
) -> None:
    message = f"--top-layers is {layers}; this model has 2 layers, so it takes 1 to 1"
    with pytest.raises(TrainingError, match=message):
        make_engine(base, tmp_path / "x", options=replace(TOP, top_layers=layers)).finetune()
    assert not (tmp_path / "x").exists()


def test_an_unknown_method_lists_the_known() -> None:
    with pytest.raises(TrainingError) as caught:
        find_method("magic", loss="mnrl")
    assert str(caught.value) == (
        "there is no method 'magic'; --method takes one of: full, lora, top, adapter"
    )
    assert all(find_method(name, loss="mnrl") is entry for name, entry in METHODS.items())


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_a_transformer_is_told_what_to_use(method: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    model = SentenceTransformer(modules=[BoW(vocab=WORDS)], device="cpu")
    with pytest.raises(TrainingError, match=r"BoW models have no transformer .* --method adapter"):
        METHODS[method].prepare(model, TrainingOptions(method=method))


@pytest.mark.parametrize("family", ["distilbert", "mpnet"])
def test_top_refuses_a_family_that_cannot_be_packed(tmp_path: Path, family: str) -> None:
    base = EmbeddingModel("acme/tiny", make_family(tmp_path / "tiny", family), device="cpu")
    with pytest.raises(TrainingError, match="--method full or adapter"):
        make_engine(base, tmp_path / "x", options=TOP).finetune()


@pytest.mark.parametrize("options", [LORA, TOP])
def test_what_does_not_go_with_dae_says_so(
    base: EmbeddingModel, tmp_path: Path, options: TrainingOptions
) -> None:
    with pytest.raises(TrainingError, match="does not go with --loss dae; it takes: mnrl, triplet"):
        make_engine(base, tmp_path / "x", options=replace(options, loss="dae")).finetune()


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ({}, [("full", "mnrl", 0)]),
        ({"method": "full,adapter"}, [("full", "mnrl", 0), ("adapter", "mnrl", 0)]),
        ({"method": "adapter"}, [("adapter", "mnrl", 0)]),
        (
            {"method": "lora, full, adapter", "loss": "triplet"},
            [("lora", "triplet", 0), ("full", "triplet", 0), ("adapter", "mnrl", 0)],
        ),
        ({"loss": "dae,mnrl"}, [("full", "dae", 0), ("full", "mnrl", 0)]),
    ],
)
def test_methods_and_losses_in_turn(
    options: dict[str, str], phases: list[tuple[str, str, int]]
) -> None:
    planned = plan_phases(TrainingOptions(**options), NegativeOptions())  # type: ignore[arg-type]
    assert planned == [Phase(*phase) for phase in phases]


def test_rounds_are_of_the_weights_alone() -> None:
    mined = NegativeOptions("mined", rounds=2)
    planned = plan_phases(TrainingOptions(method="full,adapter", loss="dae,mnrl"), mined)
    assert planned == [
        Phase("full", "dae"),
        Phase("full", "mnrl", 0),
        Phase("full", "mnrl", 1),
        Phase("adapter", "mnrl"),
    ]


@pytest.mark.parametrize(
    ("options", "negatives", "message"),
    [
        ({"method": "adapter,full"}, "none", "adapter comes last, .* weights: full,adapter"),
        ({"method": "adapter", "loss": "dae"}, "none", "with --loss mnrl, not with dae"),
        ({"method": "adapter"}, "mined", "takes no --negatives .* use --method full"),
        ({"method": "full,"}, "none", "there is no method ''; --method takes one of"),
        ({"method": "adapter", "loss": "nonsense"}, "none", "nonsense"),
    ],
)
def test_what_does_not_go_together(
    options: dict[str, str], negatives: NegativeKind, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        plan_phases(TrainingOptions(**options), NegativeOptions(negatives))  # type: ignore[arg-type]
