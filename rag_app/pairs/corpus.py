"""Files of questions that bring their own passages: LlamaIndex's dataset JSON, BEIR folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.documents import Source, read_sources
from rag_app.documents.tables import text_part
from rag_app.errors import PairsError
from rag_app.pairs.datasets import beir_folder
from rag_app.pairs.labelled import LabelledQuestion
from rag_app.pairs.matching import match_questions

if TYPE_CHECKING:
    from llama_index.core.schema import Document, TextNode

# Of a BEIR folder.
CORPUS = "corpus.jsonl"
# Questions that may have no answer in an index that holds the corpus all the same: passages that
# were edited, or that cannot be told apart.
_MOST_UNMATCHED = 0.1


def read_corpus(path: Path) -> "list[Document] | None":
    """The passages that a file of questions brings, as documents; None if it brings none.

    Their ids are the file's own with a hash of the text, so that the same passage of two files is
    one document, and two passages with one number are two.

    Arguments:
        path: an EmbeddingQAFinetuneDataset's .json, a BEIR folder or a file of its
            qrels; anything else brings none.
    Raises:
        PairsError: its passages cannot be read.
    """
    source = _source(Path(path))
    if source is None:
        return None
    read = read_sources([source])
    if read.failures:
        raise PairsError(f"{source.path} {read.failures[0].reason}")
    return _named_by_content(read.documents, source) or None


def dataset_of(path: Path) -> Path:
    """The dataset whose passages have this path: of a BEIR folder's corpus the folder."""
    return path.parent if path.name == CORPUS else path


def holds_corpus(questions: Sequence[LabelledQuestion], chunks: "Sequence[TextNode]") -> bool:
    """Whether an index's chunks answer (nearly) all of these questions."""
    unmatched = match_questions(questions, chunks).unmatched
    return len(unmatched) <= _MOST_UNMATCHED * len(questions)


def _source(path: Path) -> Source | None:
    path = path.absolute()
    folder = beir_folder(path)
    if folder and (folder / CORPUS).is_file():
        return Source(folder / CORPUS, folder.name)
    if path.is_file() and path.suffix.lower() == ".json":
        return Source(path, path.name)
    return None


def _named_by_content(documents: "Sequence[Document]", source: Source) -> "list[Document]":
    for document in documents:
        key = document.id_.removeprefix(f"{source.id}#")
        document.id_ = f"{key}#{text_part(document.text)}"
    return list({document.id_: document for document in documents}.values())
