"""From pairs and an index to what a training needs: rows, a dev set, and test questions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.chunks import chunks_by_document, passage_text
from rag_app.documents import Columns
from rag_app.errors import PairsError
from rag_app.finetune.data.dev import DevSet
from rag_app.finetune.data.negatives import NegativePool
from rag_app.finetune.data.rows import EmbedQueries, dev_set, training_rows
from rag_app.finetune.options import TrainingRow, TrainOn
from rag_app.pairs import (
    MIN_PAIRS,
    HeldOut,
    Pair,
    Question,
    Split,
    SplitInput,
    SplitOptions,
    Unmatched,
    build_questions,
    by_question,
    check_leaks,
    cluster_documents,
    document_texts,
    gold_chunks,
    match_questions,
    question_id,
    question_key,
    read_questions,
    split_around,
    split_as_asked,
    without_self_answering,
)

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages


@dataclass(frozen=True)
class Material:
    """What a training is given, and what it is judged by.

    Fields:
        pairs: of the kind that is trained on, those of dev and test included.
        row_clusters: the near-duplicates that the document of each row belongs to.
        pool: passages that training may see besides: those of no document that is held out.
        corpus: the texts of all passages of the index. They say nothing of the questions about
            them; what goes into service has read them, so what is judged reads them, too.
        tests: held-out questions by what is new about them; never empty lists.
        train: the training pairs' own questions, for the score that shows what training on the
            test questions would have looked like.
        self_answering: pairs that were left out because the question repeats its answer.
    """

    split: Split
    pairs: list[Pair]
    rows: list[TrainingRow]
    row_clusters: list[str]
    pool: NegativePool
    corpus: list[str]
    dev: DevSet | None
    tests: dict[HeldOut, list[Question]]
    train: list[Question]
    unmatched: Unmatched
    self_answering: int

    @property
    def test(self) -> list[Question]:
        """Held-out questions about new documents, or where there are none, about known ones."""
        return next(iter(self.tests.values()))

    @property
    def training_documents(self) -> list[str]:
        """Documents that are trained on or choose the checkpoint, or are nearly the same."""
        of_document = self.split.clusters
        clusters = {*self.row_clusters, *(of_document[pair.document_id] for pair in self.split.dev)}
        return [document for document, cluster in of_document.items() if cluster in clusters]

    @property
    def training_questions(self) -> set[str]:
        """Ids of the questions that are trained on or choose the checkpoint."""
        dev = self.dev.questions if self.dev else ()
        return {question_id(text) for text in (*(row.question for row in self.rows), *dev)}


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


def prepare_materials(
    labelled: Sequence[Pair],
    synthetic: Sequence[Pair],
    *,
    train_on: TrainOn,
    passages: "Passages",
    embed: EmbedQueries,
    options: SplitOptions,
    batch_size: int,
    seed: int,
    unmatched: Unmatched | None = None,
    test: Sequence[Pair] = (),
) -> list[Material]:
    """Split, choose what is trained on, and check that nothing leaks; one for each fold.

    With labelled pairs the split and the test are theirs, whatever is trained on; synthetic pairs
    of documents in dev or test are left out of training.

    Arguments:
        test: labelled pairs that give the verdict, in place of a share of the others.
    Raises:
        PairsError: too little to train and test on.
        LeakError: a text stands on both sides.
    """
    nodes = passages.nodes
    texts = document_texts(nodes)
    own, written, judging = (
        without_self_answering(pairs, texts) for pairs in (labelled, synthetic, test)
    )
    if test and not judging:
        raise PairsError(
            f"all {len(test)} questions of the test file repeat the passage that answers them; "
            "ask in other words"
        )
    asked = own if labelled else written
    self_answering = sum(map(len, (labelled, synthetic, test))) - sum(
        map(len, (own, written, judging))
    )
    unmatched = unmatched or Unmatched()
    _require_enough(asked, unmatched=unmatched.count, self_answering=self_answering)
    given = SplitInput(asked, texts, passage_of(nodes), _group_of(nodes, options.group_by))
    shared = _Shared(
        written, train_on if labelled else "labelled", passages, texts, embed, batch_size
    )
    splits = (
        [split_around(given, judging, options, seed=seed)]
        if test
        else split_as_asked(given, options, seed=seed)
    )
    return [
        _material(split, shared, seed=seed, unmatched=unmatched, self_answering=self_answering)
        for split in splits
    ]


def all_pairs(
    materials: Sequence[Material], passages: "Passages", embed: EmbedQueries, *, batch_size: int
) -> Material:
    """What trains on the pairs of all parts; nothing is held out.

    Arguments:
        materials: one, or one for each fold; together they hold all pairs.
    """
    first = materials[0]
    pairs = by_question({pair.id: pair for one in materials for pair in one.pairs}.values())
    clusters = first.split.clusters
    split = Split(pairs, [], [], clusters)
    rows = training_rows(pairs, passages, clusters, embed, batch_size=batch_size)
    return replace(
        first,
        split=split,
        pairs=pairs,
        rows=rows,
        row_clusters=[clusters[pair.document_id] for pair in pairs],
        pool=negative_pool(split, passages),
        dev=None,
        tests={},
        train=[],
    )


@dataclass(frozen=True)
class _Shared:
    """What the materials of all folds have in common.

    Fields:
        written: synthetic pairs.
        texts: document id -> text.
    """

    written: Sequence[Pair]
    train_on: TrainOn
    passages: "Passages"
    texts: Mapping[str, str]
    embed: EmbedQueries
    batch_size: int


def _material(
    split: Split, shared: _Shared, *, seed: int, unmatched: Unmatched, self_answering: int
) -> Material:
    passages, nodes, clusters = shared.passages, shared.passages.nodes, split.clusters
    train, dev = _choose(split, shared.written, shared.train_on)
    if not train:
        raise PairsError(
            "no pair is left to train on; write questions with `rag-app questions`, "
            "or label more pairs with --pairs"
        )
    rows = training_rows(train, passages, clusters, shared.embed, batch_size=shared.batch_size)
    pool = negative_pool(split, passages)
    check_leaks(
        split,
        shared.texts,
        questions=[row.question for row in rows],
        passages=[*(row.passage for row in rows), *pool.texts],
    )
    held_out: dict[HeldOut, list[Pair]] = {"documents": split.test, "questions": split.known}
    return Material(
        split=split,
        pairs=_trained_on(split, shared),
        rows=rows,
        row_clusters=[clusters[pair.document_id] for pair in train],
        pool=pool,
        corpus=[passage_text(node) for node in nodes],
        dev=dev_set(build_questions(dev, nodes, clusters), nodes, seed=seed),
        tests={
            what: build_questions(pairs, nodes, clusters)
            for what, pairs in held_out.items()
            if pairs
        },
        train=build_questions(train, nodes, clusters),
        unmatched=unmatched,
        self_answering=self_answering,
    )


def _trained_on(split: Split, shared: _Shared) -> list[Pair]:
    asked = [] if shared.train_on == "synthetic" else split.given
    return [*asked, *([] if shared.train_on == "labelled" else shared.written)]


def passage_of(nodes: Sequence["TextNode"]) -> Callable[[Pair], str]:
    """Pair -> the text of the first passage that answers it."""
    by_document = chunks_by_document(nodes)
    texts = {node.node_id: passage_text(node) for node in nodes}

    def first_passage(pair: Pair) -> str:
        chunks = by_document[pair.document_id]
        gold = gold_chunks(pair, chunks)
        return next(texts[chunk.node_id] for chunk in chunks if chunk.node_id in gold)

    return first_passage


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


def negative_pool(split: Split, passages: "Passages") -> NegativePool:
    """Passages of documents that are not held out, nor like one that is."""
    held_out = {split.clusters[pair.document_id] for pair in split.held_out_by_document}
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
        if not (name == "dev" and split.dev_is_known)
    }
    fresh = _without_held_out_wordings(synthetic, split)
    train = [pair for pair in fresh if split.clusters[pair.document_id] not in part]
    dev = [pair for pair in fresh if part.get(split.clusters[pair.document_id]) == "dev"]
    if train_on == "both":
        return [*split.train, *train], split.dev
    if split.dev_is_known:
        # No document is apart for dev then.
        count = round(len(split.dev) / max(len(split.dev) + len(split.train), 1) * len(train))
        drawn = sorted(train, key=lambda pair: pair.id)
        train, dev = drawn[count:], drawn[:count]
    # Tuned without labels means that labels do not choose the checkpoint either.
    return train, dev


def _without_held_out_wordings(synthetic: Sequence[Pair], split: Split) -> list[Pair]:
    """Synthetic pairs that do not ask what is held out, nor nearly that of a known passage."""
    asked = {question_key(pair.question) for pair in split.held_out}
    fresh = [pair for pair in synthetic if question_key(pair.question) not in asked]
    known = [pair.question for pair in split.held_out_by_question]
    if not known:
        return fresh
    texts = dict(enumerate([*known, *(pair.question for pair in fresh)]))
    clusters = cluster_documents({str(number): text for number, text in texts.items()})
    taken = {clusters[str(number)] for number in range(len(known))}
    return [
        pair for number, pair in enumerate(fresh, len(known)) if clusters[str(number)] not in taken
    ]
