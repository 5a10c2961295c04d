"""Options + an index -> the retriever that does what they say."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rag_app.chunks import chunks_by_document
from rag_app.errors import ConfigError
from rag_app.progress import Progress, silent
from rag_app.retrieve.context import LargerContext
from rag_app.retrieve.exact import ExactRetriever
from rag_app.retrieve.filters.offered import offered_filters
from rag_app.retrieve.filters.where import parse_where
from rag_app.retrieve.hybrid import HybridRetriever
from rag_app.retrieve.keyword.bm25 import KeywordIndex, KeywordRetriever
from rag_app.retrieve.keyword.folder import open_keyword_index
from rag_app.retrieve.known import KnownFirst, KnownIndex
from rag_app.retrieve.learned import (
    FINDERS,
    KEYWORD,
    SENTENCE,
    TOKEN,
    VECTOR,
    VIEWS,
    kept_fusion,
)
from rag_app.retrieve.nodes import WithNodes
from rag_app.retrieve.options import EQUAL
from rag_app.retrieve.pipeline import IndexPipeline, Pipeline, PipelineStep
from rag_app.retrieve.recency import parse_recency
from rag_app.retrieve.rerank import CrossEncoderRerank
from rag_app.retrieve.rewrite import Rewriter
from rag_app.retrieve.rewriting import RewritingRetriever
from rag_app.retrieve.sentences.folder import open_sentence_vectors
from rag_app.retrieve.sentences.scorer import SentenceScorer
from rag_app.retrieve.sentences.vectors import SentenceVectors
from rag_app.retrieve.tokens.folder import open_token_embeddings, token_embeddings_of
from rag_app.retrieve.tokens.scorer import TokenScorer
from rag_app.retrieve.vector import VectorRetriever
from rag_app.retrieve.weak import unrelated_cosine
from rag_app.vectors import token_embedder

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import Passages, VectorCache, VectorIndex, Workspace
    from rag_app.llm.language_model import LanguageModel
    from rag_app.models.cross_encoder import CrossEncoder
    from rag_app.retrieve.filters.where import Where
    from rag_app.retrieve.hybrid import Scorer
    from rag_app.retrieve.options import RetrievalOptions
    from rag_app.retrieve.tokens.vectors import PassageTokens
    from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever
    from rag_app.vectors import Embedder, TokenEmbedder

T = TypeVar("T")

# A piece of larger context swallows its neighbours, so that more are fetched than returned.
FEWEST_CANDIDATES = 20
RERANK = "rerank"


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
        progress: is told while sentences and tokens are embedded that an index has not kept yet.
    """

    index: "VectorIndex"
    model: "Embedder"
    passages: "Passages | None" = None
    cache: "VectorCache | None" = None
    held_out: bool = False
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
    def known(self) -> "dict[str, set[type]]":
        """Metadata keys, with the types of their values."""
        if self.passages is None:
            return self._now("known", self.index.metadata_keys)
        return self._known

    @property
    def filters(self) -> dict[str, list[str]]:
        """Metadata keys that a filter may name, each with its values where they are few."""
        return self._now("filters", lambda: offered_filters(self.index, self.known))

    @property
    def unrelated(self) -> float | None:
        """A cosine that unrelated passages of the index reach; None where it is small."""
        return self._now("unrelated", lambda: unrelated_cosine(self.index))

    def questions(self, storage: Path) -> KnownIndex:
        """The known questions; their vectors are kept below `storage`."""
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
    def _known(self) -> "dict[str, set[type]]":
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


def build_retriever(
    searched: Searched, options: "RetrievalOptions", *, top_k: int, tools: Tools
) -> Pipeline:
    """The retriever for these options; over an index it follows what is written to that.

    Raises:
        ConfigError: a filter or a recency that cannot be read, or a rewrite without a language
            model.
        ModelError: no such cross-encoder.
        IndexMismatch: the model is not the index's.
    """

    def make() -> Pipeline:
        return _pipeline(searched, options, top_k, tools)

    return make() if searched.passages is not None else IndexPipeline(searched.index, make)


