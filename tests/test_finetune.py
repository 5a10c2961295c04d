"""The engine on a tiny real model: it learns, it resumes, it keeps the test questions apart."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import WordModel
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from safetensors.numpy import load_file
from tiny import MAX_TOKENS, make_tiny_model

from rag_app.chunks import passage_text
from rag_app.errors import PairsError, TrainingError
from rag_app.evaluate.ranks import reciprocal_rank
from rag_app.finetune.data.batches import deal_batches, groups_against
from rag_app.finetune.data.dev import DevEvaluator, DevSet
from rag_app.finetune.data.material import (
    Material,
    prepare_materials,
    read_labelled,
)
from rag_app.finetune.data.rows import CutPassages, cut_passages
from rag_app.finetune.data.rows import training_rows as make_rows
from rag_app.finetune.options import (
    TrainingOptions,
    TrainingRow,
    TrainOn,
    read_report,
    training_key,
)
from rag_app.finetune.train.engine import EmbeddingFinetuneEngine
from rag_app.finetune.train.trainer import PairTrainer
from rag_app.index import Passages
from rag_app.models import EmbeddingModel
from rag_app.pairs import Pair, SplitOptions, make_pair, question_key
from rag_app.progress import Progress, silent

ROOT = Path(__file__).parents[1]
SUBJECTS = [f"zorb{i}" for i in range(60)]
FILLERS = ["how", "do", "i", "get", "where", "you", "find", "there", "it", "is"]
WORDS = [*SUBJECTS, *FILLERS]
# 48 pairs in batches of 8 are 6 steps an epoch.
STEPS = 6
OPTIONS = TrainingOptions(epochs=3, batch_size=8, learning_rate=5e-3, max_tokens=32, blend=1.0)


def row_of(subject: str) -> TrainingRow:
    return TrainingRow(f"how do i get {subject}", f"where you find {subject} there it is", subject)


ROWS = [row_of(subject) for subject in SUBJECTS[:48]]
DEV = DevSet(
    questions=[row_of(subject).question for subject in SUBJECTS[36:]],
    gold=[frozenset([row]) for row in range(36, 60)],
    passages=[row_of(subject).passage for subject in SUBJECTS],
)


pytestmark = pytest.mark.usefixtures("single_thread")


def make_base(folder: Path) -> EmbeddingModel:
    """A tiny model with prompts that knows the words of ROWS."""
    tiny = make_tiny_model(
        folder / "tiny", words=WORDS, prompts={"query": "ask: ", "document": "text: "}
    )
    return EmbeddingModel("acme/tiny", tiny, device="cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return make_base(tmp_path_factory.mktemp("base"))


def make_engine(
    base: EmbeddingModel,
    target: Path,
    *,
    rows: Sequence[TrainingRow] = ROWS,
    dev: DevSet | None = DEV,
    options: TrainingOptions = OPTIONS,
    progress: Progress = silent,
) -> EmbeddingFinetuneEngine:
    return EmbeddingFinetuneEngine(
        base, rows, dev=dev, target=target, options=options, device="cpu", progress=progress
    )


@pytest.fixture(scope="module")
def tuned(
    base: EmbeddingModel, tmp_path_factory: pytest.TempPathFactory
) -> EmbeddingFinetuneEngine:
    """An undisturbed run."""
    engine = make_engine(base, tmp_path_factory.mktemp("tuned") / "tiny-mnrl-0")
    engine.finetune()
    return engine


def weights(folder: Path) -> dict[str, np.ndarray]:
    return dict(load_file(folder / "model.safetensors"))


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], atol=1e-6, err_msg=name)


class Recorder:
    """Remembers what it was told; `stop_at` is the step at which Ctrl-C is pressed."""

    def __init__(self, *, stop_at: int | None = None) -> None:
        self.stop_at = stop_at
        self.calls: list[tuple[str, int, int, str]] = []

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        self.calls.append((step, done, total, note))
        if done == self.stop_at:
            raise KeyboardInterrupt


def test_training_helps(base: EmbeddingModel, tuned: EmbeddingFinetuneEngine) -> None:
    report = tuned.finished_report()
    before = DevEvaluator(DEV, base.prompts)(base.transformer)["dev_mrr@10"]
    assert len(report.dev_mrr) == OPTIONS.epochs
    assert max(report.dev_mrr) > before + 0.2
    assert report.losses[-1] < report.losses[0]


def test_the_best_epoch_is_the_one_that_is_saved(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine
) -> None:
    report = tuned.finished_report()
    assert report.dev_mrr[report.best_epoch - 1] == max(report.dev_mrr)
    saved = DevEvaluator(DEV, base.prompts)(tuned.load().transformer)["dev_mrr@10"]
    assert saved == pytest.approx(max(report.dev_mrr), abs=0.02)


def test_the_report_is_whole_and_kept(tuned: EmbeddingFinetuneEngine) -> None:
    report = tuned.finished_report()
    assert report == read_report(tuned.target)
    assert set(json.loads((tuned.target / "training.json").read_text("utf-8"))) == {
        "seconds",
        "pairs_per_second",
        "peak_memory_mb",
        "device",
        "bf16",
        "epochs",
        "best_epoch",
        "dev_mrr",
        "losses",
        "blend",
        "saved_dev_mrr",
        "whitening",
    }
    trained = OPTIONS.epochs * len(ROWS)
    assert report.pairs_per_second == pytest.approx(trained / report.seconds, rel=0.05)
    assert report.device == "cpu"
    assert report.peak_memory_mb > 50
    assert len(report.losses) == OPTIONS.epochs * STEPS // 5


def test_nothing_but_the_model_is_left(tuned: EmbeddingFinetuneEngine) -> None:
    assert [path.name for path in tuned.target.parent.iterdir()] == [tuned.target.name]


@pytest.mark.usefixtures("float32")
def test_sentence_transformers_loads_the_folder(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine
) -> None:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(tuned.target), device="cpu")
    model = tuned.load()
    texts = [ROWS[0].question, ROWS[1].passage]
    for name, ours in (
        ("query", model.embed_queries(texts)),
        ("document", model.embed_passages(texts)),
    ):
        theirs = plain.encode(texts, prompt_name=name, show_progress_bar=False)
        np.testing.assert_allclose(theirs, ours, atol=1e-6)
    assert plain.prompts == {"query": "ask: ", "document": "text: "}
    # Training cut texts at 32 tokens; the model reads as many as before.
    assert plain.max_seq_length == model.max_tokens == MAX_TOKENS
    assert model.fingerprint != base.fingerprint
    assert model.name == "tiny-mnrl-0"


def test_the_base_model_is_not_changed(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine
) -> None:
    again = EmbeddingModel(base.name, base.folder, device="cpu")
    np.testing.assert_array_equal(
        again.embed_queries([SUBJECTS[0]]), base.embed_queries([SUBJECTS[0]])
    )
    assert base.max_tokens == MAX_TOKENS


def test_it_is_an_engine_of_llama_index(tuned: EmbeddingFinetuneEngine) -> None:
    from llama_index.finetuning.types import BaseEmbeddingFinetuneEngine

    assert isinstance(tuned, BaseEmbeddingFinetuneEngine)
    embedding = tuned.get_finetuned_model()
    assert isinstance(embedding, BaseEmbedding)
    model, text = tuned.load(), ROWS[0].question
    np.testing.assert_allclose(
        embedding.get_query_embedding(text), model.embed_queries([text])[0], atol=1e-6
    )
    np.testing.assert_allclose(
        embedding.get_text_embedding_batch([text, "a"]),
        model.embed_passages([text, "a"]),
        atol=1e-6,
    )


def test_a_finished_run_is_not_run_again(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine
) -> None:
    seen = Recorder()
    written = (tuned.target / "model.safetensors").stat().st_mtime_ns
    again = make_engine(base, tuned.target, progress=seen)
    again.finetune()
    assert seen.calls == []
    assert (tuned.target / "model.safetensors").stat().st_mtime_ns == written
    assert again.report == tuned.report


def test_report_before_training_is_a_bug(base: EmbeddingModel, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="finetune"):
        make_engine(base, tmp_path / "x").finished_report()


def test_progress_tells_steps_loss_and_dev_score(base: EmbeddingModel, tmp_path: Path) -> None:
    seen = Recorder()
    make_engine(base, tmp_path / "x", options=replace(OPTIONS, epochs=2), progress=seen).finetune()
    steps = [call for call in seen.calls if call[0] == "train"]
    assert [(done, total) for _, done, total, _ in steps] == [(n, 12) for n in range(1, 13)]
    assert steps[0][3] == ""
    assert steps[-1][3].startswith("loss ")
    assert "dev MRR@10 0." in steps[-1][3]


def test_without_dev_questions_the_last_epoch_is_taken(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    half_saved = tmp_path / "x.partial"
    half_saved.mkdir()
    (half_saved / "leftover.safetensors").write_bytes(b"half")
    engine = make_engine(base, tmp_path / "x", dev=None, options=replace(OPTIONS, epochs=1))
    engine.finetune()
    assert engine.finished_report().dev_mrr == []
    assert engine.finished_report().best_epoch == 1
    assert engine.load().dimension == base.dimension
    assert not (engine.target / "leftover.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_ctrl_c_in_epoch_two_loses_nothing(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine, tmp_path: Path
) -> None:
    target = tmp_path / "tiny-mnrl-0"
    with pytest.raises(KeyboardInterrupt):
        make_engine(base, target, progress=Recorder(stop_at=STEPS + 2)).finetune()
    assert not target.exists()
    seen = Recorder()
    again = make_engine(base, target, progress=seen)
    again.finetune()
    assert seen.calls[0][1] == STEPS + 1
    assert_same_weights(target, tuned.target)
    assert again.finished_report().dev_mrr == tuned.finished_report().dev_mrr
    assert again.finished_report().best_epoch == tuned.finished_report().best_epoch


VICTIM = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
import conftest
from rag_app.models import EmbeddingModel
from test_finetune import STEPS, make_engine

def progress(step, done, total, note=""):
    if done == STEPS + 3:
        print("now", flush=True)
        time.sleep(600)

base = EmbeddingModel("acme/tiny", Path({base!r}), device="cpu")
make_engine(base, Path({target!r}), progress=progress).finetune()
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_from_its_checkpoint(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine, tmp_path: Path
) -> None:
    target = tmp_path / "tiny-mnrl-0"
    script = VICTIM.format(
        tests=str(ROOT / "tests"), root=str(ROOT), base=str(base.folder), target=str(target)
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=env, text=True
    ) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "now\n"
        os.kill(victim.pid, signal.SIGKILL)
    assert not target.exists()
    seen = Recorder()
    make_engine(base, target, progress=seen).finetune()
    assert seen.calls[0][1] == STEPS + 1
    assert_same_weights(target, tuned.target)


def test_half_a_checkpoint_does_no_harm(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine, tmp_path: Path
) -> None:
    target = tmp_path / "tiny-mnrl-0"
    (tmp_path / "tiny-mnrl-0.training" / f"checkpoint-{STEPS}").mkdir(parents=True)
    make_engine(base, target).finetune()
    assert_same_weights(target, tuned.target)


def test_a_checkpoint_whose_last_file_is_torn_does_no_harm(
    base: EmbeddingModel, tuned: EmbeddingFinetuneEngine, tmp_path: Path
) -> None:
    target = tmp_path / "tiny-mnrl-0"
    with pytest.raises(KeyboardInterrupt):
        make_engine(base, target, progress=Recorder(stop_at=2 * STEPS + 2)).finetune()
    state = tmp_path / "tiny-mnrl-0.training" / f"checkpoint-{2 * STEPS}" / "trainer_state.json"
    state.write_text(state.read_text("utf-8")[:100], "utf-8")
    seen = Recorder()
    make_engine(base, target, progress=seen).finetune()
    assert seen.calls[0][1] == STEPS + 1
    assert_same_weights(target, tuned.target)


@pytest.mark.parametrize(("apart", "written"), [(0, 3), (3600, 1)], ids=["all", "first"])
def test_a_checkpoint_is_written_where_the_last_one_is_old(
    base: EmbeddingModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    apart: int,
    written: int,
) -> None:
    monkeypatch.setattr("rag_app.finetune.train.trainer.SECONDS_APART", apart)
    kept: list[int] = []
    save = PairTrainer._save

    def note(trainer: PairTrainer, folder: str | None = None, state: Any = None) -> None:
        kept.append(trainer.state.global_step)
        save(trainer, folder, state)

    monkeypatch.setattr(PairTrainer, "_save", note)
    make_engine(base, tmp_path / "x", dev=None).finetune()
    assert kept == [STEPS * epoch for epoch in range(1, 1 + written)]


def test_a_run_that_could_not_be_saved_is_saved_from_wherever_it_is_started_again(
    base: EmbeddingModel,
    tuned: EmbeddingFinetuneEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rag_app.finetune.train.trainer.SECONDS_APART", 0)
    in_the_way = tmp_path / "storage" / "x.partial"
    in_the_way.parent.mkdir()
    in_the_way.write_text("no folder", "utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"x\.partial"):
        make_engine(base, Path("storage/x")).finetune()
    in_the_way.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    seen = Recorder()
    again = make_engine(base, Path("../storage/x"), progress=seen)
    again.finetune()
    assert seen.calls == []
    assert_same_weights(again.target, tuned.target)
    assert again.finished_report().dev_mrr == tuned.finished_report().dev_mrr


def test_unknown_names_list_the_known(base: EmbeddingModel, tmp_path: Path) -> None:
    for options, message in (
        (replace(OPTIONS, loss="magic"), "no loss 'magic'; --loss takes one of: mnrl"),
        (replace(OPTIONS, method="magic"), "no method 'magic'; --method takes one of: full"),
    ):
        with pytest.raises(TrainingError, match=message):
            make_engine(base, tmp_path / "x", options=options).finetune()
        assert not (tmp_path / "x").exists()


def test_a_loss_that_is_no_number_ends_training(base: EmbeddingModel, tmp_path: Path) -> None:
    options = replace(OPTIONS, learning_rate=1e30)
    with pytest.raises(TrainingError, match="smaller --learning-rate"):
        make_engine(base, tmp_path / "x", options=options).finetune()
    assert not (tmp_path / "x").exists()


def test_what_is_kept_of_a_diverged_training_holds_numbers(
    base: EmbeddingModel, tmp_path: Path
) -> None:
    # The higher the rate the sooner: in a later epoch, at the very end of the first, in the first.
    # Which of these it is differs between processors; the last one ends in the first step on all.
    said = []
    for rate in (1e5, 2e5, 3e5, 5e5, 7e5, 1e30):
        target = tmp_path / f"{rate:g}"
        options = replace(OPTIONS, learning_rate=rate, epochs=6)
        try:
            make_engine(base, target, options=options).finetune()
        except TrainingError as error:
            said.append(str(error))
            assert not target.exists()
        else:
            assert all(np.isfinite(values).all() for values in weights(target).values())
    assert "smaller --learning-rate" in said[-1]
    assert "is kept in" not in said[-1]
    for message in said:
        if "is kept in" in message:
            kept = Path(message.rpartition("is kept in ")[2])
            assert all(np.isfinite(values).all() for values in weights(kept).values())
            assert EmbeddingModel("kept", kept, device="cpu").dimension == base.dimension


def test_word_embeddings_stay_as_they_are(base: EmbeddingModel, tmp_path: Path) -> None:
    make_engine(base, tmp_path / "a", options=replace(OPTIONS, epochs=1)).finetune()
    before, after = weights(base.folder), weights(tmp_path / "a")
    changed = {key for key in before if not np.array_equal(before[key], after[key])}
    assert "embeddings.word_embeddings.weight" not in changed
    assert "embeddings.position_embeddings.weight" in changed


def test_reciprocal_rank_by_hand() -> None:
    assert reciprocal_rank([5, 3, 9], frozenset([9, 3])) == 1 / 2
    assert reciprocal_rank([5, 3, 9], frozenset([1])) == 0.0


def test_the_key_changes_with_whatever_changes_the_outcome() -> None:
    keys = [
        training_key("f1", ROWS, ["q"], OPTIONS),
        training_key("f2", ROWS, ["q"], OPTIONS),
        training_key("f1", ROWS[:-1], ["q"], OPTIONS),
        training_key("f1", ROWS, ["r"], OPTIONS),
        training_key("f1", ROWS, ["q"], replace(OPTIONS, epochs=5)),
        training_key("f1", ROWS, ["q"], replace(OPTIONS, seed=14)),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == training_key("f1", list(ROWS), ["q"], replace(OPTIONS))


# What a training is made of. Documents of unlike words, so that each is a cluster of its own.


def node_of(document: str, text: str, *, start: int = 0, **metadata: str) -> TextNode:
    return TextNode(
        id_=f"{document}:{start}",
        text=text,
        start_char_idx=start,
        end_char_idx=start + len(text),
        metadata={"path": f"/{document}", "chunk_index": start, **metadata},
        excluded_embed_metadata_keys=["path", "chunk_index", "topic"],
        metadata_template="{value}",
        text_template="{metadata_str}\n{content}",
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)},
    )


def document_text(number: int) -> str:
    return " ".join(f"word{number}x{i}" for i in range(12))


DOCUMENTS = [f"docs/{number}.md" for number in range(40)]


@pytest.fixture
def passages() -> Passages:
    nodes = [
        node_of(name, document_text(number), topic=f"topic{number // 2}")
        for number, name in enumerate(DOCUMENTS)
    ]
    return Passages(nodes, WordModel().embed_passages([passage_text(node) for node in nodes]))


def pairs_of(origin: str) -> list[Pair]:
    return [
        make_pair(f"{origin} asks for word{number}x3", name, None, None, origin)
        for number, name in enumerate(DOCUMENTS)
    ]


LABELLED, SYNTHETIC = pairs_of("human"), pairs_of("machine")


def material_of(
    passages: Passages,
    *,
    labelled: Sequence[Pair] = LABELLED,
    synthetic: Sequence[Pair] = SYNTHETIC,
    train_on: TrainOn = "labelled",
    options: SplitOptions | None = None,
) -> Material:
    [material] = prepare_materials(
        labelled,
        synthetic,
        train_on=train_on,
        passages=passages,
        embed=WordModel().embed_queries,
        options=options or SplitOptions(),
        batch_size=8,
        seed=13,
    )
    return material


def documents_of(pairs: Sequence[Pair]) -> set[str]:
    return {pair.document_id for pair in pairs}


def origins(material: Material) -> set[str]:
    return {row.question.split()[0] for row in material.rows}


def test_labelled_pairs_alone(passages: Passages) -> None:
    material = material_of(passages, synthetic=[])
    assert [len(part) for part in (material.split.train, material.split.dev)] == [24, 4]
    assert len(material.test) == 12  # 0.3 of 40
    assert [row.question for row in material.rows] == [p.question for p in material.split.train]
    assert origins(material) == {"human"}
    assert material.dev is not None
    assert list(material.dev.questions) == [pair.question for pair in material.split.dev]
    for question, gold in zip(material.dev.questions, material.dev.gold, strict=True):
        word = question.split()[-1]
        assert [word in passage for passage in material.dev.passages].index(True) in gold


@pytest.mark.parametrize(
    ("train_on", "rows", "said_by"),
    [
        ("synthetic", 24, {"machine"}),
        ("both", 48, {"human", "machine"}),
        ("labelled", 24, {"human"}),
    ],
)
def test_synthetic_pairs_of_dev_and_test_documents_are_never_trained_on(
    passages: Passages, train_on: TrainOn, rows: int, said_by: set[str]
) -> None:
    material = material_of(passages, train_on=train_on)
    assert len(material.rows) == rows
    assert origins(material) == said_by
    held_out = documents_of(material.split.dev) | documents_of(material.split.test)
    for document in held_out:
        text = document_text(DOCUMENTS.index(document))
        assert all(row.passage != text for row in material.rows)
    # The test is the labelled one, whatever was trained on.
    assert {question.text.split()[0] for question in material.test} == {"human"}
    assert material.dev is not None
    judged_by = "machine" if train_on == "synthetic" else "human"
    assert {question.split()[0] for question in material.dev.questions} == {judged_by}


def test_without_labels_the_generated_questions_are_split(passages: Passages) -> None:
    material = material_of(passages, labelled=[], train_on="synthetic")
    assert origins(material) == {"machine"}
    assert [len(material.rows), len(material.test)] == [24, 12]
    assert not documents_of(material.split.train) & documents_of(material.split.test)


def test_a_generated_question_that_is_asked_in_the_test_is_left_out(passages: Passages) -> None:
    plain = material_of(passages, train_on="both")
    asked = plain.split.test[0].question
    trained = plain.split.train[0].document_id
    copy = make_pair(f"{asked.upper()}?", trained, None, None, "machine")
    material = material_of(passages, synthetic=[*SYNTHETIC, copy], train_on="both")
    assert copy.question not in {row.question for row in material.rows}


def test_group_by_keeps_a_topic_on_one_side(passages: Passages) -> None:
    material = material_of(passages, options=SplitOptions(group_by="topic"))
    parts = [
        {DOCUMENTS.index(name) // 2 for name in documents_of(part)}
        for part in (material.split.train, material.split.dev, material.split.test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20


def test_group_by_an_unknown_key_lists_the_known(passages: Passages) -> None:
    with pytest.raises(PairsError, match="'topik' of --group-by; known: chunk_index, path, topic"):
        material_of(passages, options=SplitOptions(group_by="topik"))


def test_no_pair_to_train_on_is_an_error(passages: Passages) -> None:
    with pytest.raises(PairsError, match="rag-app questions"):
        material_of(passages, synthetic=[], train_on="synthetic")


def test_a_row_takes_the_chunk_that_is_most_like_the_question() -> None:
    first, second = "apples grow on trees", "pears taste sweet in autumn"
    nodes = [node_of("a", first), node_of("a", second, start=21)]
    model = WordModel()
    passages = Passages(nodes, model.embed_passages([passage_text(node) for node in nodes]))
    pairs = [
        make_pair("do pears taste sweet", "a", None, None, "human"),
        make_pair("do apples grow", "a", None, None, "human"),
        make_pair("pears taste sweet, do apples", "a", 0, len(first), "human"),
    ]
    rows = make_rows(pairs, passages, {"a": "c"}, model.embed_queries, batch_size=2)
    # Evidence beats likeness: the third pair's answer stands in the first chunk.
    texts = [passage_text(node) for node in nodes]
    assert [texts.index(row.passage) for row in rows] == [1, 0, 0]


@pytest.mark.parametrize(
    ("documents", "grouped_by"), [(8, "document"), (4, "document"), (3, "passage"), (1, "passage")]
)
def test_rows_are_grouped_by_document_where_batches_stay_full(
    documents: int, grouped_by: str
) -> None:
    nodes = [node_of(f"d{i % documents}", document_text(i), start=100 * i) for i in range(16)]
    model = WordModel()
    passages = Passages(nodes, model.embed_passages([passage_text(node) for node in nodes]))
    pairs = [
        make_pair(f"word{i}x3", node.ref_doc_id or "", 100 * i, 100 * i + 9, "human")
        for i, node in enumerate(nodes)
    ]
    clusters = {f"d{i}": f"cluster{i}" for i in range(documents)}
    rows = make_rows(pairs, passages, clusters, model.embed_queries, batch_size=4)
    if grouped_by == "document":
        assert {row.group for row in rows} == set(clusters.values())
    else:
        assert [row.group for row in rows] == [row.passage for row in rows]


def rows_of_one_document(asked: Sequence[tuple[str, int]], batch_size: int) -> list[TrainingRow]:
    """Rows of questions to numbered passages of one document."""
    nodes = [node_of("d", document_text(i), start=200 * i) for i in range(60)]
    model = WordModel()
    passages = Passages(nodes, model.embed_passages([passage_text(node) for node in nodes]))
    pairs = [make_pair(text, "d", 200 * i, 200 * i + 9, "human") for text, i in asked]
    return make_rows(pairs, passages, {"d": "c"}, model.embed_queries, batch_size=batch_size)


@pytest.mark.parametrize("seed", range(5))
def test_two_answers_of_a_question_never_meet(seed: int) -> None:
    asked = [(f"word{i}x3", i) for i in range(60)]
    # Every tenth question has a second answer, in other words for the eye only.
    twice = [(f"Word{i}x3?", i + 1) for i in range(0, 60, 10)]
    rows = rows_of_one_document([*asked, *twice], 16)
    for batch in deal_batches([row.group for row in rows], 16, seed=seed):
        questions = [question_key(rows[row].question) for row in batch]
        passages = [rows[row].passage for row in batch]
        assert len(set(questions)) == len(set(passages)) == len(batch)
        # Nor does such an answer stand there as the answer of another question.
        for i in range(0, 60, 10):
            mine = {rows[i].passage, rows[i + 1].passage}
            assert f"word{i}x3" not in questions or len(mine & set(passages)) == 1


def test_where_all_questions_differ_batches_are_as_they_were() -> None:
    rows = rows_of_one_document([(f"word{i}x3", i % 40) for i in range(60)], 16)
    groups = [row.group for row in rows]
    assert groups == [row.passage for row in rows]
    assert not any(groups_against(rows))
    assert deal_batches(groups, 16, seed=3, against=groups_against(rows)) == deal_batches(
        [row.passage for row in rows], 16, seed=3
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_chain_of_answers_does_not_empty_the_batches(seed: int) -> None:
    """Each question is answered by its passage and the next one, so that all are joined."""
    asked = [(f"word{i}x3", place) for i in range(59) for place in (i, i + 1)]
    rows = rows_of_one_document(asked, 16)
    assert [row.group for row in rows] == [row.passage for row in rows]
    dealt = deal_batches([row.group for row in rows], 16, seed=seed, against=groups_against(rows))
    assert len(dealt) == math.ceil(118 / 16)
    for batch in dealt:
        assert len({rows[row].question for row in batch}) == len(batch)


def test_passages_that_training_does_not_read_to_the_end_are_counted() -> None:
    rows = [TrainingRow(f"q{n}", " ".join("abcdefgh"[:n]), "g") for n in (3, 5, 5, 6, 8)]
    model = WordModel(max_tokens=6)
    for max_tokens, cut, read in ((None, 1, 6), (5, 2, 5), (4, 3, 4), (99, 1, 6)):
        found = cut_passages(rows, model, max_tokens)
        # Of 3, 5, 6 and 8 words; the one of 5 words stands there twice.
        assert found == CutPassages(cut, of=4, max_tokens=read, model_max_tokens=6)


def test_a_question_that_repeats_its_answer_is_left_out(passages: Passages) -> None:
    texts = [document_text(number) for number in range(5)]
    echoes = [
        make_pair(f"{text.upper()} ?", name, None, None, "human")
        for text, name in zip(texts, DOCUMENTS, strict=False)
    ]
    words = make_pair("word7x0 word7x1", DOCUMENTS[7], 0, len("word7x0 word7x1"), "human")
    material = material_of(passages, labelled=[*LABELLED, *echoes, words], synthetic=[])
    assert material.self_answering == 6
    assert material.split == material_of(passages, synthetic=[]).split
    written = [replace(echoes[0], origin="machine"), *SYNTHETIC]
    assert material_of(passages, synthetic=written, train_on="both").self_answering == 1


def write_questions(path: Path, documents: Sequence[str]) -> Path:
    lines = [json.dumps({"question": f"what about {name}", "document": name}) for name in documents]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_labelled_questions_are_matched_and_the_rest_counted(
    passages: Passages, tmp_path: Path
) -> None:
    path = write_questions(tmp_path / "q.jsonl", [*DOCUMENTS[:5], "lost.md"])
    pairs, unmatched = read_labelled(path, passages.nodes)
    assert documents_of(pairs) == set(DOCUMENTS[:5])
    assert (unmatched.count, unmatched.of) == (1, 6)
    assert str(unmatched) == (
        "1 of 6 questions left out, since their answers are not in the index, such as that to "
        "'what about lost.md' ('lost.md')"
    )


def test_answers_that_are_mostly_elsewhere_are_an_error(passages: Passages, tmp_path: Path) -> None:
    path = write_questions(tmp_path / "q.jsonl", [DOCUMENTS[0], "lost.md", "gone.md"])
    with pytest.raises(PairsError) as caught:
        read_labelled(path, passages.nodes)
    message = str(caught.value)
    assert message.startswith(f"2 of 3 answers in {path} are not in the index (such as 'lost.md')")
    assert "rag-app ingest PATH" in message
