"""The query adapter: questions move, passages and their fingerprint stay."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from test_finetune import DEV, OPTIONS, ROWS, SUBJECTS, Recorder, make_base, row_of

from rag_app.errors import TrainingError
from rag_app.evaluate.ranks import reciprocal_rank
from rag_app.finetune.data.dev import DevEvaluator, DevSet
from rag_app.finetune.options import TrainingOptions, TrainingReport, read_report
from rag_app.finetune.query_map.training import EPOCH_FACTOR, train_adapter
from rag_app.index import VectorCache
from rag_app.models import EmbeddingModel
from rag_app.models.query_map import QUERY_MAP
from rag_app.progress import Progress, silent
from rag_app.vectors import nearest

# 2 x 10 epochs at 20 times the rate.
ADAPTER = replace(OPTIONS, method="adapter", epochs=2, learning_rate=1e-3)
QUESTIONS = [row_of(subject).question for subject in SUBJECTS]
PASSAGES = [row_of(subject).passage for subject in SUBJECTS]


pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


def train(
    base: EmbeddingModel,
    target: Path,
    *,
    corpus: Sequence[str] = PASSAGES,
    dev: DevSet | None = DEV,
    options: TrainingOptions = ADAPTER,
    progress: Progress = silent,
) -> TrainingReport:
    return train_adapter(
        base,
        ROWS,
        corpus=corpus,
        dev=dev,
        target=target,
        options=options,
        cache=VectorCache(target.parent / "storage"),
        progress=progress,
    )


@pytest.fixture(scope="module")
def tuned(base: EmbeddingModel, tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    folder = tmp_path_factory.mktemp("tuned") / "tiny-adapter"
    train(base, folder)
    return EmbeddingModel("tiny-adapter", folder, device="cpu")


def dev_mrr(model: EmbeddingModel, dev: DevSet = DEV) -> float:
    found, _ = nearest(model.embed_queries(dev.questions), model.embed_passages(dev.passages), 10)
    ranks = [reciprocal_rank(row, gold) for row, gold in zip(found, dev.gold, strict=True)]
    return sum(ranks) / len(ranks)


def test_passages_keep_their_vectors(base: EmbeddingModel, tuned: EmbeddingModel) -> None:
    np.testing.assert_array_equal(tuned.embed_passages(PASSAGES), base.embed_passages(PASSAGES))
    assert tuned.passage_fingerprint == base.passage_fingerprint


def test_questions_move(base: EmbeddingModel, tuned: EmbeddingModel) -> None:
    before, after = base.embed_queries(QUESTIONS), tuned.embed_queries(QUESTIONS)
    assert (np.einsum("ij,ij->i", before, after) < 0.99).all()
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1.0, atol=1e-6)
    assert tuned.fingerprint != base.fingerprint
    # Without an adapter one fingerprint is enough.
    assert base.fingerprint == base.passage_fingerprint


@pytest.mark.usefixtures("float32")
def test_the_map_helps(base: EmbeddingModel, tuned: EmbeddingModel) -> None:
    report = read_report(tuned.folder)
    before = DevEvaluator(DEV, base.prompts)(base.transformer)["dev_mrr@10"]
    assert dev_mrr(base) == pytest.approx(before, abs=1e-6)
    assert dev_mrr(tuned) > before + 0.1
    assert report.losses[-1] < report.losses[0]


def test_the_best_epoch_is_the_one_that_is_saved(tuned: EmbeddingModel) -> None:
    report = read_report(tuned.folder)
    assert len(report.dev_mrr) == ADAPTER.epochs * EPOCH_FACTOR == 20
    assert report.dev_mrr[report.best_epoch - 1] == max(report.dev_mrr)
    assert report.saved_dev_mrr == pytest.approx(max(report.dev_mrr), abs=1e-6)
    assert dev_mrr(tuned) == pytest.approx(max(report.dev_mrr), abs=1e-4)


def test_without_dev_questions_the_last_epoch_is_taken(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    seen = Recorder()
    options = replace(ADAPTER, epochs=1)
    report = train(base, tmp_path / "x", dev=None, options=options, progress=seen)
    assert (report.dev_mrr, report.best_epoch, report.saved_dev_mrr) == ([], 10, None)
    steps = [call for call in seen.calls if call[0] == "train"]
    assert [call[1:3] for call in steps] == [(epoch, 10) for epoch in range(1, 11)]
    assert steps[-1][3] == f"loss {report.losses[-1]:.3f}"
    assert (tmp_path / "x" / QUERY_MAP).is_dir()


def test_the_same_seed_gives_the_same_map(
    base: EmbeddingModel, tuned: EmbeddingModel, tmp_path: Path
) -> None:
    again = train(base, tmp_path / "x")
    model = EmbeddingModel("x", tmp_path / "x", device="cpu")
    assert again.losses == read_report(tuned.folder).losses
    assert model.fingerprint == tuned.fingerprint


def test_the_folder_is_the_bases_and_the_map(base: EmbeddingModel, tuned: EmbeddingModel) -> None:
    names = {path.name for path in base.folder.iterdir()}
    assert {path.name for path in tuned.folder.iterdir()} == names | {QUERY_MAP, "training.json"}
    assert [path.name for path in tuned.folder.parent.iterdir() if "tiny" in path.name] == [
        tuned.folder.name
    ]
    assert json.loads((tuned.folder / "training.json").read_text("utf-8"))["device"] == "cpu"
    assert tuned.prompts == base.prompts


def test_without_dev_questions_the_largest_share_is_taken(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    still = replace(ADAPTER, learning_rate=1e-12, whitening=1.0)
    # Dev takes it, too, as the best of four.
    assert train(base, tmp_path / "x", options=still).whitening == 1
    assert train(base, tmp_path / "y", dev=None, options=still).whitening == 1
    one, other = (EmbeddingModel(name, tmp_path / name, device="cpu") for name in "xy")
    assert one.fingerprint == other.fingerprint != base.fingerprint


@pytest.mark.usefixtures("float32")
def test_plain_sentence_transformers_moves_questions_alike(
    base: EmbeddingModel, tuned: EmbeddingModel
) -> None:
    plain = SentenceTransformer(str(tuned.folder), device="cpu")
    both = {"normalize_embeddings": True, "show_progress_bar": False}
    asked = plain.encode_query(QUESTIONS, **both)
    np.testing.assert_allclose(asked, tuned.embed_queries(QUESTIONS), atol=1e-6)
    read = base.embed_passages(PASSAGES)
    np.testing.assert_allclose(plain.encode_document(PASSAGES, **both), read, atol=1e-6)
    # Who knows of no tasks gets the vectors of passages.
    named = plain.encode(PASSAGES, prompt_name="document", **both)
    np.testing.assert_allclose(named, read, atol=1e-6)


def test_the_start_is_the_whitening(base: EmbeddingModel, tmp_path: Path) -> None:
    # At a rate that moves nothing, what is left is the start.
    still = replace(ADAPTER, learning_rate=1e-12, whitening=1.0)
    report = train(base, tmp_path / "x", options=still)
    assert report.whitening == 1.0
    assert report.saved_dev_mrr is not None
    assert report.saved_dev_mrr > dev_mrr(base)
    assert report.saved_dev_mrr == pytest.approx(
        dev_mrr(EmbeddingModel("x", tmp_path / "x", device="cpu")), abs=1e-4
    )


def test_dev_chooses_among_parts_of_the_largest_share(base: EmbeddingModel, tmp_path: Path) -> None:
    found = {}
    for most in (0.0, 0.25, 0.5, 1.0):
        still = replace(ADAPTER, learning_rate=1e-12, whitening=most)
        report = train(base, tmp_path / f"x{most}", options=still)
        assert report.whitening in (0, most / 4, most / 2, most)
        found[most] = report.saved_dev_mrr or 0
    # What is chosen from more is never worse on what chooses.
    assert dev_mrr(base) == pytest.approx(found[0.0], abs=1e-4)
    assert sorted(found.values()) == [found[most] for most in sorted(found)]
    assert found[1.0] > found[0.0]


def test_whitening_reads_all_passages_of_the_index(base: EmbeddingModel, tmp_path: Path) -> None:
    still = replace(ADAPTER, learning_rate=1e-12, whitening=1.0)
    made = []
    for name, corpus in (("all", PASSAGES), ("half", PASSAGES[::2])):
        train(base, tmp_path / name, corpus=corpus, dev=None, options=still)
        made.append(EmbeddingModel(name, tmp_path / name, device="cpu"))
    assert made[0].fingerprint != made[1].fingerprint
    # Questions about passages that whitening has read stand nearer to those that it has not.
    asked, passages = QUESTIONS[::2], base.embed_passages(PASSAGES[1::2])
    near = [np.mean(one.embed_queries(asked) @ passages.T) for one in made]
    assert near[1] > near[0]


def test_a_sibling_shares_the_weights_and_nothing_else(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    first = shutil.copytree(base.folder, tmp_path / "first")
    (first / "training.json").write_text("{}", "utf-8")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    train(EmbeddingModel("first", first, device="cpu"), tmp_path / "second")
    assert (tmp_path / "second" / "model.safetensors").samefile(first / "model.safetensors")
    assert {path: path.read_bytes() for path in before} == before
    shutil.rmtree(first)
    assert dev_mrr(EmbeddingModel("second", tmp_path / "second", device="cpu")) > dev_mrr(base)


def test_the_cache_keeps_questions_of_the_two_apart(
    base: EmbeddingModel, tuned: EmbeddingModel, tmp_path: Path
) -> None:
    cache = VectorCache(tmp_path)
    before, after = (cache.embed_queries(model, QUESTIONS[:3]) for model in (base, tuned))
    np.testing.assert_allclose(after, tuned.embed_queries(QUESTIONS[:3]), atol=1e-5)
    assert np.abs(before - after).max() > 0.01
    seen = Recorder()
    cache.embed_passages(base, PASSAGES[:3], progress=seen)
    assert seen.calls
    again = Recorder()
    # Nothing is embedded anew for passages that the base has embedded.
    cache.embed_passages(tuned, PASSAGES[:3], progress=again)
    assert again.calls == []


def test_a_second_adapter_is_refused(tuned: EmbeddingModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="tiny-adapter has an adapter already"):
        train(tuned, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_loss_that_is_no_number_ends_training(base: EmbeddingModel, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1; run again with a"):
        train(base, tmp_path / "x", options=replace(ADAPTER, learning_rate=1e30))
    assert not (tmp_path / "x").exists()


def test_training_leaves_no_worse_score_than_the_base(base: EmbeddingModel, tmp_path: Path) -> None:
    first, _ = nearest(base.embed_queries(QUESTIONS), base.embed_passages(PASSAGES), 1)
    dev = DevSet(QUESTIONS, [frozenset(row.tolist()) for row in first], PASSAGES)
    assert dev_mrr(base, dev) == 1
    report = train(base, tmp_path / "x", dev=dev, options=replace(ADAPTER, learning_rate=1.0))
    # Dev refuses what the options name.
    assert (report.whitening, report.best_epoch) == (0, 0)
    assert dev_mrr(EmbeddingModel("x", tmp_path / "x", device="cpu"), dev) == 1