def rank_views(
    searched: Searched, options: "RetrievalOptions", traces: "Sequence[Trace]", *, tools: Tools
) -> "dict[str, list[Ranking]]":
    """What each view of the passages makes of each question, for weights to be learned from.

    Arguments:
        options: `fetch_k` candidates are asked for, of those that fit its filter.
    """
    where = _where(searched, options, tools)
    views = _views_with(searched.model)
    every = _hybrid(searched, dict.fromkeys(views, 1.0), where, options.fetch_k)
    return dict(zip(views, every.views(traces), strict=True))


def _views_with(model: "Embedder") -> list[str]:
    """The views that a model can give."""
    return [view for view in VIEWS if view != TOKEN or token_embedder(model) is not None]


def _pipeline(
    searched: Searched, options: "RetrievalOptions", top_k: int, tools: Tools
) -> Pipeline:
    options = options.of(searched.index)
    where = _where(searched, options, tools)
    depth = _depth(options, top_k)
    # What fuses many candidates reads only those from the store that it returns.
    ids_only = searched.passages is None and (options.retriever == "hybrid" or options.asks_model)
    retriever = _first(searched, options, where, depth, ids_only=ids_only)
    if options.asks_model:
        retriever = _rewriting(retriever, options, tools, depth)
    steps = _steps(searched, options, top_k, tools)
    if ids_only:
        wanted = depth if steps else top_k
        retriever = WithNodes(retriever, searched.index.get_nodes, top_k=wanted)
    if options.questions:
        # A cross-encoder reads passages alone: it ranks what is not known.
        ranked = [step for step in steps if step.name == RERANK]
        retriever = Pipeline(retriever, ranked, top_k=depth) if ranked else retriever
        steps = [step for step in steps if step.name != RERANK]
        retriever = _known_first(searched, retriever, where, tools, depth=depth)
    return Pipeline(retriever, steps, top_k=top_k)


def _where(searched: Searched, options: "RetrievalOptions", tools: Tools) -> "Where | None":
    if options.where is None:
        return None
    return parse_where(options.where, searched.known, today=tools.today)


def _known_first(
    searched: Searched,
    retriever: "TracedRetriever",
    where: "Where | None",
    tools: Tools,
    *,
    depth: int,
) -> "TracedRetriever":
    """With the known questions; the retriever itself where there are none."""
    known = searched.questions(tools.storage)
    if not known.questions:
        return retriever
    return KnownFirst(
        retriever,
        known,
        searched.model,
        searched.fetch,
        top_k=depth,
        cache=searched.cache,
        allowed=None if where is None else searched.ids_where(where),
        held_out=searched.held_out,
    )


def _depth(options: "RetrievalOptions", top_k: int) -> int:
    return max(options.fetch_k, top_k, FEWEST_CANDIDATES) if options.candidates else top_k


def _first(
    searched: Searched,
    options: "RetrievalOptions",
    where: "Where | None",
    depth: int,
    *,
    ids_only: bool,
) -> "TracedRetriever":
    if options.retriever == "keyword":
        return _keyword(searched, where, depth, ids_only=ids_only)
    if options.retriever != "hybrid":
        return _dense(searched, where, depth, ids_only=ids_only)
    weights = _weights(searched, options)
    depth = max(depth, options.fetch_k)
    fusion = "scores" if options.weighs_views else options.fusion
    return _hybrid(searched, weights, where, depth, ids_only=ids_only, fusion=fusion)


