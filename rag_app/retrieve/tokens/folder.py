"""An index's token embeddings kept beside it, in `<index>/tokens/`."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.progress import Progress, silent
from rag_app.retrieve.chunk_rows import Columns, quantise
from rag_app.retrieve.rows_folder import RowsFolder
from rag_app.retrieve.tokens.vectors import PassageTokens
from rag_app.vectors import TokenEmbedder, passage_fingerprint

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

FOLDER = "tokens"
# Chunks whose tokens are embedded together: some 25 MB.
SLAB = 64


def open_token_embeddings(
    index: "VectorIndex", model: TokenEmbedder, *, progress: Progress = silent
) -> PassageTokens:
    """The token embeddings of all chunks: see `RowsFolder.open`, which says what it raises."""
    return token_folder(index.folder / FOLDER, model).open(index, progress=progress)


def token_embeddings_of(nodes: "Iterable[TextNode]", model: TokenEmbedder) -> PassageTokens:
    """Those of chunks in memory; in files that are gone as soon as nothing reads them.

    Raises:
        OSError: the temporary folder has no room.
    """
    with TemporaryDirectory() as place:
        return token_folder(Path(place), model).write(nodes)


def token_folder(folder: Path, model: TokenEmbedder) -> RowsFolder[PassageTokens]:
    """Where the token embeddings of one model are kept."""
    return RowsFolder(
        folder,
        PassageTokens,
        stamp=passage_fingerprint(model),
        rows_of=partial(_token_rows, model=model),
        slab=SLAB,
        step="token embeddings",
    )


def _token_rows(nodes: "Sequence[TextNode]", *, model: TokenEmbedder) -> list[Columns]:
    """The columns of each chunk, as `PassageTokens` has them of all."""
    found: list[Columns] = []
    for ids, vectors in model.embed_passage_tokens([passage_text(node) for node in nodes]):
        rows, scales = quantise(vectors)
        found.append({"rows": rows, "scales": scales, "ids": ids})
    return found
