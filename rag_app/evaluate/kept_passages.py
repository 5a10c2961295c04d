"""The passages that outcomes name, with what a reader needs to know of each: passages.jsonl."""

import json
from collections.abc import Iterable
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


def keep_passages(
    folder: Path, nodes: "Iterable[TextNode]", outcomes: Iterable[Outcome]
) -> dict[str, KeptPassage]:
    """Write every passage that an outcome holds for right or retrieved, each once; by chunk id.

    Arguments:
        nodes: of all indexes that were asked.
    """
    named: set[str] = set()
    for outcome in outcomes:
        named.update(outcome.retrieved, *outcome.gold)
    kept = {node.node_id: _kept(node) for node in nodes if node.node_id in named}
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in kept.values())
    write_whole(folder / PASSAGES_FILE, "".join(lines))
    return kept


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


def _kept(node: "TextNode") -> KeptPassage:
    metadata = node.metadata
    return KeptPassage(
        id=node.node_id,
        document=str(node.ref_doc_id),
        title=shortened(str(metadata.get("title", "")), LONGEST),
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