def _hybrid(
    searched: Searched,
    weights: Mapping[str, float],
    where: "Where | None",
    depth: int,
    *,
    ids_only: bool = False,
    fusion: str = "scores",
) -> HybridRetriever:
    """A hybrid of these views, those that find passages first."""
    finders = [
        _dense(searched, where, depth, ids_only=ids_only),
        _keyword(searched, where, depth, ids_only=ids_only),
    ]
    scorers = [_scorer(searched, view) for view in weights if view not in FINDERS]
    return HybridRetriever(
        finders, scorers=scorers, weights=list(weights.values()), depth=depth, fusion=fusion
    )


def _scorer(searched: Searched, view: str) -> "Scorer":
    if view == SENTENCE:
        return SentenceScorer(searched.sentences, searched.model)
    scorer = searched.token_scorer
    if scorer is None:
        raise ConfigError(
            f"the weights that are kept for index {searched.index.name!r} weigh tokens, and "
            f"{searched.model.name} gives none; `rag-app sweep --retriever hybrid:learned` learns "
            "them anew"
        )
    return scorer


def _weights(searched: Searched, options: "RetrievalOptions") -> dict[str, float]:
    """The weights of a hybrid's views in the order of VIEWS; those that find are always there.

    Where nothing was learned for the index all views weigh the same.
    """
    if options.weighs_views:
        learned = options.learned or kept_fusion(searched.index)
        if options.fusion == EQUAL or learned is None:
            views = _views_with(searched.model)
            return dict.fromkeys(views, 1 / len(views))
        known = (*FINDERS, *learned.weights)
        return {view: learned.weights.get(view, 0.0) for view in VIEWS if view in known}
    if options.hybrid_weight is None:
        raise ConfigError(
            f"{options.spec}: only `rag-app sweep` tunes the weight, on questions whose answers "
            "are known; run it, or write a number: hybrid:0.7"
        )
    return {VECTOR: options.hybrid_weight, KEYWORD: 1 - options.hybrid_weight}


def _dense(
    searched: Searched, where: "Where | None", depth: int, *, ids_only: bool
) -> "TracedRetriever":
    if searched.passages is None:
        return VectorRetriever(
            searched.index, searched.model, top_k=depth, where=where, ids_only=ids_only
        )
    return ExactRetriever(
        searched.passages, searched.model, top_k=depth, cache=searched.cache, where=where
    )


def _keyword(
    searched: Searched, where: "Where | None", depth: int, *, ids_only: bool
) -> KeywordRetriever:
    if searched.passages is None:
        return KeywordRetriever.over_index(
            searched.index, searched.keyword, top_k=depth, where=where, ids_only=ids_only
        )
    return KeywordRetriever.over_passages(
        searched.passages, searched.keyword, top_k=depth, where=where
    )


def _rewriting(
    retriever: "TracedRetriever", options: "RetrievalOptions", tools: Tools, depth: int
) -> RewritingRetriever:
    if tools.llm is None:
        raise ConfigError(
            f"{options.rewrite} asks a language model and there is none; "
            "pip install 'rag-app[local-llm]', or name an endpoint with --llm-base-url and "
            "--llm-model"
        )
    rewriter = Rewriter(
        options.rewrite, tools.llm, count=options.rewrites, folder=tools.storage / "cache"
    )
    return RewritingRetriever(retriever, rewriter, depth=depth)


def _steps(
    searched: Searched, options: "RetrievalOptions", top_k: int, tools: Tools
) -> list[PipelineStep]:
    """Reading again comes first, since it judges the text alone; what is returned comes last."""
    steps = []
    if options.rerank is not None:
        encoder = tools.load_encoder(options.rerank)
        steps.append(PipelineStep(RERANK, CrossEncoderRerank(encoder)))
    if options.recency is not None:
        policy = parse_recency(options.recency, today=tools.today)
        steps.append(PipelineStep("recency", policy, policy.note))
    context = options.larger_context()
    if context is not None:
        kind, size = context
        larger = LargerContext(kind, size=size, top_k=top_k, chunks_of=searched.chunks_of)
        steps.append(PipelineStep(kind, larger))
    return steps
