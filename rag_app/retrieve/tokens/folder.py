"""An index's token embeddings kept beside it: `<index>/tokens/`, brought up to date when asked."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rag_app.chunks import passage_text
from rag_app.disk import write_whole
from rag_app.progress import Progress, silent
from rag_app.retrieve.beside_index import UNREADABLE, replaced_folder
from rag_app.retrieve.chunk_rows import quantise, slabs
from rag_app.retrieve.tokens.vectors import PassageTokens
from rag_app.vectors import TokenEmbedder, passage_fingerprint

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

    from rag_app.index import VectorIndex

FOLDER = "tokens"
# Chunks whose tokens are embedded together: some 25 MB.
SLAB = 64
_ABOUT = "about.json"
_TYPES: dict[str, Any] = {"rows": np.int8, "scales": np.float32, "ids": np.int32}


def open_token_embeddings(
    index: "VectorIndex", model: TokenEmbedder, *, progress: Progress = silent
) -> PassageTokens:
    """The token embeddings of all chunks: from their folder, or made now and kept there.

    Those of chunks that are there already are taken over. Where they cannot be kept (a full or
    read-only disk) they are made in a temporary folder, and again next time.

    Raises:
        IndexMissing: the index was removed meanwhile.
        OSError: the temporary folder has no room either.
    """
    folder = index.folder / FOLDER
    kept = load_token_embeddings(folder, model)
    if kept is not None and sorted(kept.chunk_ids) == sorted(index.chunk_ids()):
        return kept

    total = index.count()

    def write(place: Path) -> None:
        def done(chunks: int) -> None:
            progress("token embeddings", chunks, total)

        write_token_embeddings(place, index.nodes(), model, kept=kept, done=done)
        # Of an index that was removed meanwhile no folder must stay.
        index.refresh()

    with contextlib.suppress(OSError):
        with replaced_folder(folder) as new:
            write(new)
        if (made := load_token_embeddings(folder, model)) is not None:
            return made
    with TemporaryDirectory() as place:
        write(Path(place))
        return _loaded(Path(place), model)


def token_embeddings_of(nodes: "Iterable[TextNode]", model: TokenEmbedder) -> PassageTokens:
    """Those of chunks in memory; in files that are gone as soon as nothing reads them.

    Raises:
        OSError: the temporary folder has no room.
    """
    with TemporaryDirectory() as place:
        write_token_embeddings(Path(place), nodes, model)
        return _loaded(Path(place), model)


def write_token_embeddings(
    folder: Path,
    nodes: "Iterable[TextNode]",
    model: TokenEmbedder,
    *,
    kept: PassageTokens | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Embed the tokens of chunks and write them to a folder, some chunks at a time.

    Arguments:
        kept: of the same model; what it has is not embedded again.
        done: called with how many chunks are written.
    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(exist_ok=True)
    for name in _TYPES:
        (folder / f"{name}.bin").touch()
    chunk_ids: list[str] = []
    counts: list[int] = []
    holding: Counter[int] = Counter()
    width = 0
    for slab in slabs(nodes, SLAB):
        found = _tokens(slab, model, kept)
        for name, dtype in _TYPES.items():
            with (folder / f"{name}.bin").open("ab") as file:
                np.concatenate([getattr(one, name) for one in found]).astype(dtype).tofile(file)
        for one in found:
            counts.append(len(one.ids))
            holding.update(set(one.ids.tolist()))
        chunk_ids += [node.node_id for node in slab]
        width = found[0].rows.shape[1]
        done(len(chunk_ids))
    about = {
        "model": passage_fingerprint(model),
        "width": width,
        "chunk_ids": chunk_ids,
        "counts": counts,
        "frequencies": [holding[token] for token in range(max(holding, default=-1) + 1)],
    }
    write_whole(folder / _ABOUT, json.dumps(about))


class _Tokens(NamedTuple):
    """Of one chunk: as `PassageTokens` has them of all."""

    rows: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int32]


def _tokens(
    nodes: "Sequence[TextNode]", model: TokenEmbedder, kept: PassageTokens | None
) -> list[_Tokens]:
    places = [kept.place(node.node_id) if kept is not None else None for node in nodes]
    new = [passage_text(n) for n, place in zip(nodes, places, strict=True) if place is None]
    embedded = iter(model.embed_passage_tokens(new) if new else [])
    found = []
    for place in places:
        if kept is not None and place is not None:
            found.append(_Tokens(kept.rows[place], kept.scales[place], kept.ids[place]))
        else:
            ids, vectors = next(embedded)
            found.append(_Tokens(*quantise(vectors), ids))
    return found


def load_token_embeddings(folder: Path, model: TokenEmbedder) -> PassageTokens | None:
    """What a folder keeps; None unless it is whole and this model's."""
    try:
        return _loaded(folder, model)
    except UNREADABLE:
        return None


def _loaded(folder: Path, model: TokenEmbedder) -> PassageTokens:
    about = json.loads((folder / _ABOUT).read_text("utf-8"))
    if about["model"] != passage_fingerprint(model):
        raise ValueError("another model's")
    starts = np.cumsum([0, *about["counts"]])
    # Mapped, not read: a question touches few of the rows.
    rows, scales, ids = (_mapped(folder / f"{name}.bin", t) for name, t in _TYPES.items())
    if len(about["chunk_ids"]) + 1 != len(starts) or not starts[-1] == len(scales) == len(ids):
        raise ValueError("half of it")
    frequencies = np.array(about["frequencies"], np.int64)
    shaped = rows.reshape(len(ids), about["width"])
    return PassageTokens(about["chunk_ids"], starts, shaped, scales, ids, frequencies)


def _mapped(file: Path, dtype: "npt.DTypeLike") -> Any:
    """An array of a file; one of no length cannot be mapped."""
    return np.memmap(file, dtype, mode="r") if file.stat().st_size else np.empty(0, dtype)
