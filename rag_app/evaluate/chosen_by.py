"""Questions that chose a setting in a sweep: it looks better on them than it is on new ones."""

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rag_app.disk import UNREADABLE, write_json

FILE = "chosen_by.json"


@dataclass(frozen=True)
class ChosenBy:
    """What a sweep chose, and by which questions.

    Fields:
        retriever, chunk_size: of the setting; None where the sweep tried no other.
        question_ids: those of its dev half, as `Question.id` has them.
    """

    retriever: str | None
    chunk_size: int | None
    question_ids: Collection[str]

    def keep(self, folder: Path) -> None:
        """Write it into the folder of the sweep's results."""
        write_json(folder / FILE, asdict(self))

    def chose(self, retriever: str, chunk_size: int | None) -> str:
        """What of a run it chose, in words; empty if nothing."""
        # `sweep` searches exactly, and judges answers alone.
        spec = retriever.replace("+questions", "").replace("exact", "vector", 1)
        size = f"a chunk size of {self.chunk_size}" if self.chunk_size == chunk_size else ""
        found = [spec if self.retriever == spec else "", size if self.chunk_size else ""]
        return " and ".join(filter(None, found))


def read_chosen(results: Path) -> Iterator[tuple[str, ChosenBy]]:
    """By name of its run, what each sweep chose whose results are kept and whole."""
    for path in sorted(results.glob(f"sweep-*/{FILE}")):
        with suppress(*UNREADABLE):
            yield path.parent.name, ChosenBy(**json.loads(path.read_text("utf-8")))
