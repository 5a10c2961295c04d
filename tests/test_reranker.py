"""A cross-encoder tuned on the pairs: trained, judged against vector search, kept, and loaded."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import WORDS, write_documents, write_questions
from tiny import make_tiny_cross_encoder, make_tiny_model, one_thread
from typer.testing import CliRunner

from rag_app.chunks import passage_text
from rag_app.cli.app import build_app
from rag_app.errors import ConfigError, ModelError, TrainingError
from rag_app.evaluate.request import EvaluateRequest
from rag_app.evaluate.scoring import KEPT_RANKS
from rag_app.evaluate.stage import evaluate_indexes
from rag_app.evaluate.verdict import Verdict
from rag_app.finetune import reranker
from rag_app.finetune.context import TrainingContext
from rag_app.finetune.judge import judge_held_out
from rag_app.finetune.options import NegativeOptions, TrainingOptions, TrainingReport, TrainingRow
from rag_app.finetune.presets import RERANKER_DEFAULT
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.reranker import RerankerOptions, tune_reranker
from rag_app.finetune.reranker_result import RerankerResult
from rag_app.finetune.retrieval import refuse_trained_on
from rag_app.finetune.stage import finetune
from rag_app.finetune.train.cross_encoder import DevCandidates, train_cross_encoder
from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.models.cross_encoder import CrossEncoder
from rag_app.pairs import SplitOptions
from rag_app.progress import Progress, silent
from rag_app.retrieve import Tools
from rag_app.sweep.grid import Grid
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.stage import sweep

ANIMALS = ("cat", "dog", "cow", "hen")
OPTIONS = TrainingOptions(
    **{**RERANKER_DEFAULT, "epochs": 20, "learning_rate": 3e-3},
    negatives=NegativeOptions("mined", 3),
)

pytestmark = pytest.mark.usefixtures("single_thread")


def animal_rows() -> list[TrainingRow]:
    """Each animal's call is its own name; the others' names are wrong."""
    return [
        TrainingRow(
            animal, f"the {animal}", animal, tuple(f"the {o}" for o in ANIMALS if o != animal)
        )
        for animal in ANIMALS
    ]


def test_it_learns_the_order_that_the_rows_show(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "tiny", words=["the", *ANIMALS])
    passages = [f"the {animal}" for animal in ANIMALS]
    dev = [DevCandidates(animal, passages, [f"the {animal}"]) for animal in ANIMALS]
    target = tmp_path / "tuned"
    report = train_cross_encoder(
        base, animal_rows(), dev=dev, target=target, options=OPTIONS, device="cpu"
    )
    assert len(report.dev_mrr) == 20
    assert report.best_epoch == 1 + report.dev_mrr.index(max(report.dev_mrr))
    assert report.saved_dev_mrr == max(report.dev_mrr) == 1
    encoder = CrossEncoder("tuned", target, device="cpu")
    for place, animal in enumerate(ANIMALS):
        assert encoder.score(animal, passages).argmax() == place
    assert not target.with_name("tuned.training").exists()
    # What is there is not trained again.
    again = train_cross_encoder(base, [], dev=[], target=target, options=OPTIONS, device="cpu")
    assert again == report


def test_a_right_passage_that_was_not_found_stays_unfound(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "tiny", words=["the", *ANIMALS])
    dev = [
        DevCandidates("cat", ["the cat"], ["the cat"]),
        DevCandidates("dog", ["the cow"], ["the dog"]),
    ]
    options = replace(OPTIONS, epochs=1)
    report = train_cross_encoder(
        base, animal_rows(), dev=dev, target=tmp_path / "tuned", options=options, device="cpu"
    )
    assert report.dev_mrr == [(1 + 0) / 2]


def test_without_dev_the_last_epoch_is_kept(tmp_path: Path) -> None:
    base = make_tiny_cross_encoder(tmp_path / "judge", words=["the", *ANIMALS])
    options = replace(OPTIONS, epochs=2)
    report = train_cross_encoder(
        base, animal_rows(), dev=[], target=tmp_path / "tuned", options=options, device="cpu"
    )
    assert (report.best_epoch, report.dev_mrr, report.saved_dev_mrr) == (2, [], None)


class Fails:
    """A progress that raises at a step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self.step = step
        self.error = error

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        if done == self.step:
            raise self.error


