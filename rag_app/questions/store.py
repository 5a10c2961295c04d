"""Written questions on disk: one line for each chunk, appended as the chunk is finished."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag_app.errors import StorageError
from rag_app.index.holder import Held, Holder
from rag_app.index.locks import named_lock


@dataclass(frozen=True, slots=True)
class ChunkQuestions:
    """What was written for one chunk.

    Fields:
        asked: how many questions were asked for; there may be fewer where the text gave no more.
        questions: as written, before any filter.
        styles: of each question; none in files from before there were any: all ask.
        judged: of some questions, whether a judge found that the chunk answers them.
    """

    chunk_id: str
    document_id: str
    start: int
    end: int
    language: str
    generator: str
    prompt_version: str
    asked: int
    seed: int
    questions: tuple[str, ...]
    styles: tuple[str, ...] = ()
    judged: Mapping[str, bool] = field(default_factory=dict)


class QuestionStore:
    """`<storage>/questions/<generator>.jsonl`; of several lines for one chunk the last counts.

    Lines of chunks that are no longer indexed stay: the chunk may come back.
    """

    def __init__(self, storage: Path, generator: str) -> None:
        self.generator = generator
        self.path = storage / "questions" / f"{slug(generator)}.jsonl"

    @classmethod
    def all(cls, storage: Path) -> list["QuestionStore"]:
        """The stores of every generator that has written, the latest first."""
        paths = list((storage / "questions").glob("*.jsonl"))
        paths.sort(key=lambda path: (-path.stat().st_mtime_ns, path.name))
        return [cls(storage, name) for path in paths if (name := _generator_of(path))]

    def load(self) -> dict[str, ChunkQuestions]:
        """What is stored, by chunk id; a last line that a killed run left torn is not.

        Raises:
            StorageError: a line is damaged that is not the last.
        """
        if not self.path.is_file():
            return {}
        *lines, _torn = self.path.read_bytes().split(b"\n")
        records = (self._read(number, line) for number, line in enumerate(lines, start=1))
        return {record.chunk_id: record for record in records if record.generator == self.generator}

    def lacking(self, chunk_ids: Iterable[str], per_chunk: int) -> list[str]:
        """Those of the chunks that were asked for fewer questions.

        Raises:
            StorageError: a line is damaged that is not the last.
        """
        known = self.load()
        return [one for one in chunk_ids if one not in known or known[one].asked < per_chunk]

    @contextmanager
    def writing(self) -> Iterator[Callable[[ChunkQuestions], None]]:
        """Hold the file's lock; yields the function that appends a chunk's line and flushes it.

        Raises:
            StorageError: another process is writing questions of this generator.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock, holder = self.path.with_suffix(".lock"), self.path.with_suffix(".holder.json")
        with named_lock(lock, holder, self._refusal):
            self._drop_torn_line()
            with self.path.open("ab") as file:

                def append(record: ChunkQuestions) -> None:
                    line = json.dumps(asdict(record), ensure_ascii=False)
                    file.write(line.encode() + b"\n")
                    file.flush()

                yield append

    def _refusal(self, holder: Holder | None) -> StorageError:
        mend = "wait for it to end, or name another folder with --storage"
        return StorageError(Held(str(self.path), mend).message(holder))

    def _read(self, number: int, line: bytes) -> ChunkQuestions:
        try:
            values: dict[str, Any] = json.loads(line)
            lists = {name: tuple(values.get(name, ())) for name in ("questions", "styles")}
            return ChunkQuestions(**{**values, **lists})
        except (ValueError, TypeError, KeyError):
            raise StorageError(
                f"line {number} of {self.path} is damaged; delete that line and run "
                "`rag-app questions` again, which asks for its chunk once more"
            ) from None

    def _drop_torn_line(self) -> None:
        """What follows the last newline would otherwise run into the next line."""
        if not self.path.is_file():
            return
        with self.path.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _generator_of(path: Path) -> str | None:
    """The generator that the file's first line names; None: it has no whole line."""
    first, found, _ = path.read_bytes().partition(b"\n")
    try:
        return str(json.loads(first)["generator"]) if found else None
    except (ValueError, TypeError, KeyError):
        raise StorageError(
            f"line 1 of {path} is damaged; delete that line and run `rag-app questions` again"
        ) from None


def slug(generator: str) -> str:
    """The generator's name as a file's name."""
    return re.sub(r"[^a-zA-Z0-9._]+", "-", generator).strip("-.").lower() or "unnamed"
