"""What harms out-of-domain questions is weakened: by numbers of a canary that one can work out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_adapter import dev_mrr
from test_finetune import DEV, SUBJECTS, make_base, weights
from test_presets import GIVEN, MATERIAL

from rag_app.evaluate.statistics import Difference
from rag_app.finetune.back_off import Candidate, back_off
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.dev import DevSet
from rag_app.finetune.options import TrainingOptions, read_report
from rag_app.finetune.phases import TrainedModel, train_phases
from rag_app.index import Workspace
from rag_app.models import EmbeddingModel
from rag_app.pairs import Split, training_documents
from rag_app.vectors import nearest

pytestmark = pytest.mark.usefixtures("single_thread")

# Of all tuned weights, and an adapter.
OPTIONS = replace(GIVEN, learning_rate=5e-3, blend=1.0)
KNOWN = replace(MATERIAL, split=Split([], [], [], {name: name for name in SUBJECTS}))
NO_MAP = "no query adapter"


class LinearCanary:
    """A model falls by a tenth of its share of tuned weights, one with an adapter by .3.

    That is certain where it falls by more than `bearable`. `stop_at` is how many models may be
    asked before Ctrl-C is pressed.
    """

    def __init__(self, bearable: float, *, stop_at: int | None = None) -> None:
        self.bearable = bearable
        self.stop_at = stop_at
        self.asked = 0

    def __call__(self, model: EmbeddingModel) -> Mapping[str, Difference]:
        if self.asked == self.stop_at:
            raise KeyboardInterrupt
        self.asked += 1
        fall = 0.3 if model.has_query_map else round(read_report(model.folder).blend / 10, 6)
        change = Difference(
            -fall, -fall - 0.04, self.bearable - fall, p=0.001, smallest_detectable=0
        )
        return {"mrr@10": change}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> TrainingContext:
    return TrainingContext(Workspace(tmp_path_factory.mktemp("storage"), device="cpu"))


def train(
    context: TrainingContext, base: EmbeddingModel, options: TrainingOptions = OPTIONS
) -> TrainedModel:
    return train_phases(context, base, KNOWN, options)


@pytest.fixture(scope="module")
def trained(context: TrainingContext, base: EmbeddingModel) -> TrainedModel:
    return train(context, base)


def shown(frontier: list[Candidate]) -> list[tuple[str, float, bool, bool]]:
    return [(one.name, round(one.canary.mean, 3), one.harms, one.chosen) for one in frontier]


def test_what_does_no_harm_stays_as_it_was_trained(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    canary = LinearCanary(0.3)
    assert back_off(context, base, trained, material=KNOWN, changes_of=canary) == (trained, [])
    assert canary.asked == 1


def test_the_map_goes_first(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    canary = LinearCanary(0.1)
    chosen, frontier = back_off(context, base, trained, material=KNOWN, changes_of=canary)
    assert trained.without_map is not None
    assert chosen.model.folder == trained.without_map.model.folder
    assert not chosen.model.has_query_map
    assert chosen.options == replace(OPTIONS, method="full")
    assert chosen.report.whitening is None
    assert shown(frontier) == [
        ("as trained", -0.3, True, False),
        (NO_MAP, -0.1, False, True),
    ]


def test_the_strongest_blend_that_does_no_harm_is_taken(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    canary = LinearCanary(0.04)
    chosen, frontier = back_off(context, base, trained, material=KNOWN, changes_of=canary)
    assert shown(frontier) == [
        ("as trained", -0.3, True, False),
        (NO_MAP, -0.1, True, False),
        ("blend 0.5", -0.3, True, False),
        (f"blend 0.5, {NO_MAP}", -0.05, True, False),
        ("blend 0.35", -0.3, True, False),
        (f"blend 0.35, {NO_MAP}", -0.035, False, True),
    ]
    assert chosen.options == replace(OPTIONS, method="full", blend=0.35)
    assert chosen.report.blend == 0.35
    assert training_documents(chosen.model) == training_documents(trained.model) != set()
    assert trained.without_map is not None
    before, tuned, saved = map(
        weights, (base.folder, trained.without_map.model.folder, chosen.model.folder)
    )
    assert any(np.abs(before[name] - tuned[name]).max() > 1e-3 for name in before)
    for name, values in saved.items():
        expected = 0.65 * before[name] + 0.35 * tuned[name]
        np.testing.assert_allclose(values, expected, atol=1e-6, err_msg=name)
    # Its gain on dev is that of the model in its folder.
    found = frontier[-1]
    assert found.dev_mrr == chosen.report.saved_dev_mrr
    assert found.dev_mrr == pytest.approx(dev_mrr(chosen.model), abs=1e-6)
    assert found.dev_gain == pytest.approx(dev_mrr(chosen.model) - dev_mrr(base), abs=1e-6)
    assert not found.dev_fell


def test_a_milder_average_keeps_a_map_of_its_own(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    def by_blend(model: EmbeddingModel) -> Mapping[str, Difference]:
        # Only all of the tuned weights do harm, with an adapter or without.
        harms = model.name in (trained.model.name, weights_alone)
        high = -0.01 if harms else 0.02
        return {"mrr@10": Difference(-0.05, -0.1, high, p=0.001, smallest_detectable=0)}

    assert trained.without_map is not None
    weights_alone = trained.without_map.model.name
    chosen, frontier = back_off(context, base, trained, material=KNOWN, changes_of=by_blend)
    assert [one.name for one in frontier] == ["as trained", NO_MAP, "blend 0.5"]
    assert chosen.model.has_query_map
    assert chosen.options == replace(OPTIONS, blend=0.5)
    assert [phase.name.method for phase in chosen.recipe] == ["full", "adapter"]
    assert chosen.report.blend == 0.5


def test_where_all_do_harm_the_strongest_stays(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    canary = LinearCanary(0.02)
    chosen, frontier = back_off(
        context, base, trained, material=replace(KNOWN, dev=None), changes_of=canary
    )
    assert chosen == trained
    assert [one.name for one in frontier] == [
        "as trained",
        NO_MAP,
        "blend 0.5",
        f"blend 0.5, {NO_MAP}",
        "blend 0.35",
        f"blend 0.35, {NO_MAP}",
        "blend 0.25",
        f"blend 0.25, {NO_MAP}",
    ]
    assert [one.chosen for one in frontier] == [True, *[False] * 7]
    assert all(one.harms and one.dev_mrr is None and one.dev_gain is None for one in frontier)


def test_less_than_half_of_half_is_the_same_as_of_the_whole(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    # The same training, of which half was saved: its tuned weights are not there any more.
    half = train(context, base, replace(OPTIONS, method="full", blend=0.5))
    chosen, frontier = back_off(context, base, half, material=KNOWN, changes_of=LinearCanary(0.03))
    assert shown(frontier) == [
        ("as trained", -0.05, True, False),
        ("blend 0.35", -0.035, True, False),
        ("blend 0.25", -0.025, False, True),
    ]
    assert trained.without_map is not None
    before, tuned, saved = map(
        weights, (base.folder, trained.without_map.model.folder, chosen.model.folder)
    )
    for name, values in saved.items():
        expected = 0.75 * before[name] + 0.25 * tuned[name]
        np.testing.assert_allclose(values, expected, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "changed",
    [{"method": "adapter"}, {"method": "full", "blend": 0.25}],
    ids=["an adapter alone", "a quarter"],
)
def test_what_has_no_milder_form_stays(
    context: TrainingContext, base: EmbeddingModel, changed: dict[str, Any]
) -> None:
    trained = train(context, base, replace(OPTIONS, **changed))
    chosen, frontier = back_off(
        context, base, trained, material=KNOWN, changes_of=LinearCanary(0.0)
    )
    assert chosen == trained
    assert [(one.name, one.harms, one.chosen) for one in frontier] == [("as trained", True, True)]


def test_after_several_phases_it_is_a_share_of_all_that_changed(
    context: TrainingContext, base: EmbeddingModel
) -> None:
    twice = train(context, base, replace(OPTIONS, method="full", loss="triplet,mnrl"))
    chosen, _ = back_off(context, base, twice, material=KNOWN, changes_of=LinearCanary(0.05))
    assert chosen.report.blend == 0.5
    before, tuned, saved = map(weights, (base.folder, twice.model.folder, chosen.model.folder))
    for name, values in saved.items():
        expected = 0.5 * before[name] + 0.5 * tuned[name]
        np.testing.assert_allclose(values, expected, atol=1e-6, err_msg=name)


def test_a_choice_that_costs_dev_questions_says_so(
    context: TrainingContext, base: EmbeddingModel, trained: TrainedModel
) -> None:
    # Right is what the base finds first, so that its MRR is 1.
    questions, passages = base.embed_queries(DEV.questions), base.embed_passages(DEV.passages)
    first, _ = nearest(questions, passages, 1)
    dev = DevSet(DEV.questions, [frozenset([int(row)]) for [row] in first], DEV.passages)
    chosen, frontier = back_off(
        context, base, trained, material=replace(KNOWN, dev=dev), changes_of=LinearCanary(0.1)
    )
    found = frontier[-1]
    assert found.chosen
    assert found.dev_mrr == pytest.approx(dev_mrr(chosen.model, dev), abs=1e-6)
    assert found.dev_gain == pytest.approx(dev_mrr(chosen.model, dev) - 1, abs=1e-6)
    assert found.dev_fell


def test_a_walk_that_was_killed_takes_up_what_is_there(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    context = TrainingContext(Workspace(tmp_path, device="cpu"))
    trained = train(context, base)
    with pytest.raises(KeyboardInterrupt):
        back_off(context, base, trained, material=KNOWN, changes_of=LinearCanary(0.04, stop_at=3))
    [made] = context.models.glob("tiny-blend-????????")
    assert read_report(made).blend == 0.5
    written = (made / "model.safetensors").stat().st_mtime_ns

    again = train(context, base)
    chosen, _ = back_off(context, base, again, material=KNOWN, changes_of=LinearCanary(0.04))
    assert chosen.report.blend == 0.35
    assert (made / "model.safetensors").stat().st_mtime_ns == written