def test_a_run_that_was_stopped_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "tiny", words=["the", *ANIMALS])
    passages = [f"the {animal}" for animal in ANIMALS]
    options = replace(OPTIONS, epochs=4)

    def tuned(name: str, progress: Progress = silent) -> TrainingReport:
        dev = [DevCandidates("hen", passages, ["the hen"])]
        target = tmp_path / name
        return train_cross_encoder(
            base,
            animal_rows(),
            dev=dev,
            target=target,
            options=options,
            device="cpu",
            progress=progress,
        )

    whole = tuned("whole")
    # Four rows are one step.
    with pytest.raises(KeyboardInterrupt):
        tuned("stopped", Fails(3, KeyboardInterrupt()))
    assert (tmp_path / "stopped.training" / "checkpoint-2").is_dir()
    steps: list[int] = []
    again = tuned("stopped", lambda step, done, total, note="": steps.append(done))
    assert steps == [3, 4]
    assert again.dev_mrr == whole.dev_mrr
    first, second = [
        CrossEncoder(name, tmp_path / name, device="cpu").score("hen", passages)
        for name in ("whole", "stopped")
    ]
    np.testing.assert_allclose(first, second, rtol=1e-5)


def test_too_little_memory_is_told(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "tiny", words=["the", *ANIMALS])
    with pytest.raises(TrainingError) as refused:
        train_cross_encoder(
            base,
            animal_rows(),
            dev=[],
            target=tmp_path / "tuned",
            options=OPTIONS,
            device="cpu",
            progress=Fails(1, MemoryError()),
        )
    assert str(refused.value) == (
        "the memory does not hold a training with the passages of 4 questions at once; run again "
        "with a smaller --batch-size or --max-tokens"
    )


def test_a_base_that_is_no_transformer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", "utf-8")
    with pytest.raises(ModelError) as refused:
        train_cross_encoder(
            tmp_path, [], dev=[], target=tmp_path / "tuned", options=OPTIONS, device="cpu"
        )
    said = str(refused.value)
    assert said.startswith(f"{tmp_path} cannot be made a cross-encoder (")
    assert said.endswith("such as bert-base-uncased, or a cross-encoder, with --base")


@dataclass(frozen=True)
class Shop:
    """The forty documents of shop.py, and what tuning a reranker on them brought."""

    workspace: Workspace
    request: FinetuneRequest
    result: RerankerResult


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("reranker")
    workspace = Workspace(folder / "storage", device="cpu")
    make_tiny_model(workspace.models / "tiny", words=WORDS)
    ingest(
        workspace,
        IngestRequest([write_documents(folder / "docs")], options=IndexOptions(model="tiny")),
    )
    questions = write_questions(folder / "questions.jsonl")
    options = replace(OPTIONS, epochs=4)
    request = FinetuneRequest(pairs=questions, options=options, results=folder / "results")
    with one_thread():
        result = tune_reranker(workspace, request, RerankerOptions(candidates=40))
        yield Shop(workspace, request, result)


