"""Stage: questions for the chunks of an index."""

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.errors import ConfigError
from rag_app.llm.choose import LanguageModelOptions, open_language_model
from rag_app.pairs import LabelledQuestion
from rag_app.progress import Progress, silent
from rag_app.questions.extract import HEADINGS, Worded
from rag_app.questions.filters import filter_questions
from rag_app.questions.own_examples import read_examples
from rag_app.questions.question import GeneratedQuestion
from rag_app.questions.rarity import Rarity
from rag_app.questions.store import ChunkQuestions, QuestionStore
from rag_app.questions.styles import ONLY_QUESTIONS, QUESTION, Shares, check_shares
from rag_app.questions.writers import (
    ModelWriter,
    Order,
    QuestionWriter,
    TextWriter,
    generator_name,
)
from rag_app.text.language import guess_language

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import IndexModel, OpenIndex, Passages
    from rag_app.vectors import Embedder

# Chunks whose prompts are held in memory at once.
SLAB = 512


@dataclass(frozen=True)
class QuestionsReport:
    """What writing questions brought.

    Fields:
        chunks: that were to have questions: all of the index, or `limit` of them.
        asked: questions asked for in this run.
        resumed: chunks that had all of theirs from an earlier run.
        kept, dropped: of all that is stored for these chunks; dropped by reason.
        writing_seconds: spent on writing alone, without loading, filtering and reading.
        questions: those that were kept.
    """

    generator: str
    index: str
    chunks: int
    asked: int
    resumed: int
    kept: int
    dropped: dict[str, int]
    seconds: float
    writing_seconds: float
    questions: list[GeneratedQuestion]
    nodes: list["TextNode"]

    @property
    def by_language_model(self) -> bool:
        """False: the questions were taken from the text itself."""
        return self.generator != HEADINGS

    @property
    def questions_per_second(self) -> float:
        """Questions asked for in this run, by the second of writing."""
        return self.asked / self.writing_seconds if self.asked else 0.0


def write_questions(
    opened: "OpenIndex[IndexModel]",
    *,
    storage: Path,
    llm: LanguageModelOptions = LanguageModelOptions(),
    per_chunk: int = 2,
    limit: int | None = None,
    examples: Sequence[LabelledQuestion] = (),
    styles: Shares | None = None,
    seed: int = 13,
    progress: Progress = silent,
) -> QuestionsReport:
    """Write what an index's chunks lack in questions, then filter all that there are.

    Without a language model the questions come from the text itself.

    Arguments:
        storage: where questions are kept.
        llm: the language model that writes.
        per_chunk: questions asked for by chunk.
        limit: only so many chunks, spread over the index; a larger limit later goes on from there.
        examples: questions with answers that show the language model how people ask; other
            examples than before ask for every chunk anew.
        styles: the share of each way to ask, 1 together; None: a language model writes questions
            only, and a text gives all that it has. Other shares ask for every chunk anew.
    Raises:
        PairsError: no example has its answer beside it.
        ConfigError: there are examples and no language model, or no such styles.
        LanguageModelError: it failed; what was written until then is kept.
        StorageError: another process writes, or the stored questions are damaged.
    """
    started = time.monotonic()
    if styles is not None:
        check_shares(styles)
    index, model = opened.index, opened.model
    passages = index.passages()
    rarity = Rarity(passage_text(node) for node in passages.nodes)
    nodes = _spread(passages.nodes, limit)
    own = read_examples(examples, rarity) if examples else None
    with open_language_model(llm) or nullcontext() as chat:
        if own and not chat:
            raise ConfigError(
                "examples are shown to a language model, and there is none: "
                "`pip install 'rag-app[local-llm]'`, or name an endpoint with --llm-base-url"
            )
        writer: QuestionWriter = (
            ModelWriter(chat, rarity, examples=own, shares=styles or ONLY_QUESTIONS)
            if chat
            else TextWriter(rarity, shares=styles)
        )
        store = QuestionStore(storage, writer.generator)
        writing_started = time.monotonic()
        asked, resumed = _write_missing(
            writer, store, nodes, per_chunk=per_chunk, seed=seed, progress=progress
        )
        writing_seconds = time.monotonic() - writing_started
    questions = _stored(store.load(), nodes)
    filtered = filter_questions(questions, passages, model)
    return QuestionsReport(
        generator=writer.generator,
        index=index.name,
        chunks=len(nodes),
        asked=asked,
        resumed=resumed,
        kept=len(filtered.kept),
        dropped=filtered.dropped,
        seconds=time.monotonic() - started,
        writing_seconds=writing_seconds,
        questions=filtered.kept,
        nodes=passages.nodes,
    )


