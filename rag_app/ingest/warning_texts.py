"""Sentences for the user about what was ingested."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.documents import ReadResult
    from rag_app.index import IndexModel, SyncReport

# Files and documents that are named.
_EXAMPLES = 3


def foreign_script(texts: Sequence[str], model: "IndexModel", *, known: Sequence[str]) -> list[str]:
    """A warning if most texts are in a script that the model was not trained on; none twice."""
    from rag_app.models.fitting import script_warning

    warning = script_warning(texts, model.name, model.knows_script_of)
    return [warning] if warning and warning not in known else []


def assumed(model: "IndexModel") -> list[str]:
    """What is assumed of a model that is not known."""
    assumption = getattr(model, "assumption", None)
    return [assumption] if assumption else []


def endless_questions(reading: "ReadResult") -> list[str]:
    """A warning if tables have questions that are too long to be asked."""
    from rag_app.known import KNOWN_QUESTIONS, load_questions
    from rag_app.text.asked import LONGEST_QUESTION

    texts = [str(document.metadata.get(KNOWN_QUESTIONS, "[]")) for document in reading.documents]
    lengths = [len(one.text) for text in texts for one in load_questions(text, "")]
    if not (endless := sum(length > LONGEST_QUESTION for length in lengths)):
        return []
    return [
        f"{endless} of {len(lengths)} questions are longer than the {LONGEST_QUESTION} characters "
        "that can be asked, so they are not searched; shorten them in the table"
    ]


def cut_chunks(model: "IndexModel", sync: "SyncReport") -> list[str]:
    """A warning if chunks are longer than the model reads."""
    if not sync.truncated_chunks:
        return []
    return [
        f"{sync.truncated_chunks} of {sync.written_chunks} chunks are longer than the "
        f"{model.max_tokens} tokens that {model.name} reads; their ends are not searched. "
        f"Run ingest with --chunk-size {model.max_tokens} or less"
    ]


def lost_files(sync: "SyncReport") -> list[str]:
    """A warning if documents stay whose file is gone from another place than was read."""
    if not sync.lost:
        return []
    named = ", ".join(sync.lost[:_EXAMPLES])
    more = f" and {len(sync.lost) - _EXAMPLES} more" if len(sync.lost) > _EXAMPLES else ""
    return [
        f"{named}{more}: the file is gone, and the document still answers; "
        "`rag-app ingest PATH --prune` removes it"
    ]


def nothing_read(reading: "ReadResult") -> str:
    """Why an ingest came to nothing: what is wrong with the files."""
    from rag_app.documents import nothing_in

    failures = reading.failures
    if reading.empty:
        return next(iter(reading.empty.values()))
    if not failures:
        return nothing_in(reading.skipped)
    first = "; ".join(f"{failure.path} {failure.reason}" for failure in failures[:_EXAMPLES])
    if len(failures) == 1:
        return first
    more = f"; and {len(failures) - _EXAMPLES} more" if len(failures) > _EXAMPLES else ""
    return f"none of the {len(failures)} files could be read: {first}{more}"
