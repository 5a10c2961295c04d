"""One open index that many threads ask."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

from rag_app.errors import RequestError
from rag_app.query.opened_passage import OpenedPassage, open_passage
from rag_app.retrieve import Searched, Trace, build_retriever
from rag_app.retrieve.known import with_own_questions
from rag_app.retrieve.weak import weak_match
from rag_app.serve.together import Together

if TYPE_CHECKING:
    from llama_index.core.schema import NodeWithScore, TextNode

    from rag_app.index import IndexModel, OpenIndex, Workspace
    from rag_app.retrieve import RetrievalOptions, Tools
    from rag_app.retrieve.pipeline import Pipeline
    from rag_app.serve.asked import InputType
    from rag_app.vectors import Vectors

T = TypeVar("T")

# Retrievers that are kept, by their options, each with its own filter.
MOST_RETRIEVERS = 16


@dataclass(frozen=True)
class Hits:
    """The passages of a question, best first, and how they were found."""

    passages: "list[NodeWithScore]"
    trace: Trace
    weak_match: tuple[float, float] | None


@dataclass(frozen=True)
class Embedded:
    """Vectors of texts, (n_texts, dimension), and the tokens of these texts together."""

    vectors: "Vectors"
    tokens: int


@dataclass(frozen=True)
class _Way:
    """How passages are found; questions that are found in one way are asked together."""

    options: "RetrievalOptions"
    top_k: int
    today: dt.date


class ServedIndex:
    """An index, its model and its retrievers; one thread asks them, for all that wait.

    Neither tokenizers nor stemmers may be shared by two threads; more threads would not make the
    processor faster, and each would keep memory of its own.

    Arguments:
        worker: that thread.
    """

    def __init__(
        self, workspace: "Workspace", opened: "OpenIndex[IndexModel]", worker: Executor
    ) -> None:
        self.index = opened.index
        self.model = opened.model
        self._searched = Searched(self.index, self.model, cache=workspace.cache)
        self._retrievers: OrderedDict[_Way, Pipeline] = OrderedDict()
        self._worker = worker
        self._together = Together(self._find, worker)
        self._embed_together = Together(self._embed, worker)

    def find(
        self, question: str, options: "RetrievalOptions", *, top_k: int, tools: "Tools"
    ) -> Hits:
        """Retrieve.

        Raises:
            ConfigError, ModelError: the options cannot be followed.
            IndexMissing, IndexMismatch, IndexBroken: the index is not there any more.
        """
        return self._together(_Way(options, top_k, tools.today), (question, tools))

    def evidence(self, question: str, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Where in each text the sentence stands that is nearest to the question."""
        from rag_app.answer.evidence import nearest_sentences

        found = self._alone(lambda: nearest_sentences(question, texts, self.model))
        return [one.nearest for one in found]

    def embed(self, texts: Sequence[str], input_type: "InputType") -> "Embedded":
        """Vectors as they were judged, the query adapter included."""
        return self._embed_together(input_type, texts)

    def passage(self, chunk: str) -> "TextNode":
        """A passage by its chunk's id.

        Raises:
            RequestError: the index has none by this id.
        """

        def read() -> "list[TextNode]":
            self.index.refresh()
            return self.index.get_nodes([chunk])

        found = self._alone(read)
        if not found:
            raise RequestError(
                f"index {self.index.name!r} has no chunk {chunk!r} any more; retrieve again"
            )
        return found[0]

    def open(self, chunk: str, *, around: int) -> OpenedPassage:
        """A passage with so many chunks of its document before and after it.

        Raises:
            RequestError: the index has none by this id.
        """
        node = self.passage(chunk)
        chunks = self._alone(lambda: self.index.chunks_of(node.ref_doc_id))
        return open_passage(chunks, node.start_char_idx, node.end_char_idx, around=around)

    def count(self) -> int:
        """Chunks now."""

        def count() -> int:
            self.index.refresh()
            return self.index.count()

        return self._alone(count)

    def filters(self) -> dict[str, list[str]]:
        """Metadata keys, each with its values where they are few."""

        def read() -> dict[str, list[str]]:
            self.index.refresh()
            return self._searched.filters

        return self._alone(read)

    def _alone(self, do: Callable[[], T]) -> T:
        """Do something in the one thread that asks."""
        return self._worker.submit(do).result()

    def _find(self, way: "_Way", asked: "Sequence[tuple[str, Tools]]") -> list[Hits]:
        """Passages for questions that are to be found in one way."""
        traces = [Trace(question) for question, _ in asked]
        retriever = self._retriever(way, tools=asked[0][1])
        rankings = retriever.rank(traces)
        return [
            Hits(
                with_own_questions(self._searched.index, passages),
                trace,
                weak_match(self._searched, trace),
            )
            for passages, trace in zip(rankings, traces, strict=True)
        ]

    def _embed(self, input_type: "InputType", asked: Sequence[Sequence[str]]) -> list["Embedded"]:
        """Vectors of several lists of texts, which are embedded at once."""
        texts = [text for each in asked for text in each]
        embed = self.model.embed_queries if input_type == "query" else self.model.embed_passages
        vectors, tokens = embed(texts), self.model.count_tokens(texts)
        ends = list(accumulate(map(len, asked)))
        return [
            Embedded(vectors[end - len(each) : end], sum(tokens[end - len(each) : end]))
            for each, end in zip(asked, ends, strict=True)
        ]

    def _retriever(self, way: "_Way", *, tools: "Tools") -> "Pipeline":
        if way not in self._retrievers:
            self._retrievers[way] = build_retriever(
                self._searched, way.options, top_k=way.top_k, tools=tools
            )
        self._retrievers.move_to_end(way)
        if len(self._retrievers) > MOST_RETRIEVERS:
            self._retrievers.popitem(last=False)
        return self._retrievers[way]
