"""The search for settings on the tiny model, by a clock that a test turns."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from test_finetune import DEV, OPTIONS, ROWS, SUBJECTS, WORDS, Recorder
from tiny import make_tiny_model

from rag_app.errors import ConfigError, TrainingError
from rag_app.finetune.dev import DevEvaluator
from rag_app.finetune.material import Material
from rag_app.finetune.negatives import NegativePool
from rag_app.finetune.phases import Workshop
from rag_app.finetune.presets import CANDIDATES, Candidate, Search, search_best
from rag_app.index import VectorCache
from rag_app.models import EmbeddingModel
from rag_app.pairs import Split, keep_seen, seen_documents

LEARNS = Candidate("full", 5e-3)
# Too slow to change a rank.
IDLES = Candidate("full", 1e-7)
MATERIAL = Material(
    split=Split([], [], [], {}),
    rows=ROWS,
    row_clusters=SUBJECTS[:48],
    pool=NegativePool([row.passage for row in ROWS], SUBJECTS[:48]),
    dev=DEV,
    test=[],
    train=[],
    unmatched=0,
    echoes=0,
    doubted=0,
)


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = make_tiny_model(tmp_path_factory.mktemp("base") / "tiny", words=WORDS)
    return EmbeddingModel("acme/tiny", folder, device="cpu")


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
        OPTIONS,
        shop,
        minutes=minutes,
        candidates=candidates,
        rounds=rounds,
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
    assert tried(result) == [("full 1e-07", 1), ("full 5e-03", 1), ("full 5e-03", 2)]
    assert result.tried[1].dev_mrr > result.tried[0].dev_mrr
    told = [call for call in seen.calls if call[0] == "search"]
    assert told == [
        ("search", 0, 0, "full 1e-07, 1 epochs"),
        ("search", 1, 0, "full 5e-03, 1 epochs"),
        ("search", 2, 0, "full 5e-03, 2 epochs"),
    ]


def test_the_best_of_all_is_returned(base: EmbeddingModel, found: tuple[Search, Recorder]) -> None:
    result, _ = found
    scores = [one.dev_mrr for one in result.tried]
    best = result.tried[scores.index(max(scores))]
    assert best.candidate == "full 5e-03"
    assert (result.options.learning_rate, result.options.epochs) == (5e-3, best.epochs)
    # What the candidates do not name is as it was.
    assert result.options == replace(
        OPTIONS, learning_rate=5e-3, epochs=best.epochs, method="full,adapter", blend=None
    )
    assert best.blend == result.report.blend
    # The weights, as plain passages and questions; the map on questions is not worse than none.
    saved = DevEvaluator(DEV, base.prompts)(result.model.transformer)["dev_mrr@10"]
    assert saved == pytest.approx(max(scores), abs=0.02)
    assert result.model.has_query_map
    assert result.report.saved_dev_mrr is not None
    assert result.report.saved_dev_mrr >= max(scores)
    before = DevEvaluator(DEV, base.prompts)(base.transformer)["dev_mrr@10"]
    assert saved > before + 0.05


def test_a_second_search_trains_nothing_again(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    first, seen = found
    again, silence = search(base, storage, [IDLES, LEARNS])
    assert [call for call in seen.calls if call[0] == "train"]
    assert [call for call in silence.calls if call[0] == "train"] == []
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
    # Each that was tried, and the best with its map.
    assert len(folders) == len(found[0].tried) + 1
    assert {seen_documents(folder) for folder in folders} == {frozenset(SUBJECTS[:48])}


def test_who_tunes_a_tuned_model_inherits_what_it_has_seen(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(base.folder, tmp_path / "tuned")
    keep_seen(folder, ["elsewhere"])
    known = replace(MATERIAL, split=Split([], [], [], {name: name for name in SUBJECTS}))
    tuned = EmbeddingModel("tuned", folder, device="cpu")
    again, _ = search(tuned, tmp_path, [Candidate("adapter")], material=known, rounds=[1])
    assert seen_documents(again.model.folder) == {"elsewhere", *SUBJECTS[:48]}


def test_a_search_goes_on_where_the_time_ended(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    # Of three candidates two go on; the first round of two of them is there already.
    other = Candidate("full", 1e-8)
    result, seen = search(base, storage, [IDLES, LEARNS, other], rounds=(1,))
    assert len(result.tried) == 3
    steps = [call for call in seen.calls if call[0] == "train"]
    # One epoch of 48 pairs in batches of 8; then ten epochs for the map of the best.
    assert [call[2] for call in steps] == [6] * 6 + [10] * 10


def test_nothing_is_begun_that_would_not_end_in_time(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    # No time: what has no known cost is tried once, what has one would end too late.
    result, _ = search(base, storage, [IDLES, LEARNS], minutes=0)
    assert tried(result) == [("full 1e-07", 1), ("full 5e-03", 1)]
    assert result.options.epochs == 1
    assert result.options.learning_rate == 5e-3


def test_after_the_deadline_there_is_one_model_at_least(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    # Half a minute goes by between two looks at the clock.
    result, _ = search(base, storage, [IDLES, LEARNS], minutes=0.25, tick=30)
    assert tried(result) == [("full 1e-07", 1)]
    assert result.options.learning_rate == 1e-7


def test_three_candidates_leave_two(base: EmbeddingModel, tmp_path: Path) -> None:
    slow, quick, none = (Candidate("adapter", rate) for rate in (1e-4, 1e-3, 1e-9))
    result, _ = search(base, tmp_path, [none, slow, quick], rounds=(1, 2, 4))
    last = [sorted(name for name, epochs in tried(result) if epochs == n) for n in (1, 2, 4)]
    assert [len(names) for names in last] == [3, 2, 1]
    assert last[1] == ["adapter 1e-03", "adapter 1e-04"]
    # An adapter is not blended.
    assert {one.blend for one in result.tried} == {1.0}
    assert result.options.blend == 1.0
    assert result.model.has_query_map


def test_a_candidate_that_does_not_fit_is_passed_over(base: EmbeddingModel, tmp_path: Path) -> None:
    # The tiny model has two layers, and "top" trains two of more.
    does_not_fit = Candidate("top", 1e-3)
    result, _ = search(base, tmp_path, [does_not_fit, Candidate("adapter", 1e-3)], rounds=(1,))
    assert tried(result) == [("adapter 1e-03", 1)]
    with pytest.raises(TrainingError, match="this model has 2 layers"):
        search(base, tmp_path, [does_not_fit], rounds=(1,))


def test_mined_negatives_are_a_candidate(
    base: EmbeddingModel, storage: Path, found: tuple[Search, Recorder]
) -> None:
    search(base, storage, [LEARNS], rounds=(1,))
    before = set((storage / "models").glob("tiny-mnrl-*"))
    result, _ = search(base, storage, [Candidate("full", 5e-3, "mined")], rounds=(1,))
    _, silence = search(base, storage, [LEARNS], rounds=(1,))
    assert tried(result) == [("full 5e-03, mined negatives", 1)]
    # They are other rows, so it is another model than that of the search before.
    assert len(set((storage / "models").glob("tiny-mnrl-*")) - before) == 1
    assert [call for call in silence.calls if call[0] == "train"] == []


def test_without_dev_questions_there_is_nothing_to_choose_by(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--dev-share"):
        search(base, tmp_path, [LEARNS], material=replace(MATERIAL, dev=None))
    assert not list(tmp_path.iterdir())


def test_no_candidate_is_tried_twice() -> None:
    assert len({str(candidate) for candidate in CANDIDATES}) == len(CANDIDATES)
