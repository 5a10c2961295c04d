"""Asking an index: what the REPL and `query -q` share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rag_app.answer.answer import Answer, answer, writer_of
from rag_app.answer.conversation import REMEMBERED, Turn, understood
from rag_app.errors import RagAppError, RequestError
from rag_app.progress import Progress, silent
from rag_app.query.transcript import Exchange
from rag_app.text.asked import plain_question

if TYPE_CHECKING:
    from rag_app.answer.answer import Citation
    from rag_app.index import IndexModel, VectorIndex, Workspace
    from rag_app.llm.chat import ChatModel
    from rag_app.llm.language_model import StreamingModel
    from rag_app.pairs.feedback import Verdict
    from rag_app.query.opened_passage import OpenedPassage
    from rag_app.retrieve import RetrievalOptions, Searched, Tools, Trace
    from rag_app.retrieve.pipeline import Pipeline


@dataclass
class Session:
    """An open index with its model, the language model if there is one, and the last answer.

    Fields:
        retrieval: how passages are found.
        last, trace: the last answer, and how its passages were found.
        turns: what a conversation remembers; None where each question stands alone.
        exchanges: every answer, and what was asked for it.
        draft: let a model answer that only continues text.
        open_llm: opens the language model once a retrieval asks it; None: it is open, or there is
            none.
        progress: is told while an index is made ready for the way in which it is asked.
    """

    workspace: "Workspace"
    index: "VectorIndex"
    model: "IndexModel"
    llm: "ChatModel | None"
    top_k: int
    retrieval: "RetrievalOptions"
    tools: "Tools"
    last: Answer | None = None
    trace: "Trace | None" = None
    turns: list[Turn] | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    draft: bool = False
    open_llm: "Callable[[], ChatModel | None] | None" = None
    progress: Progress = silent
    _built: "tuple[object, Pipeline] | None" = None
    _searched: "Searched | None" = None

    def ask(
        self,
        question: str,
        *,
        on_text: Callable[[str], None] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Answer:
        """Retrieve and answer.

        Arguments:
            on_text: called with each piece of the answer as the model writes it.
            tell: called with a sentence where the question is taken as another.
        Raises:
            ConfigError: an empty or endless question.
            LanguageModelError: the language model cannot be reached.
        """
        question = plain_question(question)
        meant = understood(question, self.turns or (), self.llm, tell=tell)
        found = self._answer(question, meant, on_text, tell)
        self._remember(found)
        return found

    def ask_again(
        self,
        *,
        on_text: Callable[[str], None] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Answer:
        """Ask the last question once more, as it was understood, of the index that is asked now.

        Raises:
            RequestError: nothing was asked yet.
            LanguageModelError: the language model cannot be reached.
        """
        last = self._asked()
        return self._answer(last.question, last.asked, on_text, tell)

    def _answer(
        self,
        question: str,
        meant: str,
        on_text: Callable[[str], None] | None,
        tell: Callable[[str], None],
    ) -> Answer:
        from rag_app.retrieve import Trace
        from rag_app.retrieve.known import with_own_questions

        trace = Trace(meant)
        [hits] = self.retriever().rank([trace])
        for text in trace.rewrites:
            tell(f"{self.retrieval.rewrite}: {text}")
        for warning in trace.warnings:
            tell(warning)
        self.trace = trace
        hits = with_own_questions(self.index, hits)
        found = answer(meant, hits, self.writer, on_text=on_text)
        changed = meant if meant != question else None
        self.last = replace(found, question=question, understood_as=changed)
        self.exchanges.append(Exchange(self.last, self.index.name, self.model.name, self.way.spec))
        return self.last

    @property
    def way(self) -> "RetrievalOptions":
        """How passages of this index are found: `retrieval`, or what the index keeps for it."""
        return self.retrieval.of(self.index)

    @property
    def writer(self) -> "StreamingModel | None":
        """The language model, if it is to answer."""
        return writer_of(self.llm, draft=self.draft)

    def _remember(self, found: Answer) -> None:
        if self.turns is None:
            return
        titles = "; ".join(dict.fromkeys(citation.title for citation in found.citations))
        self.turns.append(Turn(found.understood_as or found.question, found.text or titles))
        del self.turns[:-REMEMBERED]

    def passage(self, number: int) -> "Citation":
        """A passage of the last answer by its number, from 1.

        Raises:
            RequestError: the last answer has none by this number, or nothing was asked yet.
        """
        citations = self._asked().citations
        if not 1 <= number <= len(citations):
            shown = f"passages 1 to {len(citations)}" if citations else "no passage"
            raise RequestError(f"there is no passage {number}; the last answer has {shown}")
        return citations[number - 1]

    def open(self, number: int) -> "OpenedPassage":
        """A passage of the last answer in its document.

        Raises:
            RequestError: there is none, or it is not in the index any more.
        """
        from rag_app.query.opened_passage import open_passage

        found = self.passage(number)
        return open_passage(self.index.chunks_of(found.document), found.start, found.end)

    def judge(self, number: int, verdict: "Verdict") -> int:
        """Keep what somebody says of a passage of the last answer; how many labelled pairs now.

        The question is kept as it was understood: "and on Sundays?" alone asks nothing.

        Raises:
            RequestError: there is no such passage, or it is not in the index any more.
            OSError: the storage cannot be written.
        """
        from rag_app.pairs.feedback import Feedback, keep_feedback

        chunks = self.index.get_nodes([self.passage(number).chunk])
        if not chunks:
            raise RequestError(f"passage {number} is not in the index any more; ask again")
        feedback = Feedback.of(self._asked().asked, chunks[0], verdict)
        return keep_feedback(self.workspace.storage, feedback)

    def _asked(self) -> Answer:
        if self.last is None:
            raise RequestError("nothing was asked yet; ask a question first")
        return self.last

    def filters(self) -> dict[str, list[str]]:
        """Metadata keys that a filter may name, each with its values where they are few."""
        self.index.refresh()
        return self.searched.filters

    @property
    def searched(self) -> "Searched":
        """The index that is asked now, with what a search keeps of it."""
        from rag_app.retrieve import Searched

        if self._searched is None or self._searched.index is not self.index:
            self._searched = Searched(
                self.index, self.model, cache=self.workspace.cache, progress=self.progress
            )
        return self._searched

    def retriever(self) -> "Pipeline":
        """What finds passages now; made anew when a setting of it changed.

        Raises:
            ConfigError, ModelError: the settings cannot be followed.
        """
        from rag_app.retrieve import build_retriever

        made_of = (self.searched, self.retrieval, self.top_k)
        if self._built is None or self._built[0] != made_of:
            built = build_retriever(
                self.searched, self.retrieval, top_k=self.top_k, tools=self.tools
            )
            self._built = (made_of, built)
        return self._built[1]

    def weak_match(self) -> tuple[float, float] | None:
        """The last question's best cosine, and the higher one of unrelated passages.

        None where the best passage is nearer than those, or where nothing tells.
        """
        from rag_app.retrieve.weak import weak_match

        return weak_match(self.searched, self.trace) if self.trace else None

    def retrieve_by(self, retrieval: "RetrievalOptions") -> None:
        """Find passages another way from now on.

        Raises:
            ConfigError, ModelError: the way cannot be followed; the old one stays.
        """
        before, self.retrieval = self.retrieval, retrieval
        try:
            if retrieval.asks_model and self.open_llm is not None:
                self.llm, self.open_llm = self.open_llm(), None
                self.tools = replace(self.tools, llm=self.llm)
            self.retriever()
        except RagAppError:
            self.retrieval = before
            raise

    def why_nothing(self) -> str:
        """Why a question found no passage."""
        if self.index.count() == 0:
            return "the index is empty"
        if self.retrieval.where is not None:
            return f"no passage that fits the filter ({self.retrieval.where}); widen it"
        return "no passage shares a word with the question; ask with --retriever hybrid"

    def switch(self, name: str) -> None:
        """Ask another index from now on; which index is in service does not change.

        Raises:
            IndexMissing: there is none by that name.
            ConfigError: it cannot be asked in the present way; the index asked before stays.
        """
        opened = self.workspace.open(name)
        before = self.index, self.model
        self.index, self.model = opened.index, opened.model
        try:
            self.retriever()
        except RagAppError:
            self.index, self.model = before
            raise
