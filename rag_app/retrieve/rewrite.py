"""Questions rewritten by a language model before they are searched for."""

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.errors import LanguageModelError
from rag_app.llm.thoughts import without_thoughts
from rag_app.retrieve.rewrite_prompts import PROMPT_VERSION, prompt_for
from rag_app.text.language import guess_language

if TYPE_CHECKING:
    from rag_app.llm.language_model import LanguageModel

MAX_TOKENS = 160
# A rewrite that is longer is no question any more.
LONGEST = 300
# "2.4 GHz" is no second item.
_MARK = re.compile(r"^\s*(?:\d{1,2}[.):](?!\d)|[-*•])\s*")
_QUOTES = "\"'“” "
_SCHEMA = """
CREATE TABLE IF NOT EXISTS rewrites (key BLOB PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID
"""
_KEEP = "INSERT OR REPLACE INTO rewrites VALUES (?, ?)"


@dataclass(frozen=True)
class Rewritten:
    """What a question became.

    Fields:
        texts: other questions, or one hypothetical passage; none where the model gave none.
        asked: whether the language model was asked, not the cache.
        failure: why the language model did not answer, if it did not.
    """

    texts: list[str]
    asked: bool = False
    failure: str = ""


class Rewriter:
    """Rewrites questions in one way and keeps the answers, by model, prompt and question.

    Arguments:
        kind: "multi_query" or "hyde".
        count: rewrites wanted of each question; a passage is always one.
        folder: where the cache may be; it can be deleted at any time.
    """

    def __init__(self, kind: str, llm: "LanguageModel", *, count: int, folder: Path) -> None:
        self.kind = kind
        self._llm = llm
        self._count = count
        self._path = folder / "rewrites.sqlite"

    def rewrite(self, questions: Sequence[str]) -> list[Rewritten]:
        """Rewrite each question; one that cannot be is left alone, with the failure."""
        prompts = [self._prompt(question) for question in questions]
        keys = [self._key(prompt) for prompt in prompts]
        with contextlib.closing(self._open()) as cache:
            answers = _read(cache, keys)
            missing = {k: p for k, p in zip(keys, prompts, strict=True) if k not in answers}
            failure = self._complete(missing, answers, cache)
        return [
            self._rewritten(question, answers.get(key), asked=key in missing, failure=failure)
            for question, key in zip(questions, keys, strict=True)
        ]

    def _complete(
        self, missing: dict[bytes, str], answers: dict[bytes, str], cache: sqlite3.Connection
    ) -> str:
        """Ask the model what the cache lacks; the reason, if it failed."""
        keys = list(missing)

        def keep(index: int, said: str) -> None:
            text = without_thoughts(said)
            answers[keys[index]] = text
            # An empty answer is a model's mishap, not a rewrite to keep.
            if text.strip():
                with cache:
                    cache.execute(_KEEP, (keys[index], text))

        stop = () if self._llm.follows_instructions else ("\n\n",)
        try:
            self._llm.complete(
                list(missing.values()), max_tokens=MAX_TOKENS, stop=stop, on_done=keep
            )
        except LanguageModelError as error:
            return str(error)
        return ""

    def _rewritten(
        self, question: str, answer: str | None, *, asked: bool, failure: str
    ) -> Rewritten:
        if answer is None:
            return Rewritten([], asked=asked, failure=failure)
        if self.kind == "hyde":
            passage = " ".join(answer.split())
            return Rewritten([passage] if passage else [], asked=asked)
        return Rewritten(read_list(answer, question, self._count), asked=asked)

    def _prompt(self, question: str) -> str:
        language = guess_language(question)
        return prompt_for(
            self.kind, question, self._count, language, instructed=self._llm.follows_instructions
        )

    def _key(self, prompt: str) -> bytes:
        key = f"{self._llm.name}\0{PROMPT_VERSION}\0{self.kind}\0{prompt}"
        return hashlib.sha256(key.encode()).digest()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=60)
        connection.execute(_SCHEMA)
        return connection


def read_list(answer: str, question: str, count: int) -> list[str]:
    """The questions of an answer, one a line, without numbers, repetitions and the question itself.

    A line that announces the list ("Here are 3 queries:") is none of them.
    """
    found: dict[str, str] = {}
    for line in answer.splitlines():
        text = " ".join(_MARK.sub("", line.strip(_QUOTES)).strip(_QUOTES).split())
        if text and not text.endswith((":", "：")) and len(text) <= LONGEST:
            found.setdefault(text.casefold(), text)
    found.pop(" ".join(question.split()).casefold(), None)
    return list(found.values())[:count]


def _read(cache: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, str]:
    found = {}
    for key in keys:
        row = cache.execute("SELECT answer FROM rewrites WHERE key = ?", (key,)).fetchone()
        if row:
            found[key] = row[0]
    return found
