"""What an evaluation is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rag_app.documents import Columns
from rag_app.retrieve import RetrievalOptions


@dataclass(frozen=True)
class EvaluateRequest:
    """What to ask whom.

    Fields:
        retrievers: as `RetrievalOptions.with_spec` reads them.
        retrieval: has the filter and numbers that are the same for all retrievers.
        usual_model: for passages that the questions bring, where none is named.
        columns: of a table of questions.
        verbatim: let `+questions` find a known question by itself, as in service.
    """

    questions: Path
    indexes: Sequence[str] = ()
    models: Sequence[str] = ()
    usual_model: str | None = None
    retrievers: Sequence[str] = ("exact",)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    columns: Columns = Columns()
    seed: int = 13
    verbatim: bool = False
