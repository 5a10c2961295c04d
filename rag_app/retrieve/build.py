"""Options + an index -> the retriever that does what they say."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rag_app.errors import ConfigError
from rag_app.retrieve.context import LargerContext
from rag_app.retrieve.exact import ExactRetriever
from rag_app.retrieve.filters.where import parse_where
from rag_app.retrieve.hybrid import HybridRetriever
from rag_app.retrieve.keyword.bm25 import KeywordRetriever
from rag_app.retrieve.known import KnownFirst
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
from rag_app.retrieve.searched import Searched, Tools
from rag_app.retrieve.sentences.scorer import SentenceScorer
from rag_app.retrieve.vector import VectorRetriever
from rag_app.vectors import token_embedder

if TYPE_CHECKING:
    from rag_app.retrieve.filters.where import Where
    from rag_app.retrieve.hybrid import Scorer
    from rag_app.retrieve.options import RetrievalOptions
    from rag_app.retrieve.trace import Ranking, Trace, TracedRetriever
    from rag_app.vectors import Embedder

# A piece of larger context swallows its neighbours, so that more are fetched than returned.
FEWEST_CANDIDATES = 20
RERANK = "rerank"


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
    return parse_where(options.where, searched.metadata_keys, today=tools.today)


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
