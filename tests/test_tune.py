"""`rag-app tune`: all stages in one go, gone on with after a kill, with what they will take."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from shop import WORDS, write_documents, write_questions
from test_cli import check_error, run_app, run_json
from tiny import make_tiny_model

from rag_app.evaluate.canary import CanaryOptions
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.options import TrainingOptions, TrainingRow
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.workload import TrainingSizes, training_workload
from rag_app.index import Workspace, foresee
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.llm.choose import LanguageModelOptions
from rag_app.models import EmbeddingModel
from rag_app.questions import QuestionsReport
from rag_app.retrieve import Tools
from rag_app.sweep.request import SweepRequest
from rag_app.tune.plan import Plan, plan_ahead
from rag_app.tune.request import TuneRequest
from rag_app.tune.stage import StageResult, TuneResult, tune
from rag_app.tune.summary import advice, summary

pytestmark = pytest.mark.usefixtures("single_thread")

QUICK = TrainingOptions(method="full,adapter", epochs=2, batch_size=8, max_tokens=32)


@dataclass(frozen=True)
class Shop:
    """Documents, questions about them, and a storage with a tiny model."""

    folder: Path

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "storage", device="cpu")

    @property
    def questions(self) -> Path:
        return self.folder / "questions.jsonl"

    def request(self, *, pairs: bool = True) -> TuneRequest:
        results = self.folder / "storage" / "results"
        llm = LanguageModelOptions(kind="none")
        return TuneRequest(
            paths=[self.folder / "docs"],
            index=IndexOptions(model="tiny"),
            per_chunk=1,
            finetune=FinetuneRequest(
                pairs=self.questions if pairs else None,
                train_on="labelled" if pairs else "synthetic",
                options=QUICK,
                canary=CanaryOptions.of("none"),
                llm=llm,
                results=results,
            ),
            sweep=SweepRequest(llm=llm, results=results),
        )

    def tune(self, **options: Any) -> TuneResult:
        workspace = self.workspace

        @contextmanager
        def tools() -> Iterator[Tools]:
            yield Tools.of(workspace)

        return tune(workspace, self.request(**options), tools=tools)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    make_tiny_model(tmp_path / "storage" / "models" / "tiny", words=WORDS)
    write_documents(tmp_path / "docs")
    write_questions(tmp_path / "questions.jsonl")
    # Settings that a sweep writes stay in this folder.
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path)


def told(progress: list[str]) -> Any:
    def tell(step: str, done: int, total: int, note: str = "") -> None:
        progress.append(step)

    return tell


def trained_at(shop: Shop) -> dict[str, int]:
    """The models that were trained, and when."""
    reports = shop.workspace.models.glob("*/training.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in reports}


@pytest.mark.slow
def test_all_stages_and_again(shop: Shop) -> None:
    where = ("--model", "tiny", "--storage", shop.folder / "storage", "--preset", "quick")
    first = run_json("tune", shop.folder / "docs", "--pairs", shop.questions, *where)
    assert (first["ingest"]["added"], first["ingest"]["chunks"]) == (40, 40)
    assert first["questions"] is None
    plan = first["plan"]
    assert (plan["documents"], plan["chunks"], plan["questions"]) == (40, 40, 0)
    assert plan["pairs"] == first["finetune"]["training_pairs"]
    assert plan["training_seconds"] > 0
    assert first["verdict"] == first["finetune"]["verdict"]
    assert Path(first["report"]).name == "report.html"
    assert Path(first["report"]).is_file()
    # The questions stand in 80 pairs, of which some were trained on; the rest compare retrievers.
    assert first["sweep_skipped"] == ""
    ways = {run["retriever"].split(":")[0] for run in first["sweep"]["runs"]}
    assert ways == {"vector", "keyword", "hybrid"}
    assert {run["chunk_size"] for run in first["sweep"]["runs"]} == {256}
    measured, serving, then = first["summary"]
    assert measured == f"measured: {first['verdict']}: {first['finetune']['reason']}"
    assert f"index {first['index']}" in serving
    assert serving.endswith(f"asked with {first['retriever']}")
    assert then.startswith("next: `rag-app ")
    kept = trained_at(shop)
    again = run_app("tune", shop.folder / "docs", "--pairs", shop.questions, *where)
    assert again.exit_code == 0, again.stderr
    assert "0 added, 0 changed, 40 unchanged" in again.stdout
    assert "the model was trained before" in again.stdout
    assert trained_at(shop) == kept
    assert again.stdout.splitlines()[-3] == measured
    headings = re.findall(r"^== (\w+) ==$", again.stderr, re.MULTILINE)
    assert headings == ["ingest", "finetune", "sweep"]


def write_titled_documents(folder: Path) -> None:
    """Forty, no two of which have a word in common, so that most titles find their own."""
    words = ["".join(parts) for parts in product("bdgkmr", "aou", "bdgkmr", "aou", "k")]
    make_tiny_model(folder / "storage" / "models" / "titled", words=words)
    (folder / "pages").mkdir()
    for number in range(40):
        own = words[8 * number : 8 * number + 8]
        text = f"# {' '.join(own[:3])}\n\n{' '.join(own[3:])}.\n"
        (folder / "pages" / f"d{number}.md").write_text(text, "utf-8")


@pytest.mark.slow
def test_without_pairs_questions_are_written_and_a_stopped_run_goes_on(shop: Shop) -> None:
    ended: list[StageResult] = []

    def stop(result: StageResult) -> None:
        ended.append(result)
        if isinstance(result, QuestionsReport):
            raise KeyboardInterrupt

    @contextmanager
    def tools() -> Iterator[Tools]:
        yield Tools.of(shop.workspace)

    write_titled_documents(shop.folder)
    request = replace(
        shop.request(pairs=False),
        paths=[shop.folder / "pages"],
        index=IndexOptions(model="titled"),
    )
    with pytest.raises(KeyboardInterrupt):
        tune(shop.workspace, request, tools=tools, ended=stop)
    plan, written = ended[1:]
    assert isinstance(plan, Plan)
    assert isinstance(written, QuestionsReport)
    # Eight chunks were tried for the plan, and their questions are kept.
    assert (plan.lacking, plan.questions) == (32, 32)
    assert (written.resumed, written.asked) == (8, 32)
    result = tune(shop.workspace, request, tools=tools)
    assert result.ingest.sync.unchanged
    assert not result.ingest.sync.added
    assert result.plan.questions == 0
    assert result.questions is not None
    assert (result.questions.resumed, result.questions.asked) == (40, 0)
    assert "the questions were written by headings" in summary(result)[2]


@pytest.mark.slow
def test_a_sweep_that_would_take_long_is_left_out_with_a_reason(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.tune.retrievers.MOST_SECONDS", -1.0)
    result = shop.tune()
    assert result.sweep is None
    assert re.fullmatch(r"\d settings.* would take .*; `rag-app sweep` .*", result.sweep_skipped)
    assert result.retriever == "vector"
    done = result.finetune.verdict.decision
    then = {
        "promote": "next: `rag-app query` asks the tuned index",
        "hold": "next: `rag-app query` asks the index as it was",
        "reject": "next: the base stays",
    }
    assert advice(result).startswith(then[done])


def test_pairs_that_cannot_be_read_are_refused_before_anything_is_embedded(shop: Shop) -> None:
    shop.questions.write_text("question\nwhat\n", "utf-8")
    check_error(
        *("tune", shop.folder / "docs", "--pairs", shop.questions, "--model", "tiny"),
        *("--storage", shop.folder / "storage", "--quiet"),
        kind="PairsError",
        says="questions.jsonl",
    )
    assert shop.workspace.catalog.names() == []


def test_an_unknown_preset_is_refused(shop: Shop) -> None:
    check_error(
        *("tune", shop.folder / "docs", "--preset", "slow", "--storage", shop.folder / "storage"),
        kind="ConfigError",
        says="--preset is 'slow'; it takes one of: quick",
    )


# What it will take


def test_a_plan_is_a_sentence(shop: Shop) -> None:
    plan = Plan(219, 270, 262, 524, 700.0, trained=False, training=None)
    assert str(plan) == (
        "219 documents in 270 chunks are indexed; about 524 questions are to be written, about "
        "12 min: about 12 min in all on this machine"
    )
    assert str(replace(plan, lacking=0, questions=0, writing_seconds=None, trained=True)) == (
        "219 documents in 270 chunks are indexed; the model was trained before"
    )


def test_what_a_training_takes_grows_with_it_and_leaves_nothing(shop: Shop) -> None:
    workspace = shop.workspace
    model = workspace.load_model("tiny")
    before = model.fingerprint
    rows = [TrainingRow(f"which hue{n} item{n}", f"colour{n} thing{n}", str(n)) for n in range(6)]
    passages = [f"noise{n % 60} colour{n % 7} thing{n % 6}" for n in range(90)]
    # Only its pairs are more, by far more than timing is uncertain.
    few, many = (
        training_workload(model, rows, QUICK, TrainingSizes(pairs, 2 * pairs, 40, passages))
        for pairs in (100, 100_000)
    )
    assert few is not None
    assert many is not None
    assert 0 < few.seconds < many.seconds / 20
    assert many.refit_seconds > many.seconds
    assert EmbeddingModel("tiny", workspace.models / "tiny").fingerprint == before
    assert sorted(path.name for path in workspace.models.iterdir()) == ["tiny", "tiny.bert"]


def test_an_adapter_alone_needs_no_steps_to_be_timed(shop: Shop) -> None:
    model = shop.workspace.load_model("tiny")
    adapter = replace(QUICK, method="adapter")
    sizes = TrainingSizes(100, 200, 40, [f"noise{n % 60}" for n in range(90)])
    work = training_workload(model, [], adapter, sizes)
    assert work is not None
    assert work.seconds == work.refit_seconds > 0


def test_an_ingest_is_foreseen_from_a_few_documents(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_app.chunks import SentenceChunker
    from rag_app.documents import read_documents

    for number in range(60):
        words = " ".join(f"noise{(number * 7 + n) % 60}" for n in range(20))
        (shop.folder / "docs" / f"more{number}.txt").write_text(words, "utf-8")
    reading = read_documents(
        [shop.folder / "docs"], question_column="question", answer_column="answer"
    )
    workspace = shop.workspace
    model = workspace.load_model("tiny")
    chunker = SentenceChunker.for_model(model, IndexOptions().chunking())
    work = foresee(reading.documents, chunker, model, workspace.cache)
    assert work is not None
    assert work.documents == 100
    # One chunk each, told from sixteen documents of two lengths.
    assert 80 <= work.chunks <= 125
    assert work.seconds > 0
    assert foresee(reading.documents[:8], chunker, model, workspace.cache) is None
    # Nothing of what was embedded for it is kept.
    texts = [document.text for document in reading.documents]
    assert workspace.cache.missing_passages(model, [*texts, texts[0]]) == texts
    monkeypatch.setattr("rag_app.duration.WORTH_SAYING_SECONDS", 0.0)
    steps: list[str] = []
    ingest(
        workspace,
        IngestRequest([shop.folder / "docs"], options=IndexOptions(model="tiny")),
        progress=told(steps),
    )
    said = [step for step in steps if step.startswith("100 documents, about ")]
    assert len(said) == 1
    assert said[0].endswith(" on this machine")


def test_the_plan_of_an_index_with_pairs_counts_what_will_be_trained_on(shop: Shop) -> None:
    workspace, request = shop.workspace, shop.request()
    index = ingest(workspace, IngestRequest(request.paths, options=request.index)).index
    plan = plan_ahead(TrainingContext(workspace), request, workspace.open(index))
    assert (plan.documents, plan.chunks, plan.lacking, plan.trained) == (40, 40, 0, False)
    assert plan.training is not None
    sizes = plan.training.sizes
    assert sizes.all_pairs == 80
    # 60 % of the pairs, by whole documents.
    assert 44 <= sizes.pairs <= 52
    assert json.loads(json.dumps(plan.to_json()))["pairs"] == sizes.pairs