@pytest.mark.slow
def test_it_is_judged_against_vector_search_and_kept(shop: Shop) -> None:
    result, values = shop.result, json.loads(json.dumps(shop.result.to_json()))
    assert result.verdict.decision == values["verdict"]
    # Tuned is what the saved folder says of all forty passages, read with the first question.
    first, passages = result.comparison.tuned_outcomes[0], shop.workspace.open().index.passages()
    encoder = shop.workspace.load_cross_encoder(result.model.name)
    scores = encoder.score(first.question, [passage_text(node) for node in passages.nodes])
    best = [passages.nodes[row].node_id for row in np.argsort(-scores)[:KEPT_RANKS]]
    assert first.retrieved == best
    assert first.retrieved != result.comparison.base_outcomes[0].retrieved
    assert list(result.held_out) == ["documents"]
    assert values["n"] == values["split"]["test"] == len(result.material.tests["documents"])
    assert values["retriever"] == f"vector+rerank:{result.model.name}"
    assert values["fetch_k"] == 40
    assert result.ms_per_question > 0
    kept = json.loads((result.results / "finetune.json").read_text("utf-8"))
    assert kept == values
    # Nothing goes into service.
    assert shop.workspace.catalog.in_service() == result.index
    assert shop.workspace.catalog.open().info.model == "tiny"


@pytest.mark.slow
def test_the_same_command_takes_what_is_there(shop: Shop) -> None:
    again = tune_reranker(shop.workspace, shop.request, RerankerOptions(candidates=40))
    assert again.model == shop.result.model
    assert again.training == shop.result.training
    assert again.comparison.tuned == shop.result.comparison.tuned


@pytest.mark.slow
def test_evaluate_gives_no_verdict_on_what_it_was_trained_on(shop: Shop) -> None:
    spec = shop.result.retrieval.spec
    assert shop.request.pairs is not None
    request = EvaluateRequest(shop.request.pairs, retrievers=("exact", spec))
    tools = Tools.of(shop.workspace)
    runs = evaluate_indexes(shop.workspace, request, tools=tools).runs
    split = shop.result.material.split
    assert [run.trained_on for run in runs] == [0, len(split.train) + len(split.dev)]
    assert "training questions" in runs[1].no_verdict


@pytest.mark.slow
def test_the_retriever_that_the_index_keeps_may_have_a_tuned_reranker(shop: Shop) -> None:
    """`--retriever index` is looked at as what it stands for."""
    assert shop.request.pairs is not None
    index = shop.workspace.open().index
    index.keep_retriever(shop.result.retrieval.spec)
    try:
        request = EvaluateRequest(shop.request.pairs, retrievers=("exact", "index"))
        runs = evaluate_indexes(shop.workspace, request, tools=Tools.of(shop.workspace)).runs
    finally:
        index.keep_retriever(None)
    split = shop.result.material.split
    assert [run.trained_on for run in runs] == [0, len(split.train) + len(split.dev)]
    assert "training questions" in runs[1].no_verdict


@pytest.mark.slow
def test_a_sweep_leaves_out_what_a_reranker_was_trained_on(shop: Shop, tmp_path: Path) -> None:
    own, split = shop.workspace.open().index.info, shop.result.material.split
    grid = Grid(
        chunk_sizes=(own.chunk_size,),
        chunk_overlaps=(own.chunk_overlap,),
        retrievers=(shop.result.retrieval.spec,),
    )
    request = SweepRequest(grid, shop.request.pairs, promote=False, results=tmp_path)
    result = sweep(shop.workspace, request, tools=Tools.of(shop.workspace))
    assert result.trained_on == len(split.train) + len(split.dev)
    trained = {pair.question for pair in (*split.train, *split.dev)}
    for row in result.rows:
        asked = [*row.candidate.dev, *(row.candidate.test or [])]
        assert len(asked) == len(split.test)
        assert not trained & {outcome.question for outcome in asked}


@pytest.mark.slow
def test_finetune_refuses_a_reranker_that_knows_its_test_questions(shop: Shop) -> None:
    retrieval = shop.result.retrieval
    # Another seed holds out other documents; the reranker has seen some of these.
    options = TrainingOptions(seed=OPTIONS.seed + 1)
    request = replace(shop.request, options=options, retrieval=retrieval)
    with pytest.raises(ConfigError, match=r"learned from \d+ of 24 test questions; name the rera"):
        finetune(shop.workspace, request)
    # What its own split held out it may be judged by; of documents that it knows, new questions.
    context, split = TrainingContext(shop.workspace), shop.result.material.split
    new = [replace(pair, question=f"{pair.question} too") for pair in split.train]
    refuse_trained_on(context, retrieval, [replace(split, known=new)])
    with pytest.raises(ConfigError, match=r"learned from 1 of 25 test questions"):
        refuse_trained_on(context, retrieval, [replace(split, known=split.train[:1])])


