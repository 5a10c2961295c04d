"""Which index a file of questions is asked of, where it brings its own passages."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import IndexBroken, IndexMissing, ModelError
from rag_app.index import (
    Catalog,
    IndexInfo,
    OpenIndex,
    VectorIndex,
    Workspace,
    find_corpus,
    index_corpus,
)
from rag_app.models import EmbeddingModel
from rag_app.models.fitting import fitting_model
from rag_app.models.weights import DEFAULT_MODEL, find_weights, stand_in_note
from rag_app.pairs.corpus import holds_corpus, read_corpus
from rag_app.pairs.datasets import beir_folder
from rag_app.pairs.formats import read_questions
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document


def open_dataset(
    workspace: Workspace,
    path: Path,
    *,
    besides: Path | None = None,
    model: str | None = None,
    usual_model: str | None = None,
    whichever_model: bool = False,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> OpenIndex[EmbeddingModel] | None:
    """The index of the passages that a file of questions brings, and its model.

    It is found again by its content. None goes into service here.

    Arguments:
        besides: another file of questions, whose own passages are a part of it.
        model: what to make it with; without one `usual_model`, the untuned model of the index in
            service, or one that knows the passages' script.
        whichever_model: the index in service will do if it holds the passages, though another
            model than that made it.
        tell: called with a sentence about an index that is made.
    Returns:
        None, where the file brings no passages, or the index in service holds them.
    Raises:
        PairsError: the file cannot be read.
        ModelError, IndexLocked, IndexBroken: as their names say.
    """
    documents = read_corpus(path)
    if documents is None:
        return None
    files = [path]
    if besides is not None:
        files.append(besides)
        documents = _with_those_of(besides, path, documents)
    catalog = workspace.catalog
    active = in_service(catalog)
    named = model or usual_model
    name, why = (named, None) if named else _model_for(workspace, documents, active, progress)
    loaded = workspace.load_model(name)
    why = why or stand_in_note(name, loaded.name, storage=workspace.storage)
    is_there = find_corpus(catalog, documents, loaded) is not None
    if active and not is_there:
        fits = whichever_model or workspace.made_with(active.info, name)
        nodes = active.ordered_nodes() if fits else []
        if fits and all(holds_corpus(read_questions(file), nodes) for file in files):
            return None
    if why:
        tell(why)
    found = index_corpus(
        catalog,
        documents,
        loaded,
        name=folder.name if (folder := beir_folder(path)) else path.stem,
        cache=workspace.cache,
        progress=progress,
    )
    if found.made:
        cut = f"; {found.cut} of them are longer than the {loaded.max_tokens} tokens that it reads"
        tell(
            f"{path} brings its own {len(documents)} passages: index {found.index.name} is made "
            f"of them with {loaded.name}, each whole{cut if found.cut else ''}"
        )
    return OpenIndex(found.index, loaded)


def _with_those_of(besides: Path, path: Path, documents: "list[Document]") -> "list[Document]":
    """The passages of a file, and those of another that are not among them."""
    # Files of judgements in one BEIR folder have one corpus, which may be large.
    folder = beir_folder(path)
    if folder is not None and folder == beir_folder(besides):
        return documents
    of_another = read_corpus(besides)
    return list({one.id_: one for one in (*documents, *(of_another or ()))}.values())


def in_service(catalog: Catalog) -> VectorIndex | None:
    """The index in service; None where there is none that can be opened."""
    try:
        return catalog.open()
    except (IndexMissing, IndexBroken):
        return None


def tuned_from(workspace: Workspace, base: str) -> str | None:
    """The model that was tuned from this one: the one in service, else the one tuned last."""
    active = in_service(workspace.catalog)
    if active and _is_tuned_from(active.info, base):
        return active.info.model
    return _last_tuned(workspace, base)


def _is_tuned_from(info: IndexInfo, base: str) -> bool:
    return info.base_model == base != info.model


def _last_tuned(workspace: Workspace, base: str) -> str | None:
    saved: dict[str, float] = {}
    for index in workspace.catalog.indexes():
        if _is_tuned_from(index.info, base):
            # Where the weights were removed there is nothing to compare.
            with suppress(ModelError):
                folder = find_weights(index.info.model, storage=workspace.storage)
                saved[index.info.model] = folder.stat().st_mtime
    return max(saved, key=lambda model: saved[model], default=None)


def _model_for(
    workspace: Workspace,
    documents: "Sequence[Document]",
    active: VectorIndex | None,
    progress: Progress,
) -> tuple[str, str | None]:
    """The model for passages where none was named, and why, if that should be said."""
    if active:
        return active.info.base_model, None
    texts = [document.text for document in documents]
    return fitting_model(
        texts,
        DEFAULT_MODEL,
        storage=workspace.storage,
        offline=workspace.offline,
        progress=progress,
    )
