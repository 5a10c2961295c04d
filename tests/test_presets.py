"""Settings that belong together, and the phases that they ask for, on the tiny model."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_adapter import dev_mrr
from test_finetune import DEV, OPTIONS, ROWS, SUBJECTS, WORDS, Recorder
from tiny import make_tiny_model

from rag_app.errors import TrainingError
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.data.material import Material
from rag_app.finetune.data.negatives import NegativePool
from rag_app.finetune.options import NegativeOptions, TrainingOptions
from rag_app.finetune.phases import TrainedModel, train_phases
from rag_app.finetune.presets import as_quick
from rag_app.finetune.train.methods import weights_of_layers
from rag_app.index import Workspace
from rag_app.models import EmbeddingModel
from rag_app.pairs import Split, Unmatched, training_documents, write_training_documents
from rag_app.progress import Progress, silent

GIVEN = replace(OPTIONS, method="full,adapter", learning_rate=1e-7, epochs=1)
MATERIAL = Material(
    split=Split([], [], [], {}),
    pairs=[],
    rows=ROWS,
    row_clusters=SUBJECTS[:48],
    pool=NegativePool([row.passage for row in ROWS], SUBJECTS[:48]),
    corpus=[row.passage for row in ROWS],
    dev=DEV,
    tests={},
    train=[],
    unmatched=Unmatched(),
    self_answering=0,
)


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", words=WORDS)
    return EmbeddingModel("acme/tiny", folder, device="cpu")


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


def train(
    base: EmbeddingModel,
    storage: Path,
    *,
    options: TrainingOptions = GIVEN,
    material: Material = MATERIAL,
    progress: Progress = silent,
) -> TrainedModel:
    context = TrainingContext(Workspace(storage, device="cpu"), progress)
    return train_phases(context, base, material, options)


def steps(seen: Recorder) -> list[tuple[str, int]]:
    """The trainings and how many steps each has, in their order."""
    told = [(step, total) for step, _, total, _ in seen.calls if step.startswith("train")]
    return list(dict.fromkeys(told))


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def first(base: EmbeddingModel, storage: Path) -> tuple[TrainedModel, Recorder]:
    """Weights and an adapter that learn something."""
    seen = Recorder()
    options = replace(GIVEN, learning_rate=5e-3)
    return train(base, storage, options=options, progress=seen), seen


def test_what_was_trained_is_there_without_its_map(base: EmbeddingModel, tmp_path: Path) -> None:
    trained = train(base, tmp_path)
    assert trained.model.has_query_map
    assert trained.report.whitening is not None
    without = trained.without_map
    assert without is not None
    assert not without.model.has_query_map
    assert without.report.whitening is None
    assert without.options == replace(GIVEN, method="full")
    # They are the weights that the other method would have given.
    assert train(base, tmp_path, options=without.options).model.folder == without.model.folder


@pytest.mark.parametrize("method", ["full", "adapter"])
def test_one_method_alone_has_no_form_without_a_map(
    base: EmbeddingModel, tmp_path: Path, method: str
) -> None:
    trained = train(base, tmp_path, options=replace(GIVEN, method=method))
    assert trained.model.has_query_map == (method == "adapter")
    assert trained.without_map is None


def test_without_dev_questions_weights_get_no_map(base: EmbeddingModel, tmp_path: Path) -> None:
    blind = replace(MATERIAL, dev=None)
    assert not train(base, tmp_path, material=blind).model.has_query_map
    alone = replace(GIVEN, method="adapter")
    assert train(base, tmp_path, options=alone, material=blind).model.has_query_map


def test_what_was_trained_is_better_and_the_report_says_by_how_much(
    base: EmbeddingModel, first: tuple[TrainedModel, Recorder]
) -> None:
    trained, seen = first
    # One epoch of 48 pairs in batches of 8; then ten epochs for its map.
    assert steps(seen) == [("train weights, mnrl", 6), ("train query adapter", 10)]
    assert trained.options == replace(GIVEN, learning_rate=5e-3)
    assert trained.model.has_query_map
    saved = dev_mrr(trained.model)
    assert saved > dev_mrr(base) + 0.05
    # What was scored is what is returned, its query adapter included.
    assert trained.report.saved_dev_mrr == pytest.approx(saved, abs=0.01)


def test_a_second_run_trains_nothing_again(
    base: EmbeddingModel, storage: Path, first: tuple[TrainedModel, Recorder]
) -> None:
    trained, _ = first
    silence = Recorder()
    again = train(base, storage, options=trained.options, progress=silence)
    assert steps(silence) == []
    assert again.model.folder == trained.model.folder
    assert again.report == trained.report


def test_every_model_knows_what_it_has_seen(base: EmbeddingModel, tmp_path: Path) -> None:
    known = replace(MATERIAL, split=Split([], [], [], {name: name for name in SUBJECTS}))
    train(base, tmp_path, material=known)
    folders = list((tmp_path / "models").iterdir())
    # Without and with its map.
    models = [EmbeddingModel(folder.name, folder, device="cpu") for folder in folders]
    assert sorted(model.has_query_map for model in models) == [False, True]
    assert {training_documents(model) for model in models} == {frozenset(SUBJECTS[:48])}


def test_who_tunes_a_tuned_model_inherits_what_it_has_seen(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(base.folder, tmp_path / "tuned")
    write_training_documents(folder, ["elsewhere"])
    known = replace(MATERIAL, split=Split([], [], [], {name: name for name in SUBJECTS}))
    tuned = EmbeddingModel("tuned", folder, device="cpu")
    again = train(tuned, tmp_path, material=known)
    assert training_documents(again.model) == {"elsewhere", *SUBJECTS[:48]}


def test_negatives_that_are_given_are_trained_against(
    base: EmbeddingModel, storage: Path, first: tuple[TrainedModel, Recorder]
) -> None:
    trained, _ = first
    seen = Recorder()
    mined = replace(trained.options, negatives=NegativeOptions("mined", per_pair=2))
    other = train(base, storage, options=mined, progress=seen)
    # They are other rows, so it is another model than the one without.
    assert steps(seen) == [("train weights, mnrl", 6), ("train query adapter", 10)]
    assert other.model.fingerprint != trained.model.fingerprint


def test_what_cannot_be_trained_is_refused_before_anything_is(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="adapter comes last"):
        train(base, tmp_path, options=replace(GIVEN, method="adapter,full"))
    assert not list((tmp_path / "models").iterdir())
