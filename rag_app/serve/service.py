"""What is asked over HTTP and MCP: passages, answers, vectors, feedback."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from rag_app.answer.answer import Answer, answer, writer_of
from rag_app.answer.conversation import understood
from rag_app.answer.stream import CheckedStream
from rag_app.errors import (
    IndexBroken,
    IndexMismatch,
    IndexMissing,
    RequestError,
)
from rag_app.pairs.feedback import Feedback, Verdict, keep_feedback
from rag_app.query.opened_passage import AROUND, OpenedPassage
from rag_app.retrieve import RetrievalOptions, Tools
from rag_app.retrieve.filters.syntax import parse_expression
from rag_app.retrieve.options import NO_REWRITE
from rag_app.retrieve.rewrite import Rewriter
from rag_app.serve.asked import Asked, Found, Serving
from rag_app.serve.served import ServedIndex
from rag_app.text.asked import plain_question

if TYPE_CHECKING:
    import datetime as dt

    from rag_app.index import Workspace
    from rag_app.llm.chat import ChatModel
    from rag_app.llm.language_model import StreamingModel

T = TypeVar("T")

# Each has its model in memory.
MOST_OPEN = 3
# What clients that must name a model may name: the index in service.
ANY = "rag-app"
ROLES = ("base", "tuned")
GONE = (IndexMissing, IndexMismatch, IndexBroken)


class Service:
    """Indexes that are opened when they are first asked for, and asked by many threads.

    Arguments:
        llm: the language model that answers, if there is one.
        today: the day that ages are counted from; that of each request unless named.
    """

    def __init__(
        self,
        workspace: "Workspace",
        serving: Serving,
        *,
        llm: "ChatModel | None" = None,
        today: "dt.date | None" = None,
    ) -> None:
        self.workspace = workspace
        self.serving = serving
        self.llm = llm
        self._today = today
        self._own = RetrievalOptions.parse(
            serving.retriever, fetch_k=serving.fetch_k, rewrites=serving.rewrites
        )
        self._open: OrderedDict[str, ServedIndex] = OrderedDict()
        # What "base", or the beginning of a name, means while this index is in service.
        self._meant: dict[tuple[str, str | None], str] = {}
        self._guard = RLock()
        self._worker = ThreadPoolExecutor(1, "index")

    @property
    def writer(self) -> "StreamingModel | None":
        """The language model, if it is to answer."""
        return writer_of(self.llm, draft=self.serving.draft)

    def retrieve(self, asked: Asked) -> Found:
        """Find the passages of a question.

        Raises:
            ConfigError: a question, retriever or filter that cannot be followed.
            RequestError: a part of a retriever that is not for requests; an unknown index.
            IndexMissing, IndexBroken, ServerError, ModelError: nothing can be asked now.
        """
        notes: list[str] = []
        question = plain_question(asked.question)
        meant = understood(question, asked.turns, self.llm, tell=notes.append)
        tools = Tools.of(self.workspace, self.llm, today=self._today)
        options = _rewritten_ahead(self.options(asked), meant, tools, notes)
        top_k = asked.top_k or self.serving.top_k

        def find(served: ServedIndex) -> Found:
            hits = served.find(meant, options, top_k=top_k, tools=tools)
            found = answer(meant, hits.passages, None)
            changed = meant if meant != question else None
            return Found(
                replace(found, question=question, understood_as=changed),
                hits=hits.passages,
                index=served.index.name,
                model=served.model.name,
                retriever=options.of(served.index).spec,
                notes=(*notes, *hits.trace.warnings),
                weak_match=hits.weak_match,
                evidence=_evidence(served, found) if asked.evidence else (),
            )

        return self.with_index(asked.index, find)

    def answer(self, found: Found, *, on_text: Callable[[str], None] | None = None) -> Answer:
        """Answer from passages; without a language model they are the answer.

        Arguments:
            on_text: called with each piece of the answer once it was held against the passages.
        Raises:
            LanguageModelError: the language model cannot be reached.
        """
        citations = found.answer.citations
        stream = CheckedStream([citation.shown for citation in citations])

        def checked(piece: str) -> None:
            if on_text is not None and (text := stream.feed(piece)):
                on_text(text)

        asked = found.answer
        made = answer(asked.asked, found.hits, self.writer, on_text=checked if on_text else None)
        if on_text is not None and made.text and (rest := stream.rest(made.text)):
            on_text(rest)
        return replace(made, question=asked.question, understood_as=asked.understood_as)

    def with_index(self, name: str | None, use: Callable[[ServedIndex], T]) -> T:
        """Use the index of a name, or the one that is asked unless named.

        One that was removed or made anew since it was opened is opened once more.

        Raises:
            RequestError: a request names an index that is not there.
            IndexMissing, IndexBroken, ServerError, ModelError: none can be asked now.
        """
        served = self._named(name)
        try:
            return use(served)
        except GONE:
            self.forget()
        return use(self._named(name))

    def keep(self, question: str, chunk: str, verdict: Verdict, *, index: str | None = None) -> int:
        """Keep what somebody says of a passage; how many labelled pairs there are now.

        Raises:
            ConfigError: no question.
            RequestError: no such passage.
            StorageError, OSError: the storage cannot be written.
        """
        node = self.with_index(index, lambda served: served.passage(chunk))
        feedback = Feedback.of(plain_question(question), node, verdict)
        with self._guard:
            return keep_feedback(self.workspace.storage, feedback)

    def rerank(self, question: str, texts: Sequence[str]) -> tuple[str, list[float]]:
        """The name of the cross-encoder that the server was started with, and its scores.

        Raises:
            RequestError: there is none.
            ModelError: it cannot be loaded.
        """
        name = self._own.rerank
        if name is None:
            raise RequestError(
                "this server has no cross-encoder; start it with +rerank:NAME in --retriever"
            )

        def score() -> list[float]:
            encoder = self.workspace.load_cross_encoder(name)
            return [float(score) for score in encoder.score(question, texts)]

        return name, self._worker.submit(score).result()

    def open(self, chunk: str, *, around: int = AROUND, index: str | None = None) -> OpenedPassage:
        """A passage with the chunks around it.

        Raises:
            RequestError: no such passage.
        """
        return self.with_index(index, lambda served: served.open(chunk, around=around))

    def index_of(self, model: str | None) -> str | None:
        """The index that a client of OpenAI's means by `model`; None: the one that is asked.

        Raises:
            RequestError: none has this name or was made with such a model.
        """
        if model in (None, ANY):
            return None
        names = self.workspace.catalog.names()
        if model in (*names, *ROLES):
            return model
        made = [one.name for one in self.workspace.catalog.indexes() if one.info.model == model]
        in_service = self.serving.index or self.workspace.catalog.in_service()
        if not made:
            known = ", ".join([ANY, *names])
            raise RequestError(f"there is no model {model!r}; name one of {known}, or none")
        return in_service if in_service in made else made[0]

    def about(self) -> dict[str, Any]:
        """The index that is asked, and what may be asked of it."""

        def tell(served: ServedIndex) -> dict[str, Any]:
            return {
                "index": served.index.name,
                "model": served.model.name,
                "dimension": served.model.dimension,
                "chunks": served.count(),
                "retriever": self._own.of(served.index).spec,
                "k": self.serving.top_k,
                "llm": self.writer.name if self.writer else None,
                "indexes": self.workspace.catalog.names(),
                "filters": served.filters(),
            }

        return self.with_index(None, tell)

    def options(self, asked: Asked) -> RetrievalOptions:
        """How the passages of a request are to be found.

        Raises:
            ConfigError: a retriever that cannot be read.
            RequestError: a part of it that is not for requests.
        """
        options = self._own.with_spec(asked.retriever) if asked.retriever else self._own
        if options.rerank not in (None, self._own.rerank):
            raise RequestError(
                "a request names no model: start the server with that +rerank:NAME in --retriever"
            )
        if options.asks_model and options.rewrite != self._own.rewrite:
            raise RequestError(
                f"start the server with +{options.rewrite} in --retriever to have questions "
                "rewritten by the language model"
            )
        if asked.where:
            # By itself, so that it cannot end the parenthesis and begin another.
            parse_expression(asked.where)
        held = [f"({text})" for text in (self.serving.where, asked.where) if text]
        return replace(options, where=" and ".join(held) or None)

    def forget(self) -> None:
        """Open every index anew when it is next asked for."""
        with self._guard:
            self._open.clear()
            self._meant.clear()

    def _named(self, name: str | None) -> ServedIndex:
        try:
            return self._served(name)
        except IndexMissing as error:
            if name is None:
                raise
            raise RequestError(str(error)) from error

    def _served(self, name: str | None) -> ServedIndex:
        with self._guard:
            in_service = self.workspace.catalog.in_service()
            asked = name or self.serving.index or in_service
            meant = self._meant.get((asked, in_service), asked) if asked else None
            if meant is None or meant not in self._open:
                # Opening is what says why there is none.
                opened = self.workspace.open(asked)
                meant = opened.index.name
                if asked:
                    self._meant[asked, in_service] = meant
                if meant not in self._open:
                    self._open[meant] = ServedIndex(self.workspace, opened, self._worker)
            self._open.move_to_end(meant)
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)
            return self._open[meant]


def _rewritten_ahead(
    options: RetrievalOptions, question: str, tools: Tools, notes: list[str]
) -> RetrievalOptions:
    """Ask the language model before the index is held: others are not to wait for it.

    Its answer is found again in the cache of rewritten questions.
    """
    if not options.asks_model or tools.llm is None:
        return options
    rewriter = Rewriter(
        options.rewrite, tools.llm, count=options.rewrites, folder=tools.storage / "cache"
    )
    [rewritten] = rewriter.rewrite([question])
    if not rewritten.failure:
        return options
    notes.append(f"the question was not rewritten: {rewritten.failure}")
    return replace(options, rewrite=NO_REWRITE)


def passages_as_text(found: Answer) -> str:
    """The passages as an answer for programs that show nothing but text."""
    texts = [f"[{one.n}] {one.heading}\n{one.text}".replace(" \n", "\n") for one in found.citations]
    return "\n\n".join(texts) or "No passage was found."


def _evidence(served: ServedIndex, found: Answer) -> tuple[tuple[int, int], ...]:
    texts: Sequence[str] = [citation.text for citation in found.citations]
    spans = served.evidence(found.question, texts)
    return tuple(
        (citation.start + start, citation.start + end)
        for citation, (start, end) in zip(found.citations, spans, strict=True)
    )
