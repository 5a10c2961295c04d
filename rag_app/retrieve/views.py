"""What the retriever of an index needs beside it, made before the first question asks."""

from typing import TYPE_CHECKING

from rag_app.progress import Progress, silent
from rag_app.retrieve.keyword.folder import FOLDER as KEYWORDS
from rag_app.retrieve.keyword.folder import open_keyword_index
from rag_app.retrieve.learned import SENTENCE, TOKEN, VIEWS, kept_fusion
from rag_app.retrieve.options import KEPT, RetrievalOptions
from rag_app.retrieve.sentences.folder import FOLDER as SENTENCES
from rag_app.retrieve.sentences.folder import open_sentence_vectors
from rag_app.retrieve.tokens.folder import FOLDER as TOKENS
from rag_app.retrieve.tokens.folder import open_token_embeddings
from rag_app.vectors import token_embedder

if TYPE_CHECKING:
    from rag_app.index import VectorCache, VectorIndex
    from rag_app.vectors import Embedder


def prepare_views(
    index: "VectorIndex",
    model: "Embedder",
    cache: "VectorCache | None",
    *,
    progress: Progress = silent,
) -> None:
    """Bring the keyword index, sentence vectors and token embeddings of an index up to date.

    The latter two are made where its retriever or its learned weights use them; what a search made
    before is kept up to date in any case, so that no question waits for it.
    """
    if (index.folder / KEYWORDS).is_dir():
        open_keyword_index(index, progress=progress)
    learned = kept_fusion(index)
    wanted = set(learned.weights if learned is not None else ())
    if learned is None and RetrievalOptions.parse(KEPT).of(index).weighs_views:
        wanted = set(VIEWS)
    if SENTENCE in wanted or (index.folder / SENTENCES).is_dir():
        open_sentence_vectors(index, model, cache, progress=progress)
    embedder = token_embedder(model)
    if embedder is not None and (TOKEN in wanted or (index.folder / TOKENS).is_dir()):
        open_token_embeddings(index, embedder, progress=progress)


def put_to_use(
    index: "VectorIndex",
    retrieval: RetrievalOptions,
    model: "Embedder",
    cache: "VectorCache | None",
    *,
    progress: Progress = silent,
) -> None:
    """Let an index keep its retriever with the weights that it learned, and make what these need.

    Called before the index goes into service, so that nobody asks it with another one.
    """
    if retrieval.learned is not None:
        index.keep_fusion(retrieval.learned.to_json())
    index.keep_retriever(retrieval.spec)
    prepare_views(index, model, cache, progress=progress)
