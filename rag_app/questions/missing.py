"""What chunks lack, written into the store: questions, and a judge's verdicts on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.duration import foretold
from rag_app.llm.language_model import LanguageModel
from rag_app.progress import Progress, silent
from rag_app.questions.cost import Cost, count_tokens
from rag_app.questions.extract import Worded
from rag_app.questions.judging import JUDGE_TOKENS, judge_prompt, judge_questions
from rag_app.questions.question import GeneratedQuestion
from rag_app.questions.store import ChunkQuestions, QuestionStore
from rag_app.questions.styles import QUESTION
from rag_app.questions.writers import Order, QuestionWriter
from rag_app.text.language import guess_language

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

WRITE, JUDGE = "write questions", "judge questions"
# Pieces of work that tell how long all will take.
TIMED = 8
# Chunks whose prompts are held in memory at once.
SLAB = 512
# What stands for a question in the estimate of what judging costs.
TYPICAL_QUESTION = "can I take three children swimming if I'm the only adult?"


@dataclass(frozen=True)
class Written:
    """Questions asked for, and the chunks that lacked none."""

    asked: int
    resumed: int


@dataclass(frozen=True)
class Wanted:
    """What is to be written.

    Fields:
        per_chunk: questions of each chunk.
        judged: whether a judge will read them.
    """

    nodes: Sequence["TextNode"]
    per_chunk: int
    judged: bool = False


def write_missing(
    writer: QuestionWriter,
    store: QuestionStore,
    wanted: Wanted,
    *,
    seed: int,
    progress: Progress = silent,
) -> Written:
    """Write what chunks lack, each kept as soon as it is there.

    Raises:
        LanguageModelError: it failed; what was written until then is kept.
        StorageError: another process writes, or the stored questions are damaged.
    """
    with store.writing() as append:
        known = store.load()
        orders = _orders(known, writer, wanted)
        done = 0

        told = foretold(progress, WRITE, f"questions for {len(orders)} chunks", after=TIMED)

        def save(order: Order, questions: list[Worded]) -> None:
            nonlocal done
            append(_record(order, questions, known.get(order[0].node_id), writer, seed))
            done += 1
            told(WRITE, done, len(orders))

        for slab in _slabs(orders):
            writer.write(slab, seed=seed, on_written=lambda i, q, slab=slab: save(slab[i], q))  # type: ignore[misc]
    asked = sum(len(numbers) for _, numbers in orders)
    return Written(asked, len(wanted.nodes) - len(orders))


def cost_of(
    writer: QuestionWriter, store: QuestionStore, wanted: Wanted, tokenizer: object
) -> Cost | None:
    """What `write_missing`, and the judge if there is one, will ask for; None: nothing.

    Arguments:
        tokenizer: whose `count_tokens` counts, if it has one.
    """
    orders = _orders(store.load(), writer, wanted)
    counter = getattr(tokenizer, "count_tokens", None)
    asked = sum(len(numbers) for _, numbers in orders)
    judged = asked if wanted.judged else 0
    tokens = 0
    for slab in _slabs(orders):
        tokens += count_tokens(writer.prompts(slab), counter)
        for node, numbers in slab if judged else ():
            tokens += len(numbers) * count_tokens([judge_prompt(TYPICAL_QUESTION, node)], counter)
    written = asked * writer.max_tokens + judged * JUDGE_TOKENS
    return Cost(len(orders), asked + judged, tokens, written) if orders else None


def judge_missing(
    model: LanguageModel,
    store: QuestionStore,
    questions: Sequence[GeneratedQuestion],
    nodes: Sequence["TextNode"],
    *,
    seed: int,
    progress: Progress = silent,
) -> int:
    """Let a language model judge what it has not judged, each verdict kept as soon as it is there.

    Returns the number of verdicts that came.

    Raises:
        LanguageModelError, StorageError: as of `write_missing`.
    """
    by_id = {node.node_id: node for node in nodes}
    with store.writing() as append:
        known = store.load()
        waiting = [
            question
            for question in questions
            if question.question not in known[question.chunk_id].judged
        ]
        came: list[int] = []
        told = foretold(progress, JUDGE, f"{len(waiting)} questions to judge", after=TIMED)

        def save(place: int, verdict: bool) -> None:
            question = waiting[place]
            record = known[question.chunk_id]
            judged = {**record.judged, question.question: verdict}
            known[question.chunk_id] = replace(record, judged=judged)
            append(known[question.chunk_id])
            came.append(place)
            told(JUDGE, len(came), len(waiting))

        judge_questions(
            model,
            [(question, by_id[question.chunk_id]) for question in waiting],
            seed=seed,
            on_judged=save,
        )
    return len(came)


def _orders(
    known: Mapping[str, ChunkQuestions], writer: QuestionWriter, wanted: Wanted
) -> list[Order]:
    """Chunks that lack questions, and the numbers of those that they lack."""
    return [
        (node, range(first, wanted.per_chunk))
        for node in wanted.nodes
        if (first := _asked(known.get(node.node_id), writer)) < wanted.per_chunk
    ]


def _slabs(orders: Sequence[Order]) -> Iterator[Sequence[Order]]:
    return (orders[start : start + SLAB] for start in range(0, len(orders), SLAB))


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
        judged=before.judged if kept and before else {},
    )


def _worded(record: ChunkQuestions) -> list[Worded]:
    styles = record.styles or (QUESTION,) * len(record.questions)
    return [Worded(*one) for one in zip(record.questions, styles, strict=True)]


def stored_in(store: QuestionStore, nodes: Sequence["TextNode"]) -> list[GeneratedQuestion]:
    """The stored questions of these chunks, in their order.

    Raises:
        StorageError: the stored questions are damaged.
    """
    known = store.load()
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
            answered=record.judged.get(question.text, True),
        )
        for record in records
        for question in _worded(record)
    ]
