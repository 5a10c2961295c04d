"""`--canary` through the whole stage: a canary on which the tuned model certainly falls.

Its questions are those of shop.py, and a right document is not the one
that is about what they ask, but the one that the untuned model ranks best for some of them. So what
tuning teaches is harm there.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from shop import (
    COLOURS,
    DOCUMENTS,
    OPTIONS,
    THINGS,
    WORDS,
    write_documents,
    write_questions,
)
from tiny import make_tiny_model, one_thread

import rag_app
from rag_app.cli.canary import show_canary
from rag_app.cli.run import Run
from rag_app.evaluate.canary import CanaryOptions
from rag_app.evaluate.figures import change_with_interval, score
from rag_app.evaluate.verdict import certainly_fell
from rag_app.finetune.options import read_report
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.result import FinetuneResult
from rag_app.finetune.stage import finetune
from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models import EmbeddingModel

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("whole_canary")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shop")
    workspace = Workspace(folder / "storage", device="cpu")
    tiny = make_tiny_model(workspace.models / "tiny", words=WORDS)
    ingest(
        workspace,
        IngestRequest([write_documents(folder / "docs")], options=IndexOptions(model="tiny")),
    )
    write_questions(folder / "questions.jsonl")
    with one_thread(), pytest.MonkeyPatch.context() as patch:
        # What is certain of eighteen questions is not to hang on the processor's rounding.
        patch.setattr("torch.cpu.get_capabilities", dict)
        write_canary(folder / "canary", folder / "docs", EmbeddingModel("tiny", tiny, device="cpu"))
        yield folder


def write_canary(folder: Path, docs: Path, base: EmbeddingModel) -> None:
    folder.mkdir()
    names = [f"{colour}-{thing}" for colour, thing in DOCUMENTS]
    for name in names:
        (folder / f"{name}.txt").write_bytes((docs / f"{name}.txt").read_bytes())
    asked = [
        f"{words} {hue} {item}"
        for hue in COLOURS.values()
        for item in THINGS.values()
        for words in ("do you sell", "any", "which")
    ]
    # With its title, as it is embedded.
    texts = [f"{name}\n{(folder / f'{name}.txt').read_text('utf-8')}" for name in names]
    scores = base.embed_queries(asked) @ base.embed_passages(texts).T
    ranks = (-scores).argsort(axis=1).argsort(axis=1)
    rows = [
        {"question": asked[best], "document": f"{name}.txt"}
        for name, best in zip(names, ranks.argmin(axis=0), strict=True)
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")


def tune(shop: Path, canary: CanaryOptions, *, promote: bool = False) -> FinetuneResult:
    request = FinetuneRequest(
        pairs=shop / "questions.jsonl",
        options=OPTIONS,
        canary=canary,
        promote=promote,
        results=shop / "results",
    )
    return finetune(Workspace(shop / "storage", device="cpu"), request)


@pytest.fixture(scope="module")
def weakened(shop: Path) -> FinetuneResult:
    return tune(shop, CanaryOptions(shop / "canary"))


def said_of(result: FinetuneResult, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_canary(Run(storage=None, config=None, as_json=False, quiet=True), result)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_what_is_judged_is_the_strongest_form_that_does_no_harm(weakened: FinetuneResult) -> None:
    first, *_, last = weakened.frontier
    assert (first.name, first.harms, first.chosen) == ("as trained", True, False)
    assert (last.harms, last.chosen) == (False, True)
    assert last.name == f"blend {weakened.options.blend:g}"
    canary = weakened.judgement.canary
    assert canary is not None
    assert canary.differences["mrr@10"] == last.canary
    assert not certainly_fell(canary.differences)
    # What is left of the gain is certain.
    assert weakened.verdict.decision == "promote"


def test_what_was_tried_is_kept_and_shown(
    weakened: FinetuneResult, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = json.loads((weakened.results / "finetune.json").read_text("utf-8"))
    assert kept["canary_use"] == "guard"
    assert [one["name"] for one in kept["frontier"]] == [one.name for one in weakened.frontier]
    assert kept["frontier"][-1]["canary"] == kept["canary"]["differences"]["mrr@10"]
    card = (weakened.model / "README.md").read_text("utf-8")
    last = weakened.frontier[-1]
    assert last.dev_mrr is not None
    change = change_with_interval(last.canary)
    assert "| candidate | dev MRR@10 | canary MRR@10 | chosen |\n|---|---|---|---|\n" in card
    assert f"| {last.name} | {score(last.dev_mrr)} | {change} | yes |\n" in card

    lines = said_of(weakened, capsys)
    shown = [line for line in lines if line.startswith(("as trained", "blend"))]
    assert len(shown) == len(weakened.frontier)
    assert shown[-1].startswith(f"{last.name} .{1000 * last.dev_mrr:03.0f} (+.")
    assert shown[-1].endswith(f" {change} yes")
    canary = f"canary ({weakened.canary_options}), {kept['canary']['n']} out-of-domain questions"
    assert lines[-1].startswith(canary)
    assert lines[-1].endswith(f"({change})")
    # Of folds it may be another than the first that had to be weakened.
    folded = replace(weakened, weakened=2, data=replace(weakened.data, folds=3))
    lines = said_of(folded, capsys)
    assert "(the first split where it does)" in " ".join(" ".join(lines).split())
    assert lines[-1].endswith(f"({change}); weakened in 2 of 3 splits")


def test_the_same_command_again_finds_the_same_form(shop: Path, weakened: FinetuneResult) -> None:
    models = sorted((shop / "storage" / "models").iterdir())
    again = tune(shop, CanaryOptions(shop / "canary"))
    assert again.model == weakened.model
    assert again.frontier == weakened.frontier
    assert sorted((shop / "storage" / "models").iterdir()) == models


def test_a_canary_that_only_reports_weakens_and_holds_nothing(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tune(shop, CanaryOptions(shop / "canary", use="report"))
    canary = result.judgement.canary
    assert canary is not None
    assert certainly_fell(canary.differences)
    assert result.options == OPTIONS
    assert result.verdict.decision == "promote"
    assert result.to_json()["frontier"] == []
    assert result.to_json()["canary_use"] == "report"
    [line] = said_of(result, capsys)
    assert line.endswith("; reported only, as --canary says")


def test_without_a_canary_nothing_is_asked(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ("epochs", "batch_size", "learning_rate", "max_tokens", "blend")
    result = rag_app.finetune(
        shop / "questions.jsonl",
        storage=shop / "storage",
        method="full",
        canary="none",
        promote=False,
        training={field: getattr(OPTIONS, field) for field in fields},
        device="cpu",
    )
    assert result.judgement.canary is None
    assert result.options == OPTIONS
    assert result.to_json()["canary"] is None
    assert result.to_json()["canary_use"] == "none"
    assert said_of(result, capsys) == ["canary skipped: --canary none"]


def test_no_harm_is_one_line(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The sample data, which a model of random weights does not know anyway.
    result = tune(shop, CanaryOptions())
    assert result.frontier == []
    [line] = said_of(result, capsys)
    assert line.startswith("canary (the sample data), 324 out-of-domain questions")
    assert line.endswith("; no certain fall, so nothing was weakened")


def test_what_was_weakened_is_refitted_as_weak(shop: Path, weakened: FinetuneResult) -> None:
    refit = tune(shop, CanaryOptions(shop / "canary"), promote=True).refit
    assert refit is not None
    assert refit.judged == weakened.model
    assert read_report(refit.trained.model.folder).blend == weakened.options.blend


def test_a_canary_that_only_reports_refuses_no_refit(shop: Path) -> None:
    refit = tune(shop, CanaryOptions(shop / "canary", use="report"), promote=True).refit
    assert refit is not None
    assert refit.canary is not None
    assert certainly_fell(refit.canary.differences)
    assert refit.refused == ""
