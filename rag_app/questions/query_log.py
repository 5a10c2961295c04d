"""A log of what users searched for, without answers: what is written then reads as they ask."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag_app.chunks import passage_text
from rag_app.errors import DocumentError, PairsError
from rag_app.pairs import question_key
from rag_app.questions.examples import Example
from rag_app.questions.own_examples import MOST, Examples, examples_language, make_example
from rag_app.questions.rarity import Rarity, plain
from rag_app.retrieve.weak import unrelated_of
from rag_app.text.normalise import decode
from rag_app.vectors import nearest

if TYPE_CHECKING:
    from rag_app.index import Passages
    from rag_app.vectors import Embedder

COLUMN = "query"
FEWEST = 5
# A longer line is pasted text, not a query.
LONGEST = 300
# Queries that are looked at for good examples, spread over a longer log.
LOOKED_AT = 2000

_URL = re.compile(r"https?://|www\.|\S+\.(?:com|org|net|html?|php)\S*$", re.IGNORECASE)


def read_query_log(path: Path) -> list[str]:
    """The different queries of a file: one a line, or the column `query` of a .csv.

    Raises:
        PairsError: no such file, no text, no such column, or fewer than five usable queries.
    """
    text = _text_of(path)
    lines = _column(path, text) if path.suffix.lower() == ".csv" else text.splitlines()
    usable: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    for line in lines:
        query = " ".join(line.split())
        if why := _unusable(query):
            dropped[why] += 1
        elif usable.setdefault(question_key(query), query) is not query:
            dropped["repeated"] += 1
    if len(usable) < FEWEST:
        found = ", ".join(f"{count} {why}" for why, count in dropped.items())
        raise PairsError(
            f"{path} has {len(usable)} usable {'query' if len(usable) == 1 else 'queries'}"
            f"{f' (left out: {found})' if found else ''}; give at least {FEWEST}, "
            f"one a line, or a .csv with a column {COLUMN!r}"
        )
    return list(usable.values())


def log_examples(
    queries: Sequence[str], passages: "Passages", model: "Embedder", rarity: Rarity
) -> Examples:
    """Of each language the queries that are nearest to a passage, each shown with its passage.

    Nobody said which passage answers a query; where the nearest is very near, it mostly does. One
    that is no nearer to any than passages are that have nothing to do with each other is left out.

    Raises:
        PairsError: all of them are.
    """
    step = max(1, len(queries) // LOOKED_AT)
    looked_at = queries[::step][:LOOKED_AT]
    found, cosines = nearest(model.embed_queries(looked_at), passages.vectors, 1)
    documents = [str(node.ref_doc_id) for node in passages.nodes]
    unrelated = unrelated_of(passages.vectors, documents)
    near = cosines[:, 0] >= (-1.0 if unrelated is None else unrelated)
    if not near.any():
        raise PairsError(
            f"no query of {len(looked_at)} is about anything in this index (such as "
            f"{looked_at[0]!r}); name the log of a search over these documents, or leave out "
            "--query-log"
        )
    examples: dict[str, list[Example]] = defaultdict(list)
    shown: set[int] = set()
    nearest_first = cosines[:, 0].argsort(kind="stable")[::-1].tolist()
    for place in (place for place in nearest_first if near[place]):
        row = int(found[place, 0])
        text = plain(passage_text(passages.nodes[row]))
        language = examples_language(looked_at[place], text)
        if row not in shown and len(examples[language]) < MOST:
            shown.add(row)
            examples[language].append(make_example(looked_at[place], text, rarity))
    return {language: tuple(chosen) for language, chosen in examples.items()}


def _text_of(path: Path) -> str:
    mend = "give a text file with one query a line, or a .csv with a column 'query'"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PairsError(f"{path} cannot be read: {error.strerror}; {mend}") from None
    try:
        return decode(data)
    except DocumentError as error:
        raise PairsError(f"{path} {error}; {mend}") from None


def _column(path: Path, text: str) -> list[str]:
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise PairsError(f"{path} is no table: {error}; give one query a line") from None
    names = [name for name in (rows[0] if rows else {}) if name]
    column = next((name for name in names if name.strip().casefold() == COLUMN), None)
    if column is None:
        raise PairsError(
            f"{path} has no column {COLUMN!r}, only {', '.join(names) or 'none'}; rename the "
            "column that holds the queries, or give a text file with one query a line"
        )
    return [row[column] or "" for row in rows]


def _unusable(query: str) -> str:
    """Why a line is no query; empty if it is one."""
    if not query:
        return "empty"
    if len(query) > LONGEST:
        return f"longer than {LONGEST} characters"
    if _URL.match(query):
        return "with an address"
    if not any(map(str.isalpha, query)):
        return "without a word"
    return "" if query.isprintable() else "unprintable"
