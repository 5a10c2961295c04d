"""What a program hands over: paths, or LlamaIndex documents -> documents as readers make them."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.documents.content import Content, to_document
from rag_app.documents.reading import ReadResult
from rag_app.documents.sources import Failure, Source
from rag_app.errors import ConfigError, DocumentError
from rag_app.text.normalise import normalise

if TYPE_CHECKING:
    from llama_index.core.schema import Document

KIND = "document"
# The id that LlamaIndex gives a document which has none: another one in each run.
_RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def paths_and_documents(given: Any) -> "tuple[list[Path], list[Document]]":
    """The paths and the documents of what is given, of which one is empty.

    Raises:
        ConfigError: both, or something else.
    """
    from llama_index.core.schema import Document

    several = isinstance(given, Iterable) and not isinstance(given, str | Path | Document)
    listed = list(given) if several else [given]
    paths = [Path(each) for each in listed if isinstance(each, str | Path)]
    documents = [each for each in listed if isinstance(each, Document)]
    for each in listed:
        if not isinstance(each, str | Path | Document):
            raise ConfigError(
                f"{type(each).__name__} {each!r:.60} is neither a path nor a LlamaIndex Document; "
                "hand over paths, or Documents"
            )
    if paths and documents:
        raise ConfigError(
            f"there are {len(paths)} paths among {len(documents)} Documents; ingest them one after "
            "the other"
        )
    return paths, documents


def given_documents(documents: "Sequence[Document]") -> ReadResult:
    """Documents with normalised text and metadata that Chroma can store.

    A document keeps the id that it was given. One with LlamaIndex's random id is known by its
    `file_path` (and `page_label`), else by its text, so that a second ingest updates instead of
    adding it again.

    Returns:
        the documents, sorted by id; those without text, or with the id of another, as failures.
    """
    made: dict[str, Document] = {}
    failures = []
    for document in documents:
        name = _id_of(document)
        try:
            if name in made:
                raise DocumentError("has the id of another document; give each an id_ of its own")
            made[name] = _document(document, name)
        except DocumentError as error:
            failures.append(Failure(Path(name), str(error)))
    return ReadResult([made[name] for name in sorted(made)], failures, [])


def _id_of(document: "Document") -> str:
    if not _RANDOM_ID.fullmatch(document.id_):
        return str(document.id_)
    if path := document.metadata.get("file_path"):
        page = document.metadata.get("page_label")
        return f"{path}#page-{page}" if page else str(path)
    return f"text-{hashlib.sha256(document.text.encode()).hexdigest()[:16]}"


def _document(document: "Document", name: str) -> "Document":
    path = str(document.metadata.get("file_path") or "")
    named = Path(path or name)
    content = Content(
        normalise(document.text),
        KIND,
        title=document.metadata.get("title"),
        fields=document.metadata,
    )
    made = to_document(Source(named, name), content)
    made.metadata["path"] = path
    return made
