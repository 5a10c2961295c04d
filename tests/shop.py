"""Forty small documents that a tiny model can learn to tell apart, and questions about them.

A document is about a colour and a thing; questions name both by synonyms that no document holds.
A base model of random weights cannot know them; whoever saw the training pairs does, for documents
it never saw.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny import make_tiny_model

from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.request import FinetuneRequest
from rag_app.finetune.result import FinetuneResult
from rag_app.finetune.stage import finetune
from rag_app.index import Workspace
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest

COLOURS = {f"colour{i}": f"hue{i}" for i in range(7)}
THINGS = {f"thing{i}": f"item{i}" for i in range(6)}
NOISE = [f"noise{i}" for i in range(60)]
ASKED = ["which", "what", "do", "you", "sell", "any"]
WORDS = [*COLOURS, *COLOURS.values(), *THINGS, *THINGS.values(), *NOISE, *ASKED]
DOCUMENTS = [(colour, thing) for colour in COLOURS for thing in THINGS][:40]
OPTIONS = TrainingOptions(epochs=30, batch_size=8, learning_rate=3e-3, max_tokens=32, blend=1.0)


@dataclass(frozen=True)
class Shop:
    """A storage with an index of the documents, and the questions about them."""

    workspace: Workspace
    results: Path
    questions: Path
    base_index: str

    def finetune(self, **options: Any) -> tuple[FinetuneResult, list[str]]:
        """Run the stage; returns its result and the steps it told of."""
        steps: list[str] = []

        def progress(step: str, done: int, total: int, note: str = "") -> None:
            steps.append(step)

        given = {"pairs": self.questions, "options": OPTIONS, "results": self.results}
        request = FinetuneRequest(**{**given, **options})
        return finetune(self.workspace, request, progress=progress), steps

    def active(self) -> str | None:
        return self.workspace.catalog.active.current()


def write_documents(folder: Path) -> Path:
    """Each of unlike noise words, so that no two are near-duplicates."""
    rng = random.Random(1)  # noqa: S311
    folder.mkdir()
    for colour, thing in DOCUMENTS:
        one, two, three, four = rng.sample(NOISE, 4)
        (folder / f"{colour}-{thing}.txt").write_text(
            f"{one} {colour} {thing} {two} {three} {thing} {colour} {four}", "utf-8"
        )
    return folder


def write_questions(path: Path) -> Path:
    """Two for each document."""
    rows = [
        {"question": words.format(COLOURS[colour], THINGS[thing]), "document": document}
        for colour, thing in DOCUMENTS
        for document in [f"docs/{colour}-{thing}.txt"]
        for words in ("which {} {} do you sell", "any {} {}")
    ]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def open_shop(folder: Path, questions: Path) -> Shop:
    """Ingest the documents into a storage of this folder."""
    workspace = Workspace(folder / "storage", device="cpu")
    make_tiny_model(workspace.models / "tiny", words=WORDS)
    documents = write_documents(folder / "docs")
    index = ingest(workspace, IngestRequest([documents], options=IndexOptions(model="tiny"))).index
    return Shop(workspace, folder / "results", questions, index)
