"""The search for settings on the tiny model, by a clock that a test turns."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from test_finetune import DEV, OPTIONS, ROWS, SUBJECTS, WORDS, Recorder
from tiny import make_tiny_model

from rag_app.errors import ConfigError, TrainingError
from rag_app.finetune.data.dev import DevEvaluator
from rag_app.finetune.data.material import Material
from rag_app.finetune.data.negatives import NegativeOptions, NegativePool
from rag_app.finetune.options import TrainingOptions, TrainingReport
from rag_app.finetune.phases import Harms, Workshop, train_phases
from rag_app.finetune.presets import (
    CANDIDATES,
    Candidate,
    Contest,
    Search,
    Trial,
    as_quick,
    search_best,
)
from rag_app.finetune.train.methods import weights_of_layers
from rag_app.index import VectorCache
from rag_app.models import EmbeddingModel
from rag_app.pairs import Split, Unmatched, training_documents, write_training_documents

LEARNS = Candidate("full", 5e-3)
# Too slow to change a rank.
IDLES = Candidate("full", 1e-7)
GIVEN = replace(OPTIONS, method="full,adapter", learning_rate=1e-7, epochs=1)
FIRST = ("as given", 1)
NONE = NegativeOptions()
MATERIAL = Material(
    split=Split([], [], [], {}),
    rows=ROWS,
    row_clusters=SUBJECTS[:48],
    pool=NegativePool([row.passage for row in ROWS], SUBJECTS[:48]),
    dev=DEV,
    test=[],
    train=[],
    unmatched=Unmatched(),
    self_answering=0,
    doubted=0,
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


def test_a_map_is_left_out_where_it_alone_does_harm(base: EmbeddingModel, tmp_path: Path) -> None:
    shop = Workshop(tmp_path / "models", VectorCache(tmp_path), "cpu")

    def train(harms: Harms) -> tuple[EmbeddingModel, TrainingReport]:
        return train_phases(base, MATERIAL, GIVEN, NONE, shop, harms=harms)

    for harms in (lambda _: False, lambda _: True):
        model, report = train(harms)
        assert model.has_query_map
        assert report.whitening is not None
        assert not report.query_map_harmful
    model, report = train(lambda model: model.has_query_map)
    assert not model.has_query_map
    assert report.whitening is None
    assert report.query_map_harmful


@dataclass
class Clock:
    """Tells the time, and goes on by `tick` seconds each time that it is read."""

    tick: float = 0.0
    now: float = 1000.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now - self.tick


def search(
    base: EmbeddingModel,
    storage: Path,
    candidates: Sequence[Candidate],
    *,
    given: TrainingOptions = GIVEN,
    negatives: NegativeOptions = NONE,
    harms: Harms = lambda _: False,
    material: Material = MATERIAL,
    rounds: Sequence[int] = (1, 2),
    minutes: float = 60,
    tick: float = 0.0,
) -> tuple[Search, Recorder]:
    seen = Recorder()
    shop = Workshop(storage / "models", VectorCache(storage), "cpu", seen)
    found = search_best(
        base,
        material,
        given,
        negatives,
        shop,
        minutes=minutes,
        candidates=candidates,
        rounds=rounds,
        harms=harms,
        clock=Clock(tick),
    )
    return found, seen


def tried(found: Search) -> list[tuple[str, int]]:
    return [(one.candidate, one.epochs) for one in found.tried]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def found(base: EmbeddingModel, storage: Path) -> tuple[Search, Recorder]:
    return search(base, storage, [IDLES, LEARNS])


def test_the_better_half_goes_on(found: tuple[Search, Recorder]) -> None:
    result, seen = found
    assert tried(result) == [FIRST, ("full 1e-07", 1), ("full 5e-03", 1), ("full 5e-03", 2)]
    assert result.tried[2].dev_mrr > result.tried[1].dev_mrr
    told = [call for call in seen.calls if call[0] == "search"]
    assert told == [
        ("search", 0, 0, "as given, 1 epochs"),
        ("search", 1, 0, "full 1e-07, 1 epochs"),
        ("search", 2, 0, "full 5e-03, 1 epochs"),
        ("search", 3, 0, "full 5e-03, 2 epochs"),
    ]


def test_the_best_of_all_is_returned(base: EmbeddingModel, found: tuple[Search, Recorder]) -> None:
    result, _ = found
    scores = [one.dev_mrr for one in result.tried]
    best = result.tried[scores.index(max(scores))]
    assert best.candidate == "full 5e-03"
    assert [one for one in result.tried if one.chosen] == [best]
    assert (result.options.learning_rate, result.options.epochs) == (5e-3, best.epochs)
    # What the candidates do not name is as it was.
    assert result.options == replace(GIVEN, learning_rate=5e-3, epochs=best.epochs, blend=None)
    assert best.blend == result.report.blend
    # What was scored is what is returned, its map on questions included.
    assert result.model.has_query_map
    assert result.report.saved_dev_mrr == pytest.approx(best.dev_mrr, abs=0.01)
    saved = DevEvaluator(DEV, base.prompts)(result.model.transformer)["dev_mrr@10"]
    before = DevEvaluator(DEV, base.prompts)(base.transformer)["dev_mrr@10"]
    assert saved > before + 0.05


def test_what_is_given_stays_unless_another_is_better_for_sure(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    given = replace(OPTIONS, method="full,adapter")
    result, _ = search(base, tmp_path, [LEARNS, IDLES], given=given, rounds=(3,))
    assert [one.candidate for one in result.tried if one.chosen] == ["as given"]
    assert result.options == given
    assert result.report.blend == 1.0


@pytest.mark.parametrize(
    ("later", "wins"),
    [
        # Better on one question, worse on another by half of that: within a standard error.
        ([1.0, 0.25, 0.5, 0.5], "as given"),
        # Better on two.
        ([1.0, 1.0, 0.5, 0.5], "later"),
        ([0.5, 0.5, 0.5, 0.5], "as given"),
    ],
)
def test_the_best_of_many_must_be_better_by_a_standard_error(
    later: list[float], wins: str, base: EmbeddingModel, tmp_path: Path
) -> None:
    shop = Workshop(tmp_path, VectorCache(tmp_path), "cpu")
    contest = Contest(base, MATERIAL, DEV, shop)
    report = TrainingReport(1.0, 1.0, 1, "cpu", False, 1, [], [])
    for name, ranks in (("as given", [0.5] * 4), ("worse", [0.25] * 4), ("later", later)):
        contest.trials.append(Trial(name, GIVEN, base, report, np.array(ranks)))
    assert contest.winner(lambda _: False).name == wins


@pytest.mark.parametrize(
    ("harmful", "wins", "refused"),
    [
        ((), "better", []),
        (("better",), "good", ["better"]),
        (("good",), "better", []),
        (("good", "better", "as given"), "as given", ["better", "good"]),
    ],
    ids=["none", "the best", "another", "all"],
)
def test_what_does_harm_elsewhere_is_not_chosen(
    harmful: tuple[str, ...], wins: str, refused: list[str], base: EmbeddingModel, tmp_path: Path
) -> None:
    contest = Contest(base, MATERIAL, DEV, Workshop(tmp_path, VectorCache(tmp_path), "cpu"))
    report = TrainingReport(1.0, 1.0, 1, "cpu", False, 1, [], [])
    models = {}
    for name, ranks in (("as given", [0.25] * 4), ("good", [0.5] * 4), ("better", [1.0] * 4)):
        models[name] = EmbeddingModel("acme/tiny", base.folder, device="cpu")
        contest.trials.append(Trial(name, GIVEN, models[name], report, np.array(ranks)))
    harming = [models[name] for name in harmful]
    assert contest.winner(lambda model: model in harming).name == wins
    assert [trial.name for trial in contest.harmful] == refused


def test_a_search_says_what_did_harm(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    result, _ = search(base, storage, [IDLES, LEARNS], harms=lambda _: True)
    assert [one.candidate for one in result.tried if one.chosen] == ["as given"]
    assert {one.candidate for one in result.tried if one.harmful} == {"full 5e-03"}
    assert not any(one.harmful for one in found[0].tried)


def test_a_second_search_trains_nothing_again(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    first, seen = found
    again, silence = search(base, storage, [IDLES, LEARNS])
    assert [call for call in seen.calls if call[0].startswith("train")]
    assert [call for call in silence.calls if call[0].startswith("train")] == []
    assert again.tried == first.tried
    assert again.model.folder == first.model.folder
    assert again.report == first.report


def test_what_was_tried_knows_what_it_has_seen(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    documents = {name: name for name in SUBJECTS}
    known = replace(MATERIAL, split=Split([], [], [], documents))
    search(base, storage, [IDLES, LEARNS], material=known)
    folders = list((storage / "models").iterdir())
    # Each that was tried, without and with its map.
    assert len(folders) == 2 * len(found[0].tried)
    assert {training_documents(folder) for folder in folders} == {frozenset(SUBJECTS[:48])}


def test_who_tunes_a_tuned_model_inherits_what_it_has_seen(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(base.folder, tmp_path / "tuned")
    write_training_documents(folder, ["elsewhere"])
    known = replace(MATERIAL, split=Split([], [], [], {name: name for name in SUBJECTS}))
    tuned = EmbeddingModel("tuned", folder, device="cpu")
    again, _ = search(tuned, tmp_path, [], material=known)
    assert training_documents(again.model) == {"elsewhere", *SUBJECTS[:48]}


def test_a_search_goes_on_where_the_time_ended(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    # All but the third are there already.
    other = Candidate("full", 1e-8)
    result, seen = search(base, storage, [IDLES, LEARNS, other], rounds=(1,))
    assert len(result.tried) == 4
    steps = [call for call in seen.calls if call[0].startswith("train")]
    # One epoch of 48 pairs in batches of 8; then ten epochs for its map.
    assert [call[2] for call in steps] == [6] * 6 + [10] * 10


def test_nothing_is_begun_that_would_not_end_in_time(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    # No time: only what was asked for. What costs nothing that is known is taken to cost as much.
    result, _ = search(base, storage, [IDLES, LEARNS], minutes=0)
    assert tried(result) == [FIRST]
    assert result.options == GIVEN
    # Half a minute goes by between two looks at the clock, and an epoch takes no second.
    result, _ = search(base, storage, [IDLES, LEARNS], minutes=1.1, tick=30)
    assert tried(result) == [FIRST, ("full 1e-07", 1), ("full 5e-03", 1)]


def test_three_candidates_leave_two(base: EmbeddingModel, tmp_path: Path) -> None:
    slow, quick, none = (Candidate("adapter", rate) for rate in (1e-4, 1e-3, 1e-9))
    result, _ = search(base, tmp_path, [none, slow, quick], rounds=(1, 2, 4))
    asked = tried(result)[1:]
    last = [sorted(name for name, epochs in asked if epochs == n) for n in (1, 2, 4)]
    assert [len(names) for names in last] == [3, 2, 1]
    assert last[1] == ["adapter 1e-03", "adapter 1e-04"]
    # An adapter is not blended.
    assert {one.blend for one in result.tried} == {1.0}
    assert result.model.has_query_map


def test_a_candidate_that_does_not_fit_is_passed_over(base: EmbeddingModel, tmp_path: Path) -> None:
    # The tiny model has two layers, and "top" trains two of more.
    does_not_fit = Candidate("top", 1e-3)
    result, _ = search(base, tmp_path, [does_not_fit, Candidate("adapter", 1e-3)], rounds=(1,))
    assert tried(result) == [FIRST, ("adapter 1e-03", 1)]
    # Nor is one given that does not fit the end, unless nothing does.
    given = replace(GIVEN, method="top,adapter")
    result, _ = search(base, tmp_path, [Candidate("adapter", 1e-3)], given=given, rounds=(1,))
    assert tried(result) == [("adapter 1e-03", 1)]
    with pytest.raises(TrainingError, match="this model has 2 layers"):
        search(base, tmp_path, [does_not_fit], given=given, rounds=(1,))


def test_mined_negatives_are_a_candidate(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    search(base, storage, [LEARNS], rounds=(1,))
    before = set((storage / "models").glob("tiny-mnrl-*"))
    result, _ = search(base, storage, [Candidate("full", 5e-3, "mined")], rounds=(1,))
    _, silence = search(base, storage, [LEARNS], rounds=(1,))
    assert tried(result) == [FIRST, ("full 5e-03, mined negatives", 1)]
    # They are other rows, so it is another model than that of the search before.
    assert len(set((storage / "models").glob("tiny-mnrl-*")) - before) == 1
    assert [call for call in silence.calls if call[0].startswith("train")] == []


def test_without_dev_questions_there_is_nothing_to_choose_by(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--dev-share"):
        search(base, tmp_path, [LEARNS], material=replace(MATERIAL, dev=None))
    assert not list(tmp_path.iterdir())


def test_no_candidate_is_tried_twice() -> None:
    assert len({str(candidate) for candidate in CANDIDATES}) == len(CANDIDATES)


def test_negatives_that_are_given_are_trained_against(base: EmbeddingModel, tmp_path: Path) -> None:
    given, two = replace(GIVEN, blend=None), NegativeOptions("mined", per_pair=2)
    plain, _ = search(base, tmp_path, [], given=given)
    mined, _ = search(base, tmp_path, [], given=given, negatives=two)
    assert mined.model.folder != plain.model.folder
    # A candidate names its own kind, and takes as many: these two are trained already.
    both = [Candidate("full", GIVEN.learning_rate, kind) for kind in ("none", "mined")]
    result, silence = search(base, tmp_path, both, given=given, negatives=two, rounds=(1,))
    assert len(result.tried) == 3
    assert [call for call in silence.calls if call[0].startswith("train")] == []
