"""What is said of a store that Chroma cannot read."""

from pathlib import Path

from rag_app.disk import hardly_any_left, storage_error
from rag_app.errors import IndexBroken, RagAppError, StorageError


def store_error(folder: Path, error: Exception) -> RagAppError:
    """The error to raise for one of Chroma's; only an index that is damaged is broken.

    Arguments:
        folder: of the index, in the `indexes` of its storage.
    """
    name, storage = folder.name, folder.parent.parent
    if trouble := storage_error(error, place=folder):
        return trouble
    if hardly_any_left(storage):
        return StorageError(
            f"index {name!r} in {storage} cannot be read ({error}): the disk is full; free some "
            "space. The index is kept"
        )
    return IndexBroken(
        f"index {name!r} in {storage} cannot be read ({error}); `rag-app index repair {name}` "
        "makes it anew from what can still be read of it and from the vector cache"
    )
