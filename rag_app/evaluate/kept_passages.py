"""The passages that outcomes name, with what a reader needs to know of each: passages.jsonl."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from rag_app.disk import write_whole
from rag_app.documents.links import source_uri
from rag_app.errors import RunError, first_line
from rag_app.evaluate.scoring import Outcome

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

PASSAGES_FILE = "passages.jsonl"
# Characters of a passage that are kept: what tells it from others, not the passage itself.
LONGEST = 240


@dataclass(frozen=True, slots=True)
class KeptPassage:
    """The beginning of a passage, and where it stands.

    Fields:
        id: of the chunk.
        document: id of its document.
        title: of the document; of a table's row without one its question and the row.
        category, language, date: the document's metadata; empty where it has none.
        uri: the file, at the page of a PDF; empty where it is none's, or not known.
    """

    id: str
    document: str
    title: str
    text: str
    category: str = ""
    language: str = ""
    date: str = ""
    uri: str = ""

    @property
    def name(self) -> str:
        """The title, or the document where there is none."""
        return self.title or self.document


def passages_of(
    nodes: "Iterable[TextNode]", outcomes: Iterable[Outcome], names: Mapping[str, str]
) -> dict[str, KeptPassage]:
    """Every passage that an outcome holds for right or retrieved, by chunk id.

    Arguments:
        nodes: of all indexes that were asked.
        names: what documents without a title are called, as `row_names` has it.
    """
    wanted: set[str] = set()
    for outcome in outcomes:
        wanted.update(outcome.retrieved, *outcome.gold)
    return {node.node_id: _kept(node, names) for node in nodes if node.node_id in wanted}


def names_of(passages: Mapping[str, KeptPassage]) -> dict[str, str]:
    """What passages are called, by chunk id."""
    return {chunk: one.name for chunk, one in passages.items()}


def keep_passages(folder: Path, passages: Iterable[KeptPassage]) -> None:
    """Write passages.jsonl."""
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in passages)
    write_whole(folder / PASSAGES_FILE, "".join(lines))


def read_passages(folder: Path) -> dict[str, KeptPassage]:
    """What `keep_passages` wrote, by chunk id; nothing where a run kept none.

    Raises:
        RunError: the file cannot be read.
    """
    path = folder / PASSAGES_FILE
    if not path.is_file():
        return {}
    adapter = TypeAdapter(KeptPassage)
    try:
        lines = path.read_text("utf-8").split("\n")
        read = [adapter.validate_json(line) for line in lines if line.strip()]
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise RunError(
            f"{path} is damaged ({first_line(error)}); run again what wrote it, or delete the "
            "file for a report without passages"
        ) from error
    return {one.id: one for one in read}


def _kept(node: "TextNode", names: Mapping[str, str]) -> KeptPassage:
    metadata, document = node.metadata, str(node.ref_doc_id)
    title = str(metadata.get("title", "")) or names.get(document, "")
    return KeptPassage(
        id=node.node_id,
        document=document,
        title=shortened(title, LONGEST),
        text=shortened(node.text, LONGEST),
        category=str(metadata.get("category", "")),
        language=str(metadata.get("language", "")),
        date=str(metadata.get("date", "")),
        uri=source_uri(str(metadata.get("path", "")), metadata.get("page")),
    )


def shortened(text: str, longest: int) -> str:
    """The beginning of a text on one line, of so many characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