def usable_questions(
    storage: Path, llm: LanguageModelOptions, passages: "Passages", model: "Embedder"
) -> list[GeneratedQuestion]:
    """Stored questions for these passages that pass the filters; nothing is written.

    Arguments:
        llm: whose questions are looked for first.
        model: that embedded the passages.
    Raises:
        StorageError: the stored questions are damaged.
    """
    questions = stored_questions(storage, llm, passages)
    return filter_questions(questions, passages, model).kept if questions else []


def stored_questions(
    storage: Path, llm: LanguageModelOptions, passages: "Passages"
) -> list[GeneratedQuestion]:
    """Stored questions for these passages, good and bad.

    They are those of this language model. If it has none for them, those of the generator
    that wrote for them last: who wrote with flags need not repeat them to train.

    Raises:
        StorageError: the stored questions are damaged.
    """
    own = QuestionStore(storage, generator_name(llm))
    for store in (own, *QuestionStore.all(storage)):
        if questions := _stored(store.load(), passages.nodes):
            return questions
    return []


def _spread(nodes: Sequence["TextNode"], limit: int | None) -> list["TextNode"]:
    """All nodes, or `limit` of them by their ids, which are hashes and so know no order."""
    if limit is None:
        return list(nodes)
    chosen = {node.node_id for node in sorted(nodes, key=lambda node: node.node_id)[:limit]}
    return [node for node in nodes if node.node_id in chosen]


def _write_missing(
    writer: QuestionWriter,
    store: QuestionStore,
    nodes: Sequence["TextNode"],
    *,
    per_chunk: int,
    seed: int,
    progress: Progress,
) -> tuple[int, int]:
    """Write and store; returns the questions asked for and the chunks that lacked none."""
    with store.writing() as append:
        known = store.load()
        orders = [
            (node, range(first, per_chunk))
            for node in nodes
            if (first := _asked(known.get(node.node_id), writer)) < per_chunk
        ]
        done = 0

        def save(order: Order, questions: list[Worded]) -> None:
            nonlocal done
            append(_record(order, questions, known.get(order[0].node_id), writer, seed))
            done += 1
            progress("write questions", done, len(orders))

        for start in range(0, len(orders), SLAB):
            slab = orders[start : start + SLAB]
            writer.write(slab, seed=seed, on_written=lambda i, q, slab=slab: save(slab[i], q))  # type: ignore[misc]
    return sum(len(numbers) for _, numbers in orders), len(nodes) - len(orders)


def _asked(record: ChunkQuestions | None, writer: QuestionWriter) -> int:
    """How many questions a chunk has been asked for with this version of the prompt."""
    if record is None or record.prompt_version != writer.prompt_version:
        return 0
    return record.asked


def _record(
    order: Order,
    written: list[Worded],
    before: ChunkQuestions | None,
    writer: QuestionWriter,
    seed: int,
) -> ChunkQuestions:
    node, numbers = order
    kept = _worded(before) if before and numbers.start else []
    questions = [*kept, *written]
    return ChunkQuestions(
        chunk_id=node.node_id,
        document_id=str(node.ref_doc_id),
        start=int(node.start_char_idx or 0),
        end=int(node.end_char_idx or 0),
        language=str(node.metadata.get("language") or guess_language(passage_text(node))),
        generator=writer.generator,
        prompt_version=writer.prompt_version,
        asked=numbers.stop,
        seed=seed,
        questions=tuple(question.text for question in questions),
        styles=tuple(question.style for question in questions),
    )


def _worded(record: ChunkQuestions) -> list[Worded]:
    styles = record.styles or (QUESTION,) * len(record.questions)
    return [Worded(*one) for one in zip(record.questions, styles, strict=True)]


def _stored(
    known: Mapping[str, ChunkQuestions], nodes: Sequence["TextNode"]
) -> list[GeneratedQuestion]:
    """The stored questions of these chunks, in their order."""
    records = [known[node.node_id] for node in nodes if node.node_id in known]
    return [
        GeneratedQuestion(
            question=question.text,
            chunk_id=record.chunk_id,
            document_id=record.document_id,
            start=record.start,
            end=record.end,
            generator=record.generator,
            prompt_version=record.prompt_version,
            language=record.language,
            style=question.style,
        )
        for record in records
        for question in _worded(record)
    ]
