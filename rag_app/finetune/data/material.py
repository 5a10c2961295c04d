"""From pairs and an index to what a training needs: rows, a dev set, and test questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rag_app.chunks import passage_text
from rag_app.documents import Columns
from rag_app.errors import PairsError
from rag_app.finetune.data.dev import DevSet
from rag_app.finetune.data.negatives import NegativePool
from rag_app.finetune.data.rows import dev_set, training_rows
from rag_app.finetune.options import TrainingRow
from rag_app.pairs import (
    MIN_PAIRS,
    Pair,
    Question,
    Split,
    Unmatched,
    build_questions,
    check_leaks,
    document_texts,
    match_questions,
    question_key,
    read_questions,
    split_pairs,
    without_self_answering,
)

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages
    from rag_app.vectors import Embedder

TrainOn = Literal["labelled", "synthetic", "both"]


@dataclass(frozen=True)
class SplitOptions:
    """How pairs are split. `group_by`: metadata key whose documents belong together."""

    dev_share: float = 0.1
    test_share: float = 0.3
    group_by: str | None = None


@dataclass(frozen=True)
class Material:
    """What a training is given, and what it is judged by.

    Fields:
        row_clusters: the near-duplicates that the document of each row belongs to.
        pool: passages that training may see besides: those of no dev or test document.
        train: the training pairs' own questions, for the score that shows what training on the
            test questions would have looked like.
        self_answering: pairs that were left out because the question repeats its answer.
    """

    split: Split
    rows: list[TrainingRow]
    row_clusters: list[str]
    pool: NegativePool
    dev: DevSet | None
    test: list[Question]
    train: list[Question]
    unmatched: Unmatched
    self_answering: int

    @property
    def training_documents(self) -> list[str]:
        """Documents that are trained on or choose the checkpoint, or are nearly the same."""
        clusters = self.split.clusters
        seen = {*self.row_clusters, *(clusters[pair.document_id] for pair in self.split.dev)}
        return [document for document, cluster in clusters.items() if cluster in seen]


def read_labelled(
    path: Path, nodes: Sequence["TextNode"], *, columns: Columns = Columns()
) -> tuple[list[Pair], Unmatched]:
    """Labelled pairs of a file that stand in the index, and those that do not.

    Raises:
        PairsError: the file cannot be read, or most of its answers are not in the index.
    """
    questions = read_questions(path, question_column=columns.question, answer_column=columns.answer)
    matching = match_questions(questions, nodes)
    if len(matching.unmatched) > len(matching.pairs):
        example = matching.unmatched[0]
        answer = example.document or (example.passage or "")[:60]
        raise PairsError(
            f"{len(matching.unmatched)} of {len(questions)} answers in {path} are not in the index "
            f"(such as {answer!r}); ingest the documents they come from first: "
            f"`rag-app ingest {path if example.passage else 'PATH'}`"
        )
    return matching.pairs, matching.left_out


def prepare_material(
    labelled: Sequence[Pair],
    synthetic: Sequence[Pair],
    *,
    train_on: TrainOn,
    passages: "Passages",
    model: "Embedder",
    options: SplitOptions,
    batch_size: int,
    seed: int,
    unmatched: Unmatched | None = None,
) -> Material:
    """Split by document, choose what is trained on, and check that nothing leaks.

    With labelled pairs the split and the test are theirs, whatever is trained on; synthetic pairs
    of documents in dev or test are left out of training.

    Raises:
        PairsError: too little to train and test on.
        LeakError: a text stands on both sides.
    """
    nodes = passages.nodes
    texts = document_texts(nodes)
    own, written = without_self_answering(labelled, texts), without_self_answering(synthetic, texts)
    asked = own if labelled else written
    self_answering = len(labelled) + len(synthetic) - len(own) - len(written)
    unmatched = unmatched or Unmatched()
    _require_enough(asked, unmatched=unmatched.count, self_answering=self_answering)
    split = split_pairs(
        asked,
        texts,
        seed=seed,
        dev_share=options.dev_share,
        test_share=options.test_share,
        group_of=_group_of(nodes, options.group_by),
    )
    train, dev = _choose(split, written, train_on if labelled else "labelled")
    if not train:
        raise PairsError(
            "no pair is left to train on; write questions with `rag-app questions`, "
            "or label more pairs with --pairs"
        )
    rows = training_rows(train, passages, split.clusters, model, batch_size=batch_size)
    pool = _negative_pool(split, passages)
    check_leaks(
        split,
        texts,
        questions=[row.question for row in rows],
        passages=[*(row.passage for row in rows), *pool.texts],
    )
    return Material(
        split=split,
        rows=rows,
        row_clusters=[split.clusters[pair.document_id] for pair in train],
        pool=pool,
        dev=dev_set(build_questions(dev, nodes, split.clusters), nodes, seed=seed),
        test=build_questions(split.test, nodes, split.clusters),
        train=build_questions(train, nodes, split.clusters),
        unmatched=unmatched,
        self_answering=self_answering,
    )


def _require_enough(pairs: Sequence[Pair], *, unmatched: int, self_answering: int) -> None:
    """Say where the pairs of a file went, if too few of them are left."""
    gone = [
        f"{count} {why}"
        for count, why in (
            (unmatched, "have an answer that is not in the index"),
            (self_answering, "repeat the passage that answers them"),
        )
        if count
    ]
    if gone and len(pairs) < MIN_PAIRS:
        raise PairsError(
            f"{len(pairs)} pairs are too few to train on some and test on others, and those that "
            f"were left out cannot help: {' and '.join(gone)}; label at least {MIN_PAIRS}, or "
            "write some with `rag-app questions`"
        )


def _negative_pool(split: Split, passages: "Passages") -> NegativePool:
    """Passages of documents that are neither in dev nor in test, nor like one that is."""
    held_out = {split.clusters[pair.document_id] for pair in (*split.dev, *split.test)}
    clusters = [split.clusters[str(node.ref_doc_id)] for node in passages.nodes]
    kept = {
        passage_text(node): cluster
        for node, cluster in zip(passages.nodes, clusters, strict=True)
        if cluster not in held_out
    }
    return NegativePool(list(kept), list(kept.values()))


def _group_of(nodes: Sequence["TextNode"], key: str | None) -> Callable[[str], str] | None:
    if key is None:
        return None
    values = {node.ref_doc_id: str(node.metadata.get(key, node.ref_doc_id)) for node in nodes}
    if not any(key in node.metadata for node in nodes):
        known = ", ".join(sorted({name for node in nodes for name in node.metadata}))
        raise PairsError(f"no document has the metadata {key!r} of --group-by; known: {known}")
    return values.__getitem__


def _choose(
    split: Split, synthetic: Sequence[Pair], train_on: TrainOn
) -> tuple[list[Pair], list[Pair]]:
    """Training and dev pairs of the kind asked for."""
    if train_on == "labelled":
        return split.train, split.dev
    part = {
        split.clusters[pair.document_id]: name
        for name, pairs in (("dev", split.dev), ("test", split.test))
        for pair in pairs
    }
    asked = {question_key(pair.question) for pair in (*split.dev, *split.test)}
    fresh = [pair for pair in synthetic if question_key(pair.question) not in asked]
    train = [pair for pair in fresh if split.clusters[pair.document_id] not in part]
    dev = [pair for pair in fresh if part.get(split.clusters[pair.document_id]) == "dev"]
    if train_on == "both":
        return [*split.train, *train], split.dev
    # Tuned without labels means that labels do not choose the checkpoint either.
    return train, dev
