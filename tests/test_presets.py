"""The preset, and phases one after the other, on the tiny model."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_finetune import DEV, OPTIONS, ROWS, SUBJECTS, WORDS, Recorder
from tiny import make_tiny_model

from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material
from rag_app.finetune.data.negatives import NegativePool
from rag_app.finetune.options import NegativeOptions, TrainingOptions
from rag_app.finetune.phases import Harms, TrainedModel, train_phases
from rag_app.finetune.presets import as_quick
from rag_app.finetune.train.methods import weights_of_layers
from rag_app.index import Workspace
from rag_app.models import EmbeddingModel
from rag_app.pairs import Split, Unmatched, training_documents, write_training_documents

# Too slow to change a rank.
GIVEN = replace(OPTIONS, method="full,adapter", learning_rate=1e-7, epochs=1)
MATERIAL = Material(
    split=Split([], [], [], {name: name for name in SUBJECTS}),
    rows=ROWS,
    row_clusters=SUBJECTS[:48],
    pool=NegativePool([row.passage for row in ROWS], SUBJECTS[:48]),
    dev=DEV,
    test=[],
    train=[],
    unmatched=Unmatched(),
    self_answering=0,
)
Train = Callable[..., TrainedModel]


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", words=WORDS)
    return EmbeddingModel("acme/tiny", folder, device="cpu")


@pytest.fixture
def seen() -> Recorder:
    return Recorder()


@pytest.fixture
def train(base: EmbeddingModel, tmp_path: Path, seen: Recorder) -> Train:
    context = TrainingContext(Workspace(tmp_path, device="cpu"), seen)

    def run(
        options: TrainingOptions = GIVEN,
        *,
        model: EmbeddingModel = base,
        harms: Harms = lambda _: False,
    ) -> TrainedModel:
        return train_phases(context, model, MATERIAL, options, harms=harms)

    return run


def test_quick_is_two_epochs_or_one_where_they_take_long(
    base: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = replace(GIVEN, epochs=5)
    assert as_quick(given, ROWS, base) == replace(given, epochs=2)
    # Two epochs of texts cut to four tokens still go into what one of whole texts would take.
    tokens = sum(base.count_tokens([text for row in ROWS for text in (row.question, row.passage)]))
    weights = weights_of_layers(base.transformer)
    monkeypatch.setattr("rag_app.finetune.presets.QUICK_FLOP", 6 * weights * tokens)
    assert as_quick(given, ROWS, base).epochs == 1
    assert as_quick(replace(given, max_tokens=4), ROWS, base).epochs == 2
    alone = replace(given, method="adapter")
    assert as_quick(alone, ROWS, base) == alone


def test_a_map_is_left_out_where_it_alone_does_harm(train: Train) -> None:
    for harms in (lambda _: False, lambda _: True):
        trained = train(harms=harms)
        assert trained.model.has_query_map
        assert trained.report.whitening is not None
        assert not trained.query_map_dropped
    trained = train(harms=lambda model: model.has_query_map)
    assert not trained.model.has_query_map
    assert trained.report.whitening is None
    assert trained.query_map_dropped


def test_the_same_again_trains_nothing(train: Train, seen: Recorder) -> None:
    first = train()
    assert [call for call in seen.calls if call[0].startswith("train")]
    seen.calls.clear()
    again = train()
    assert not [call for call in seen.calls if call[0].startswith("train")]
    assert again.model.folder == first.model.folder
    assert again.report == first.report


def test_each_phase_knows_what_it_was_trained_on(train: Train, tmp_path: Path) -> None:
    train()
    models = [
        EmbeddingModel(folder.name, folder, device="cpu")
        for folder in (tmp_path / "models").iterdir()
    ]
    # Without and with its map.
    assert len(models) == 2
    assert {training_documents(model) for model in models} == {frozenset(SUBJECTS[:48])}


def test_who_tunes_a_tuned_model_inherits_what_it_was_trained_on(
    base: EmbeddingModel, train: Train, tmp_path: Path
) -> None:
    folder = shutil.copytree(base.folder, tmp_path / "tuned")
    write_training_documents(folder, ["elsewhere"])
    again = train(model=EmbeddingModel("tuned", folder, device="cpu"))
    assert training_documents(again.model) == {"elsewhere", *SUBJECTS[:48]}


def test_negatives_that_are_given_are_trained_against(train: Train) -> None:
    plain, one, two = (
        train(replace(GIVEN, negatives=negatives)).model.folder
        for negatives in (
            NegativeOptions(),
            NegativeOptions("mined"),
            NegativeOptions("mined", per_pair=2),
        )
    )
    # They are other rows, so that each is another model.
    assert len({plain, one, two}) == 3
