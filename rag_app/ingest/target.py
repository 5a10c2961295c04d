"""The index that an ingest means: the one it names, the one in service, or a new one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rag_app.chunking import WHOLE_PASSAGES
from rag_app.errors import IndexMismatch
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from rag_app.index import IndexModel, OpenIndex, VectorIndex, Workspace


def meant_index(workspace: "Workspace", request: IngestRequest) -> "VectorIndex | None":
    """The index that is meant, if it is there and known before documents are read."""
    if request.options.dimensions is not None:
        # Another model may be meant, whose name is known only when it is cut.
        return None
    name = request.index
    if name is None:
        name = _active_if_meant(workspace, request.options)
    return workspace.catalog.open(name) if name in workspace.catalog.names() else None


def fitting_options(
    workspace: "Workspace",
    request: IngestRequest,
    texts: Sequence[str],
    *,
    progress: Progress = silent,
) -> tuple[IndexOptions, list[str]]:
    """The options with the model that is used, and a sentence where it is none that was named.

    Arguments:
        texts: those that are to be embedded, whose script a first index's model should know.
    """
    options, notes = _fitting(workspace, request, texts, progress)
    return _with_cut_model(workspace, options), notes


def _fitting(
    workspace: "Workspace", request: IngestRequest, texts: Sequence[str], progress: Progress
) -> tuple[IndexOptions, list[str]]:
    from rag_app.models.fitting import fitting_model
    from rag_app.models.weights import DEFAULT_MODEL, stand_in_note, tell_rebuilding

    options = request.options
    if options.model is not None:
        tell_rebuilding(progress, options.model, storage=workspace.storage)
        used = workspace.model_named(options.model)
        note = stand_in_note(options.model, used, storage=workspace.storage)
        return replace(options, model=used), [note] if note else []
    catalog = workspace.catalog
    is_first = catalog.in_service() is None and request.index not in catalog.names()
    if not is_first:
        return options, []
    name, why = fitting_model(
        texts,
        DEFAULT_MODEL,
        storage=workspace.storage,
        offline=workspace.offline,
        progress=progress,
    )
    return (replace(options, model=name), [why]) if why else (options, [])


def _with_cut_model(workspace: "Workspace", options: IndexOptions) -> IndexOptions:
    """The options with the model that is cut to the dimensions they name."""
    if options.dimensions is None:
        return options
    return replace(options, model=workspace.cut_model(options.model, options.dimensions))


def open_target(
    workspace: "Workspace", options: IndexOptions, *, index_name: str | None = None
) -> "OpenIndex[IndexModel]":
    """The index that is meant, and its model; made if need be.

    Raises:
        ConfigError: the name is empty, or none that an index can have.
        IndexMismatch: the named index was made otherwise.
    """
    from rag_app.index import check_not_empty

    if index_name is not None:
        check_not_empty(index_name)
    name = _active_if_meant(workspace, options) if index_name is None else index_name
    if name is None or name not in workspace.catalog.names():
        return _make_target(workspace, options, name)
    opened = workspace.open(name, model=options.model)
    info = opened.index.info
    if key := options.differs_from(info):
        raise IndexMismatch(
            f"index {name!r} was made with {key} = {getattr(info, key)}, not "
            f"{getattr(options, key)}; leave --index out for an index of its own"
        )
    return opened


def _make_target(
    workspace: "Workspace", options: IndexOptions, name: str | None
) -> "OpenIndex[IndexModel]":
    from rag_app.index import IndexInfo, OpenIndex, name_for
    from rag_app.models.weights import DEFAULT_MODEL

    chunking = options.chunking()
    # Another chunk size means no other model.
    model = workspace.index_model(options.model or workspace.base_model() or DEFAULT_MODEL)
    info = IndexInfo.of(model, chunking)
    made = workspace.catalog.make(name or name_for(workspace.catalog.names(), info), info)
    return OpenIndex(made, model)


def _active_if_meant(workspace: "Workspace", options: IndexOptions) -> str | None:
    """The index in service, unless it was made otherwise."""
    active = workspace.catalog.in_service()
    if active is None:
        return None
    info = workspace.catalog.open(active).info
    if info.chunking == WHOLE_PASSAGES:
        # It holds the passages of a dataset; documents are to be cut.
        return None
    meant = options.model is None or workspace.made_with(info, options.model)
    return active if meant and options.differs_from(info) is None else None