@pytest.mark.slow
def test_what_cannot_be_judged_is_refused(shop: Shop) -> None:
    def refusal(request: FinetuneRequest, options: RerankerOptions) -> str:
        with pytest.raises(ConfigError) as refused:
            tune_reranker(shop.workspace, request, options)
        return str(refused.value)

    folds = replace(shop.request, split=SplitOptions(folds=3))
    name = shop.result.model.name
    assert refusal(folds, RerankerOptions()) == (
        "a reranker is judged on one split; leave out --folds"
    )
    assert refusal(shop.request, RerankerOptions(candidates=9)) == (
        "--fetch-k is 9; a reranker orders 10 candidates or more, since scores look at the first "
        "ten"
    )
    assert refusal(shop.request, RerankerOptions(base=name)) == (
        f"{name} was tuned here, on questions that may be held out now; name the model that it was "
        "tuned from with --base"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--what", "index"], "--what is 'index'; it takes one of: embedding, reranker"),
        (
            ["--what", "reranker", "--blend", "0.7"],
            "--blend is only for an embedding; leave it out",
        ),
        (["--what", "reranker", "--negatives", "random"], "--negatives is only for an embedding"),
        (["--base", "bert"], "--base is only for --what reranker; leave it out"),
        (["--fetch-k", "20"], "--fetch-k is only for --what reranker; leave it out"),
    ],
)
def test_flags_of_the_other_kind(tmp_path: Path, flags: list[str], said: str) -> None:
    where = ["--storage", str(tmp_path)]
    done = CliRunner().invoke(build_app(), ["finetune", *flags, *where])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


@pytest.mark.slow
def test_the_command_says_how_to_ask_with_it(shop: Shop) -> None:
    where = ["--storage", str(shop.workspace.storage)]
    few = ["--what", "reranker", "--epochs", "1", "--fetch-k", "12", "--device", "cpu"]
    pairs = ["--pairs", str(shop.request.pairs)]
    done = CliRunner().invoke(build_app(), ["finetune", *pairs, *few, *where, "--quiet"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "(base: vector, tuned: the nearest 12 reranked)" in said
    assert "reading 12 passages again took" in said
    assert "--fetch-k 12`" in said
    asked = said.partition("`rag-app query --retriever ")[2].split()[0]
    question = ["-q", "which hue1 item2", "--llm", "none", "--fetch-k", "12"]
    answered = CliRunner().invoke(build_app(), ["query", *question, "--retriever", asked, *where])
    assert answered.exit_code == 0, answered.output


@pytest.mark.slow
def test_what_a_cross_encoder_brought_before_it_was_tuned_is_told(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tiny_cross_encoder(shop.workspace.models / "judge", words=WORDS)
    hardly = replace(OPTIONS, epochs=1, learning_rate=1e-9)
    request = replace(shop.request, options=hardly, results=tmp_path / "results")

    def promote(splits: Any, *, seed: int) -> Any:
        return judge_held_out(splits, seed=seed)[0], Verdict("promote", "it won")

    monkeypatch.setattr(reranker, "judge_held_out", promote)
    with one_thread():
        made_new = tune_reranker(shop.workspace, request, RerankerOptions(candidates=40))
        tuned = tune_reranker(shop.workspace, request, RerankerOptions("judge", candidates=40))
    # The last layer of an embedding model was made new: there was no reranker before.
    assert made_new.verdict.reason == "it won"
    # One step of no length: whatever it brings, the base brought.
    assert tuned.verdict.reason == (
        "it won; the tuned model itself adds nothing certain (+.000 [+.000, +.000] over untuned, "
        "vector+rerank:judge)"
    )
