"""Stage: questions for the chunks of an index."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.chunks import passage_text
from rag_app.errors import ConfigError
from rag_app.llm.chat import ChatModel
from rag_app.llm.choose import LanguageModelOptions, open_language_model
from rag_app.pairs import LabelledQuestion
from rag_app.progress import Progress, silent
from rag_app.questions.cost import Cost
from rag_app.questions.extract import HEADINGS, usual_styles
from rag_app.questions.filters import filter_questions
from rag_app.questions.missing import Wanted, cost_of, judge_missing, stored_in, write_missing
from rag_app.questions.own_examples import Examples, read_examples
from rag_app.questions.query_log import log_examples
from rag_app.questions.question import GeneratedQuestion
from rag_app.questions.rarity import Rarity
from rag_app.questions.store import QuestionStore
from rag_app.questions.styles import ONLY_QUESTIONS, Shares, check_shares
from rag_app.questions.writers import (
    ModelWriter,
    TextWriter,
    generator_name,
)
from rag_app.result import Result, Table

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import IndexModel, OpenIndex, Passages
    from rag_app.vectors import Embedder


@dataclass(frozen=True)
class WritingOptions:
    """How people ask, and who judges.

    Fields:
        examples: questions with answers that show it to a language model.
        query_log: queries without answers that show it.
        styles: the share of each way to ask, 1 together; None: a language model writes questions
            only, and a text gives all that it has.
        judge: let the language model, which must follow instructions, say of each question whether
            its passage answers it.
        announce: called with what it will cost before an endpoint is asked.
    """

    examples: Sequence[LabelledQuestion] = ()
    query_log: Sequence[str] = ()
    styles: Shares | None = None
    judge: bool = False
    announce: Callable[[Cost], None] = lambda _: None


@dataclass(frozen=True, repr=False)
class QuestionsReport(Result):
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

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "generator": self.generator,
            "index": self.index,
            "chunks": self.chunks,
            "asked": self.asked,
            "resumed": self.resumed,
            "kept": self.kept,
            "dropped": self.dropped,
            "seconds": round(self.seconds, 2),
            "questions_per_second": round(self.questions_per_second, 2),
        }

    def records(self) -> list[dict[str, Any]]:
        """One row a question that was kept: its text, its passage, who wrote it how."""
        return [asdict(question) for question in self.questions]

    def table(self) -> Table:
        """How many questions were kept, and dropped for which reason."""
        counts = {"kept": self.kept, **self.dropped}
        return Table(
            [f"by {self.generator}", "questions"],
            [[what, str(count)] for what, count in counts.items()],
            caption=f"index {self.index}, {self.chunks} chunks",
        )


def write_questions(
    opened: "OpenIndex[IndexModel]",
    *,
    storage: Path,
    llm: LanguageModelOptions = LanguageModelOptions(),
    per_chunk: int = 2,
    limit: int | None = None,
    writing: WritingOptions = WritingOptions(),
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
        writing: how people ask, and who judges; with other examples or styles than before every
            chunk is asked for anew.
    Raises:
        PairsError: no example has its answer beside it.
        ConfigError: there are examples and no language model, no such styles, or nothing is asked
            for.
        LanguageModelError: it failed; what was written until then is kept.
        StorageError: another process writes, or the stored questions are damaged.
    """
    started = time.monotonic()
    for flag, number in (("--per-chunk", per_chunk), ("--limit", limit)):
        if number is not None and number < 1:
            raise ConfigError(f"{flag} is {number}; it takes 1 or more")
    if writing.styles is not None:
        check_shares(writing.styles)
    index, model = opened.index, opened.model
    passages = index.passages()
    rarity = Rarity(passage_text(node) for node in passages.nodes)
    nodes = _spread(passages.nodes, limit)
    with open_language_model(llm) or nullcontext() as chat:
        _require_model(writing, chat)
        examples = _examples(writing, passages, model, rarity)
        writer = (
            ModelWriter(chat, rarity, examples=examples, shares=writing.styles or ONLY_QUESTIONS)
            if chat
            else TextWriter(rarity, usual=usual_styles(passages.nodes), shares=writing.styles)
        )
        store = QuestionStore(storage, writer.generator)
        wanted = Wanted(nodes, per_chunk, judged=writing.judge)
        if llm.asks_endpoint and (cost := cost_of(writer, store, wanted, model)):
            writing.announce(cost)
        writing_started = time.monotonic()
        written = write_missing(writer, store, wanted, seed=seed, progress=progress)
        writing_seconds = time.monotonic() - writing_started
        if chat and writing.judge:
            # One that is dropped makes room for another that repeated it.
            while judge_missing(
                chat,
                store,
                filter_questions(stored_in(store, nodes), passages, model).kept,
                nodes,
                seed=seed,
                progress=progress,
            ):
                pass
    filtered = filter_questions(stored_in(store, nodes), passages, model)
    return QuestionsReport(
        generator=writer.generator,
        index=index.name,
        chunks=len(nodes),
        asked=written.asked,
        resumed=written.resumed,
        kept=len(filtered.kept),
        dropped=filtered.dropped,
        seconds=time.monotonic() - started,
        writing_seconds=writing_seconds,
        questions=filtered.kept,
        nodes=passages.nodes,
    )


def _require_model(writing: WritingOptions, chat: ChatModel | None) -> None:
    """Refuse what only a language model can do where there is none that can."""
    if (writing.examples or writing.query_log) and not chat:
        raise ConfigError(
            "examples are shown to a language model, and there is none: "
            "`pip install 'rag-app[local-llm]'`, or name an endpoint with --llm-base-url"
        )
    if writing.judge and not (chat and chat.follows_instructions):
        raise ConfigError(
            "--judge asks a model that follows instructions, and there is none: name an "
            "endpoint with --llm-base-url, or an instruction model's .gguf with --llm-model"
        )


def _examples(
    writing: WritingOptions, passages: "Passages", model: "Embedder", rarity: Rarity
) -> Examples:
    """By language, those with answers before those of a query log."""
    logged = log_examples(writing.query_log, passages, model, rarity) if writing.query_log else {}
    own = read_examples(writing.examples, rarity) if writing.examples else {}
    return {**logged, **own}


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
        if questions := stored_in(store, passages.nodes):
            return questions
    return []


def _spread(nodes: Sequence["TextNode"], limit: int | None) -> list["TextNode"]:
    """All nodes, or `limit` of them by their ids, which are hashes and so know no order."""
    if limit is None:
        return list(nodes)
    chosen = {node.node_id for node in sorted(nodes, key=lambda node: node.node_id)[:limit]}
    return [node for node in nodes if node.node_id in chosen]
