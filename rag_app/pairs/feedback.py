"""What people say of passages that were found, kept as labelled pairs.

In `storage/feedback`: `feedback.jsonl` has every judgement; `pairs.jsonl` has the questions whose
passage was last called right or good, as `finetune --pairs` reads them.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from rag_app.disk import write_whole
from rag_app.errors import PairsError
from rag_app.text.asked import question_key

if TYPE_CHECKING:
    from llama_index.core.schema import TextNode

FEEDBACK = "feedback"
PAIRS = "pairs.jsonl"
JUDGEMENTS = "feedback.jsonl"
Verdict = Literal["right", "good", "bad"]

_Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Feedback:
    """A question, a passage, and what somebody says of them.

    Fields:
        document, start, end: where the passage stands; characters of the document's text.
        evidence: the passage's text.
        verdict: "right": it answers the question; "good" and "bad": thumbs.
    """

    question: str
    document: str
    start: int
    end: int
    evidence: str
    verdict: Verdict

    @classmethod
    def of(cls, question: str, chunk: "TextNode", verdict: Verdict) -> "Feedback":
        """What somebody says of a chunk that was found for a question."""
        return cls(
            question=question,
            document=str(chunk.ref_doc_id),
            start=chunk.start_char_idx,
            end=chunk.end_char_idx,
            evidence=chunk.text,
            verdict=verdict,
        )

    @property
    def key(self) -> _Key:
        """The same for two judgements of one passage for one question."""
        return question_key(self.question), self.document, self.start, self.end

    def as_pair(self) -> dict[str, object]:
        """As `finetune --pairs` reads it."""
        values: dict[str, object] = asdict(self)
        del values["verdict"]
        return values


def pairs_file(storage: Path) -> Path:
    """Where the labelled pairs are."""
    return storage / FEEDBACK / PAIRS


def feedback_pairs(storage: Path) -> Path:
    """The file of labelled pairs that `finetune --pairs feedback` reads.

    Raises:
        PairsError: no passage was called right or good yet.
    """
    path = pairs_file(storage)
    if not path.is_file() or not path.stat().st_size:
        raise PairsError(
            f"no passage was called right or good yet ({path}); ask with `rag-app query` and type "
            "/good or /right 2, or judge answers on the page of `rag-app serve`"
        )
    return path


def keep_feedback(storage: Path, feedback: Feedback) -> int:
    """Add a judgement; of two of one passage for one question the later one counts.

    Returns:
        how many labelled pairs there are now.
    Raises:
        OSError: the storage cannot be written.
    """
    folder = storage / FEEDBACK
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        known = {one.key: one for one in read_feedback(storage)}
        _append(folder / JUDGEMENTS, json.dumps(asdict(feedback), ensure_ascii=False))
        known.pop(feedback.key, None)
        pairs = [one for one in [*known.values(), feedback] if one.verdict != "bad"]
        lines = [json.dumps(one.as_pair(), ensure_ascii=False) + "\n" for one in pairs]
        write_whole(folder / PAIRS, "".join(lines))
    return len(pairs)


def read_feedback(storage: Path) -> list[Feedback]:
    """Every judgement in the order in which they came; a line that was torn is passed over."""
    path = storage / FEEDBACK / JUDGEMENTS
    lines = path.read_text("utf-8", errors="replace").split("\n") if path.exists() else []
    return [one for one in map(_read, lines) if one is not None]


def _read(line: str) -> Feedback | None:
    try:
        return Feedback(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _append(path: Path, line: str) -> None:
    """Add a line; what a killed process left of one ends before it."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
