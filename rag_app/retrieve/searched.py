"""What retrievers search: an index and its model, by themselves or with all chunks in memory.

What is made of the chunks (keyword index, sentence vectors, token embeddings, known questions) is
made once and kept until the index is written.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rag_app.chunks import chunks_by_document
from rag_app.progress import Progress, silent
from rag_app.retrieve.filters.offered import offered_filters
from rag_app.retrieve.keyword.bm25 import KeywordIndex
from rag_app.retrieve.keyword.folder import open_keyword_index
from rag_app.retrieve.known import KnownIndex
from rag_app.retrieve.sentences.folder import open_sentence_vectors
from rag_app.retrieve.sentences.vectors import SentenceVectors
from rag_app.retrieve.tokens.folder import open_token_embeddings, token_embeddings_of
from rag_app.retrieve.tokens.scorer import TokenScorer
from rag_app.retrieve.weak import unrelated_cosine
from rag_app.vectors import token_embedder

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages, VectorCache, VectorIndex, Workspace
    from rag_app.llm.language_model import LanguageModel
    from rag_app.models.cross_encoder import CrossEncoder
    from rag_app.retrieve.filters.where import Where
    from rag_app.retrieve.tokens.vectors import PassageTokens
    from rag_app.vectors import Embedder, TokenEmbedder

T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """What some retrievals need besides an index.

    Fields:
        storage: where rewritten questions are kept.
        today: the day that ages are counted from.
        llm: the language model, if there is one.
        load_encoder: name or folder -> cross-encoder.
    """

    storage: Path
    today: dt.date
    llm: "LanguageModel | None"
    load_encoder: "Callable[[str], CrossEncoder]"

    @classmethod
    def of(
        cls,
        workspace: "Workspace",
        llm: "LanguageModel | None" = None,
        *,
        today: dt.date | None = None,
    ) -> "Tools":
        """Those of a workspace; without a day the clock is read, here and nowhere else."""
        return cls(
            storage=workspace.storage,
            today=today or dt.datetime.now(tz=dt.UTC).date(),
            llm=llm,
            load_encoder=workspace.load_cross_encoder,
        )


@dataclass(frozen=True)
class Searched:
    """What is searched: an index and its model.

    Fields:
        passages: all of the index's chunks, where they are in memory; search is exact then, else
            the index's own.
        cache: keeps the vectors of sentences, and of questions to what is in memory.
        held_out: a question that is asked is not among the known ones, for evaluation.
        known: known questions instead of those that the index keeps.
        progress: is told while sentences and tokens are embedded that an index has not kept yet.
    """

    index: "VectorIndex"
    model: "Embedder"
    passages: "Passages | None" = None
    cache: "VectorCache | None" = None
    held_out: bool = False
    known: KnownIndex | None = None
    progress: Progress = field(default=silent, compare=False)
    _kept: dict[str, tuple[Any, ...]] = field(default_factory=dict, compare=False, repr=False)

    def chunks_of(self, document_id: str) -> "Sequence[TextNode]":
        """The chunks of a document, in order."""
        if self.passages is None:
            return self.index.chunks_of(document_id)
        return self._documents[document_id]

    @property
    def keyword(self) -> KeywordIndex:
        """The keyword index of all chunks."""
        if self.passages is None:
            return self._now("keyword", lambda: open_keyword_index(self.index))
        return self._keyword

    @property
    def sentences(self) -> SentenceVectors:
        """The sentence vectors of all chunks."""
        if self.passages is None:
            return self._now("sentences", self._open_sentences)
        return self._sentences

    @property
    def metadata_keys(self) -> dict[str, set[type]]:
        """The keys that a filter can name, with the types of their values."""
        if self.passages is None:
            return self._now("metadata keys", self.index.metadata_keys)
        return self._metadata_keys

    @property
    def filters(self) -> dict[str, list[str]]:
        """Metadata keys that a filter may name, each with its values where they are few."""
        return self._now("filters", lambda: offered_filters(self.index, self.metadata_keys))

    @property
    def unrelated(self) -> float | None:
        """A cosine that unrelated passages of the index reach; None where it is small."""
        return self._now("unrelated", lambda: unrelated_cosine(self.index))

    def questions(self, storage: Path) -> KnownIndex:
        """The known questions; their vectors are kept below `storage`."""
        if self.known is not None:
            return self.known
        from rag_app.index import VectorCache

        cache = self.cache or VectorCache(storage)
        return self._now("questions", lambda: KnownIndex.of(self.index, self.model, cache))

    def fetch(self, chunk_ids: "Sequence[str]") -> "Sequence[TextNode]":
        """These chunks."""
        if self.passages is None:
            return self.index.get_nodes(chunk_ids)
        return [self._by_id[chunk_id] for chunk_id in chunk_ids if chunk_id in self._by_id]

    def ids_where(self, where: "Where") -> list[str]:
        """Ids of the chunks that a filter lets through."""
        if self.passages is None:
            return self.index.ids_where(where.filters)
        return [node.node_id for node in self._nodes if where.matches_node(node)]

    @property
    def token_scorer(self) -> TokenScorer | None:
        """Scores by the token embeddings of all chunks; None where the model gives none."""
        model = token_embedder(self.model)
        if model is None:
            return None
        if self.passages is not None:
            return TokenScorer(self._tokens, model)
        kept = self._now(
            "tokens", lambda: open_token_embeddings(self.index, model, progress=self.progress)
        )
        return TokenScorer(kept, model)

    def _now(self, name: str, make: "Callable[[], T]") -> "T":
        """What is made of the index once for each of its generations."""
        generation = self.index.generation
        if self._kept.get(name, (None,))[0] != generation:
            self._kept[name] = (generation, make())
        return cast("T", self._kept[name][1])

    def _open_sentences(self) -> SentenceVectors:
        return open_sentence_vectors(self.index, self.model, self.cache, progress=self.progress)

    @cached_property
    def _keyword(self) -> KeywordIndex:
        return KeywordIndex.of(self._nodes)

    @cached_property
    def _sentences(self) -> SentenceVectors:
        embed = partial(self.cache.embed_passages, self.model) if self.cache else None
        return SentenceVectors.of(
            self._nodes,
            embed or self.model.embed_passages,
            splitter=self.index.info.sentences,
        )

    @cached_property
    def _tokens(self) -> "PassageTokens":
        return token_embeddings_of(self._nodes, cast("TokenEmbedder", self.model))

    @cached_property
    def _metadata_keys(self) -> dict[str, set[type]]:
        found: dict[str, set[type]] = {"document_id": {str}}
        for node in self._nodes:
            for key, value in node.metadata.items():
                if value is not None:
                    found.setdefault(key, set()).add(type(value))
        return found

    @cached_property
    def _nodes(self) -> "list[TextNode]":
        """What is in memory."""
        return self.passages.nodes if self.passages else []

    @cached_property
    def _by_id(self) -> "dict[str, TextNode]":
        return {node.node_id: node for node in self._nodes}

    @cached_property
    def _documents(self) -> "dict[str, list[TextNode]]":
        return chunks_by_document(self._nodes)
