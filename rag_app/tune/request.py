"""What tuning in one go is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rag_app.documents.content import Value
from rag_app.finetune.request import FinetuneRequest
from rag_app.ingest.request import IndexOptions
from rag_app.questions.generate import WritingOptions
from rag_app.sweep.request import SweepRequest


@dataclass(frozen=True)
class TuneRequest:
    """The documents, and what each stage is asked for.

    Fields:
        paths: files and folders of documents.
        index: how the index is to be made.
        ocr, metadata: as for `ingest`.
        per_chunk: questions written for each chunk, where `finetune` names no pairs.
        writing: how they are written.
        finetune: its `index` is the one that is ingested into.
        sweep: its grid's retrievers are compared on the index in service; its questions are the
            pairs of `finetune`.
    """

    paths: Sequence[Path]
    index: IndexOptions = IndexOptions()
    ocr: str | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)
    per_chunk: int = 2
    writing: WritingOptions = WritingOptions()
    finetune: FinetuneRequest = field(default_factory=FinetuneRequest)
    sweep: SweepRequest = field(default_factory=SweepRequest)
