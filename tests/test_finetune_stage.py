"""The whole stage on the forty small documents of shop.py."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shop import (
    DOCUMENTS,
    OPTIONS,
    Shop,
    open_shop,
    write_questions,
)
from tiny import one_thread
from typer.testing import CliRunner

import rag_app.index as index_package
from rag_app.cli.app import build_app
from rag_app.cli.changes import show_changes
from rag_app.cli.run import Run
from rag_app.errors import ConfigError, IndexLocked, StorageError, TrainingError
from rag_app.evaluate.changes import flips
from rag_app.evaluate.comparison import compare_outcomes
from rag_app.evaluate.figures import with_interval
from rag_app.evaluate.stored import read_run
from rag_app.finetune import stage
from rag_app.finetune.options import read_report
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.result import FinetuneResult
from rag_app.finetune.stage import finetune
from rag_app.index import Workspace, read_known
from rag_app.ingest.request import IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.pairs import SplitOptions, judged_model, training_documents
from rag_app.retrieve import RetrievalOptions
from rag_app.retrieve.learned import kept_fusion

pytestmark = pytest.mark.slow

METRICS = {*(f"hit_rate@{k}" for k in range(1, 11)), "mrr@10", "ndcg@10"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with one_thread():
        yield open_shop(folder, write_questions(folder / "questions.jsonl"))


def trained(steps: Iterable[str]) -> set[str]:
    """The trainings among the steps."""
    return {step for step in steps if step.startswith("train")}


@pytest.fixture(scope="module")
def measured(shop: Shop) -> FinetuneResult:
    """The first run, which only measures."""
    result, steps = shop.finetune(promote=False)
    assert trained(steps) == {"train weights, mnrl"}
    headings = [step for step in dict.fromkeys(steps) if re.match(r"\d/4 ", step)]
    assert [heading[0] for heading in headings] == ["1", "2", "3", "4"]
    return result


def numbers(result: FinetuneResult) -> dict[str, Any]:
    """The result without what the clock decides."""
    values = result.to_json()
    return {name: values[name] for name in values if name not in ("seconds", "promoted")}


def test_the_result_says_what_programs_read(shop: Shop, measured: FinetuneResult) -> None:
    values = json.loads(json.dumps(measured.to_json()))
    assert {
        "model",
        "index",
        "verdict",
        "split",
        "base",
        "tuned",
        "p",
        "seconds",
        "pairs_per_second",
        "peak_memory_mb",
    } <= set(values)
    # Of 80: 0.6, 0.1, 0.3.
    assert values["split"] == {"train": 48, "dev": 8, "test": 24, "known": 0}
    assert values["folds"] == 1
    assert values["refit"] is None
    assert values["held_out"] == {
        "documents": {key: values[key] for key in ("n", "base", "tuned", "differences")}
    }
    assert values["n"] == 24
    assert values["training_pairs"] == 48
    assert values["unmatched"] == 0
    for side in (values["base"], values["tuned"], *values["on_training_questions"].values()):
        assert set(side) == METRICS
        for score in side.values():
            assert set(score) == {"mean", "low", "high"}
            assert 0 <= score["low"] <= score["mean"] <= score["high"] <= 1
    assert 0 <= values["p"] <= 1
    assert 0 <= values["ann_recall@10"] <= 1


def test_tuning_helps_on_documents_that_training_never_saw(measured: FinetuneResult) -> None:
    assert measured.judgement.comparison.verdict.decision == "promote"
    assert measured.judgement.comparison.differences["mrr@10"].low > 0
    assert measured.judgement.comparison.differences["mrr@10"].p < 0.05


def test_what_is_left_on_disk(shop: Shop, measured: FinetuneResult) -> None:
    assert {path.name for path in measured.results.iterdir()} == {
        "base.jsonl",
        "tuned.jsonl",
        "comparison.json",
        "finetune.json",
        "passages.jsonl",
        "collection.json",
    }
    assert measured.results.parent == shop.results
    assert re.fullmatch(f"finetune-{measured.model.name}-[0-9a-f]{{8}}", measured.results.name)
    for name in ("base.jsonl", "tuned.jsonl"):
        assert len((measured.results / name).read_text("utf-8").splitlines()) == 24
    kept = json.loads((measured.results / "finetune.json").read_text("utf-8"))
    assert numbers(measured) == {name: kept[name] for name in numbers(measured)}
    models = {path.name for path in (shop.workspace.storage / "models").iterdir()}
    assert models == {"tiny", "tiny.bert", measured.model.name}
    assert re.fullmatch(r"tiny-mnrl-[0-9a-f]{8}", measured.model.name)


def test_the_model_card_has_the_table(measured: FinetuneResult) -> None:
    card = (measured.model / "README.md").read_text("utf-8")
    assert "base_model: tiny\n" in card
    assert "- split: 48 train, 8 dev, 24 test pairs\n" in card
    assert "## Before and after, on 24 new questions about new documents\n" in card
    assert "| metric | base | tuned |\n|---|---|---|\n| hit_rate@1 | " in card
    compared = measured.judgement.comparison
    base, tuned = compared.base["mrr@10"], compared.tuned["mrr@10"]
    assert f"| mrr@10 | {with_interval(base)} | {with_interval(tuned)} |\n" in card
    assert "Verdict: promote: mrr@10 rose from " in card


def test_the_command_shows_which_questions_changed(
    measured: FinetuneResult, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(storage=None, config=None, as_json=False, quiet=True)
    show_changes(run, measured)
    lines = capsys.readouterr().out.splitlines()
    comparison = measured.judgement.comparison
    for flip in flips(comparison.base_outcomes, comparison.tuned_outcomes):
        assert f"top-{flip.k}: {flip.fixed} fixed, {flip.broken} broken" in lines
    [first, _] = flips(comparison.base_outcomes, comparison.tuned_outcomes)
    shown = [line for line in lines if line.startswith("  fixed: ")]
    assert len(shown) == min(first.fixed, 3) > 0
    asked = {outcome.question for outcome in comparison.tuned_outcomes}
    assert {line.removeprefix("  fixed: ") for line in shown} <= asked
    answer = lines[lines.index(shown[0]) + 1]
    found = re.fullmatch(r"      answered by: (.+) \(rank (\d+|none) -> 1\)", answer)
    assert found
    assert found[1] in measured.titles.values()
    # A question that was fixed moved to the first place, and the farthest is first.
    assert found[2] != "1"


def test_only_measuring_leaves_the_base_in_service(shop: Shop, measured: FinetuneResult) -> None:
    assert measured.promoted is False
    assert measured.base_index == shop.base_index
    assert shop.active() == shop.base_index
    assert measured.index in shop.workspace.catalog.names()
    assert len(measured.index) <= 30
    assert len(measured.model.name) <= 30


def test_the_summary_says_promoted_only_where_it_is(
    shop: Shop, measured: FinetuneResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = measured.results / "finetune.json"

    def said() -> Any:
        return json.loads(summary.read_text("utf-8"))["promoted"]

    def locked(*_: Any) -> None:
        # What a run that was killed here leaves: neither, and whose retriever is kept already.
        assert said() is None
        with pytest.raises(StorageError, match="does not say which side is"):
            read_run(measured.results)
        index = shop.workspace.catalog.open(measured.index)
        assert index.retriever == "vector+questions"
        raise IndexLocked("another process writes")

    with monkeypatch.context() as patch:
        patch.setattr(stage, "promote", locked)
        with pytest.raises(IndexLocked):
            shop.finetune(refit=False)
    assert said() is False
    assert read_run(measured.results).place.name == "base.jsonl"
    assert shop.active() == shop.base_index
    result, _ = shop.finetune(refit=False)
    assert said() is result.promoted is True
    assert read_run(measured.results).place.name == "tuned.jsonl"
    assert shop.workspace.catalog.active.rollback() == shop.base_index


def test_another_retriever_is_another_run(shop: Shop, measured: FinetuneResult) -> None:
    before = (measured.results / "tuned.jsonl").read_bytes()
    hybrid = RetrievalOptions.parse("hybrid:0.7")
    other, _ = shop.finetune(promote=False, refit=False, retrieval=hybrid)
    assert other.model == measured.model
    assert other.results != measured.results
    assert (measured.results / "tuned.jsonl").read_bytes() == before
    assert (other.results / "tuned.jsonl").is_file()


def test_the_same_command_again_gives_the_same_and_trains_nothing(
    shop: Shop, measured: FinetuneResult
) -> None:
    weights = (measured.model / "model.safetensors").stat().st_mtime_ns
    promoted, steps = shop.finetune(refit=False)
    assert not trained(steps)
    assert numbers(promoted) == numbers(measured)
    assert (measured.model / "model.safetensors").stat().st_mtime_ns == weights
    assert promoted.promoted is True
    assert shop.active() == measured.index

    # The tuned index is in service now: tuning starts from the base model all the same.
    again, steps = shop.finetune(refit=False)
    assert not trained(steps)
    assert numbers(again) == numbers(measured)
    assert again.base_model == "tiny"
    assert shop.active() == measured.index
    assert shop.workspace.catalog.active.rollback() == shop.base_index


def test_what_is_promoted_is_trained_again_on_all_pairs(
    shop: Shop, measured: FinetuneResult
) -> None:
    shop.workspace.catalog.active.use(shop.base_index)
    result, steps = shop.finetune()
    # The judged model is there; the refit is another training.
    assert trained(steps) == {"train weights, mnrl"}
    assert result.promoted
    refit = result.refit
    assert refit is not None
    assert refit.pairs == 80
    assert refit.judged == measured.model
    assert refit.refused == ""
    assert re.fullmatch(r"tiny-refit-mnrl-[0-9a-f]{8}", result.model.name)
    assert result.model == refit.trained.model.folder
    assert shop.active() == result.index != measured.index
    # The verdict is that of the judged model.
    assert result.judgement.comparison == measured.judgement.comparison
    assert read_report(result.model).best_epoch == measured.training.best_epoch
    assert judged_model(refit.trained.model) == measured.model.name
    assert len(training_documents(refit.trained.model)) == len(DOCUMENTS)
    card = (result.model / "README.md").read_text("utf-8")
    assert f"these weights are a refit of {measured.model.name}" in card
    assert result.to_json()["refit"]["judged_model"] == measured.model.name

    again, steps = shop.finetune()
    assert not trained(steps)
    assert numbers(again) == numbers(result)


def test_what_is_not_promoted_is_not_trained_again(measured: FinetuneResult) -> None:
    assert measured.refit is None


def test_folds_ask_every_question_once_and_index_the_recipe_on_all_pairs(shop: Shop) -> None:
    before = shop.active()
    result, _ = shop.finetune(
        split=SplitOptions(folds=2, repeats=2), options=replace(OPTIONS, epochs=10), promote=False
    )
    comparison = result.judgement.comparison
    assert comparison.n == 80
    assert len(comparison.base_outcomes) == 2 * 80
    assert {outcome.question for outcome in comparison.base_outcomes} == {
        json.loads(line)["question"] for line in shop.questions.read_text("utf-8").splitlines()
    }
    assert result.data.folds == 4
    assert result.data.split["test"] == 80
    assert result.refit is not None
    assert result.refit.pairs == 80
    assert result.model == result.refit.trained.model.folder
    assert shop.active() == before
    assert "on 80 new questions about new documents" in result.verdict.reason


def test_folds_without_a_refit_leave_nothing_to_use(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="leave out --no-refit"):
        shop.finetune(split=SplitOptions(folds=3), refit=False)


def test_both_kinds_of_new_questions_are_told_apart(shop: Shop) -> None:
    result, _ = shop.finetune(
        split=SplitOptions(held_out="both"),
        options=replace(OPTIONS, epochs=10),
        train_on="labelled",
        promote=False,
    )
    held_out = result.judgement.held_out
    assert list(held_out) == ["documents", "questions"]
    # .3 of 80 by document, half as many of the others' questions.
    assert [comparison.n for comparison in held_out.values()] == [24, 12]
    assert result.judgement.comparison is held_out["documents"]
    assert "on 24 new questions about new documents" in result.verdict.reason
    assert "on 12 new questions about known documents" in result.verdict.reason
    assert list(result.to_json()["held_out"]) == ["documents", "questions"]
    # As in service: behind the questions of training, of which these few are no other's wording.
    known = result.judgement.known
    assert known is not None
    assert known.base_outcomes == held_out["questions"].tuned_outcomes
    assert [one.rank for one in known.tuned_outcomes] == [one.rank for one in known.base_outcomes]
    assert result.to_json()["known_questions"]["n"] == 12
    assert result.judgement.serves_known


def test_known_questions_that_do_certain_harm_are_not_searched(measured: FinetuneResult) -> None:
    judgement = measured.judgement
    assert judgement.known is None
    assert judgement.serves_known
    compared = judgement.comparison
    fell = compare_outcomes(compared.tuned_outcomes, compared.base_outcomes, seed=1)
    assert not replace(judgement, known=fell).serves_known
    assert replace(judgement, known=compared).serves_known


def test_the_tuned_index_answers_with_its_own_model(shop: Shop, measured: FinetuneResult) -> None:
    opened = shop.workspace.open(measured.index, model="tiny")
    assert opened.model.name == measured.model.name
    assert opened.index.info.base_model == "tiny"
    assert opened.index.count() == len(DOCUMENTS)


def test_plain_encode_is_not_scored_where_it_gives_the_same(measured: FinetuneResult) -> None:
    assert measured.judgement.plain is None
    assert measured.to_json()["plain_encode"] is None
    assert "Plain encode" not in (measured.model / "README.md").read_text("utf-8")


def test_what_plain_encode_gives_is_scored_where_there_is_a_map(shop: Shop) -> None:
    request = FinetuneRequest(
        pairs=shop.questions,
        options=replace(OPTIONS, method="adapter", epochs=3),
        promote=False,
        results=shop.results,
    )
    result = finetune(shop.workspace, request)
    plain, comparison = result.judgement.plain, result.judgement.comparison
    assert plain is not None
    assert plain.keys() == METRICS
    # Without its map and without prompts the model is its base.
    assert plain == comparison.base
    assert comparison.tuned["mrr@10"].mean > plain["mrr@10"].mean
    assert result.to_json()["plain_encode"] == result.to_json()["base"]
    card = (result.model / "README.md").read_text("utf-8")
    assert f"its MRR@10 is {with_interval(plain['mrr@10'])} " in card
    assert "leaves out prompts and the query adapter" in card
    assert "- query adapter (`query_map`): a linear map on query vectors" in card
    # Ten short epochs for each of three.
    assert f"method adapter, 30 epochs (best: {result.training.best_epoch}), batch" in card


def test_a_tuning_that_changed_nothing_is_not_promoted(
    shop: Shop, measured: FinetuneResult
) -> None:
    before = shop.active()
    # One step of nearly nothing changes nothing, which is no reason to switch.
    request = FinetuneRequest(
        pairs=shop.questions,
        options=replace(OPTIONS, epochs=1, learning_rate=1e-9),
        results=shop.results,
    )
    result = finetune(shop.workspace, request)
    assert result.judgement.comparison.verdict.decision == "hold"
    assert result.promoted is False
    assert shop.active() == before


@pytest.mark.parametrize(
    ("given", "preset", "epochs"),
    [((), "quick", 5), (("--epochs", "3"), None, 3)],
    ids=["alone", "with epochs"],
)
def test_quick_leaves_epochs_that_are_given(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    given: tuple[str, ...],
    preset: str | None,
    epochs: int,
) -> None:
    requests: list[FinetuneRequest] = []

    def note(_: Workspace, request: FinetuneRequest, **__: Any) -> None:
        requests.append(request)
        raise TrainingError("noted")

    monkeypatch.setattr("rag_app.finetune.stage.finetune", note)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        build_app(), ["finetune", "--pairs", "q.jsonl", "--preset", "quick", *given]
    )
    assert done.exit_code == 2
    assert "noted" in done.output
    [request] = requests
    assert (request.preset, request.options.epochs) == (preset, epochs)


def test_the_stage_trains_as_quick_says(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag_app.finetune.presets.QUICK_FLOP", 0)
    result, _ = shop.finetune(promote=False, preset="quick")
    assert result.options.epochs == 1
    assert len(result.training.dev_mrr) == 1


def test_what_is_ingested_before_the_switch_comes_along(
    shop: Shop, measured: FinetuneResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = shop.workspace.catalog
    docs = tmp_path / "late"
    docs.mkdir()

    def ingest_late(number: int) -> None:
        (docs / f"{number}.txt").write_text(f"noise1 late{number} noise2", "utf-8")
        # As another process would, into the index in service.
        ingest(shop.workspace, IngestRequest([docs]))

    keep = stage._keep
    promotions = []

    def keep_late(*arguments: Any) -> None:
        promotions.append(catalog.active.current())
        ingest_late(len(promotions))
        keep(*arguments)

    monkeypatch.setattr(stage, "_keep", keep_late)
    # From the base, and then from the tuned index itself.
    catalog.active.use(shop.base_index)
    served = []
    for number in (1, 2):
        result, _ = shop.finetune()
        assert result.promoted
        assert shop.active() == result.index
        served.append(result.index)
        held = {one.document_id for one in shop.workspace.catalog.open().records()}
        assert {f"late/{n}.txt" for n in range(1, number + 1)} <= held
        assert len(held) == len(DOCUMENTS) + number
    assert promotions == [shop.base_index, served[0]]


def test_an_ingest_that_waited_for_a_promotion_goes_into_what_was_promoted(
    shop: Shop, measured: FinetuneResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    catalog = shop.workspace.catalog
    catalog.active.use(shop.base_index)
    docs = tmp_path / "later"
    docs.mkdir()
    (docs / "one.txt").write_text("noise3 later noise4", "utf-8")

    def sync_late(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        report = index_package.sync_documents(*arguments, **options)
        catalog.active.use(measured.index)
        return report

    monkeypatch.setattr(index_package, "sync_documents", sync_late)
    report = ingest(shop.workspace, IngestRequest([docs]))
    assert (report.index, report.active) == (measured.index, True)
    assert "later/one.txt" in {one.document_id for one in catalog.open().records()}


def test_the_verdict_may_be_about_another_retriever(shop: Shop) -> None:
    shop.workspace.catalog.active.use(shop.base_index)
    result, _ = shop.finetune(retrieval=RetrievalOptions.parse("hybrid:learned"), refit=False)
    judgement = result.judgement
    assert list(judgement.parts) == ["base, hybrid:learned", "tuned, vector"]
    # All parts are held against the base with vector search.
    assert all(part.base == judgement.comparison.base for part in judgement.parts.values())
    assert judgement.tuned_vector == judgement.parts["tuned, vector"].tuned
    assert "learned" in result.judged.learned
    values = result.to_json()
    assert values["retriever"] == result.judged.options.spec
    assert list(values["parts"]) == list(judgement.parts)
    assert result.promoted
    index = shop.workspace.open(result.index, model="tiny").index
    assert index.retriever == f"{result.judged.options.spec}+questions"
    assert kept_fusion(index) == result.judged.options.learned
    assert shop.workspace.open(shop.base_index, model="tiny").index.retriever is None


def test_a_retriever_that_no_verdict_can_be_about_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="what is held out must not be known"):
        shop.finetune(retrieval=RetrievalOptions.parse("vector+questions"))
    with pytest.raises(ConfigError, match="names the retriever that the verdict is about"):
        shop.finetune(retrieval=RetrievalOptions.parse("index"))
    with pytest.raises(ConfigError, match="or learns all of them"):
        shop.finetune(retrieval=RetrievalOptions.parse("hybrid:auto"))


def test_what_is_promoted_knows_the_labelled_questions(shop: Shop) -> None:
    shop.workspace.catalog.active.use(shop.base_index)
    result, _ = shop.finetune(refit=False)
    assert result.promoted
    known = read_known(shop.workspace.open(result.index, model="tiny").index)
    assert sum(len(each.questions) for each in known.values()) == 80
