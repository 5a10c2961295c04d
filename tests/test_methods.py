"""Each method changes the weights that it says and no others, and saves a model like the base."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from test_finetune import DEV, OPTIONS, ROWS, WORDS, make_base, make_engine, weights
from test_packed import embed, load

from rag_app.errors import TrainingError
from rag_app.finetune.data.dev import DevEvaluator
from rag_app.finetune.options import NegativeKind, NegativeOptions, TrainingOptions
from rag_app.finetune.phase import Phase
from rag_app.finetune.phases import plan_phases
from rag_app.finetune.train.methods import METHODS, find_method
from rag_app.models import EmbeddingModel

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LORA = replace(OPTIONS, method="lora", epochs=1)


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
    finish = METHODS["lora"].prepare(model)
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


def test_an_unknown_method_lists_the_known() -> None:
    with pytest.raises(TrainingError) as caught:
        find_method("magic", loss="mnrl")
    assert str(caught.value) == (
        "there is no method 'magic'; --method takes one of: full, lora, adapter"
    )
    assert all(find_method(name, loss="mnrl") is entry for name, entry in METHODS.items())


@pytest.mark.parametrize("method", METHODS)
def test_a_model_without_a_transformer_is_told_what_to_use(method: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    model = SentenceTransformer(modules=[BoW(vocab=WORDS)], device="cpu")
    with pytest.raises(TrainingError, match=r"BoW models have no transformer .* --method adapter"):
        METHODS[method].prepare(model)


def test_what_does_not_go_with_dae_says_so(base: EmbeddingModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not go with --loss dae; it takes: mnrl, triplet"):
        make_engine(base, tmp_path / "x", options=replace(LORA, loss="dae")).finetune()


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ({}, [("full", "mnrl")]),
        ({"method": "full,adapter"}, [("full", "mnrl"), ("adapter", "mnrl")]),
        ({"method": "adapter"}, [("adapter", "mnrl")]),
        (
            {"method": "lora, full, adapter", "loss": "triplet"},
            [("lora", "triplet"), ("full", "triplet"), ("adapter", "mnrl")],
        ),
        ({"loss": "dae,mnrl"}, [("full", "dae"), ("full", "mnrl")]),
    ],
)
def test_methods_and_losses_in_turn(options: dict[str, Any], phases: list[tuple[str, str]]) -> None:
    planned = plan_phases(TrainingOptions(**options))
    assert planned == [Phase(*phase) for phase in phases]


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
    options: dict[str, Any], negatives: NegativeKind, message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        plan_phases(TrainingOptions(**options, negatives=NegativeOptions(negatives)))


def test_a_number_of_negatives_where_a_pair_gets_none_is_refused() -> None:
    with pytest.raises(TrainingError, match="--negatives-per-pair is 3, but --negatives is none"):
        plan_phases(TrainingOptions(negatives=NegativeOptions(per_pair=3)))
    assert plan_phases(TrainingOptions(loss="triplet", negatives=NegativeOptions(per_pair=3)))
    assert plan_phases(TrainingOptions(negatives=NegativeOptions("mined", per_pair=3)))
