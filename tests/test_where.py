"""Filters on metadata: what can be typed, what it means, and that Chroma means the same."""

import datetime as dt
import itertools
import random
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import OpenCatalog
from fakes import WordModel
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from rag_app.chunks import Chunking
from rag_app.errors import ConfigError
from rag_app.index import Catalog, IndexInfo, VectorIndex
from rag_app.retrieve.filters.conditions import read_number
from rag_app.retrieve.filters.where import Where, parse_where
from rag_app.text.dates import date_fields

Metadata = Mapping[str, Any]

TODAY = dt.date(2024, 3, 5)
KNOWN: dict[str, set[type]] = {
    **{key: {str} for key in ("category", "language", "path", "title", "카테고리", "고객_유형")},
    **{key: {int} for key in ("page", "date_epoch", "chunk_index", "chunk_count")},
    "document_hash": {str},
    "date": {str},
    "price": {int, float},
    "code": {str, int},
    "draft": {bool},
}


def where(text: str) -> Where:
    return parse_where(text, KNOWN, today=TODAY)


def shape(part: MetadataFilter | MetadataFilters) -> object:
    """A filter as nested tuples."""
    if isinstance(part, MetadataFilters):
        inner = tuple(shape(one) for one in part.filters)
        return inner[0] if len(inner) == 1 else (part.condition.value, *inner)
    return part.key, part.operator.value, part.value


def read(text: str) -> object:
    return shape(where(text).filters)


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        where(text)
    return str(caught.value)


# What can be typed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("category = billing", ("category", "==", "billing")),
        ("category==billing", ("category", "==", "billing")),
        ("category != billing", ("category", "!=", "billing")),
        ("category <> billing", ("category", "!=", "billing")),
        ("Category = Billing", ("category", "==", "Billing")),
        ("category in (billing, cam)", ("category", "in", ["billing", "cam"])),
        ("category NOT IN (billing, cam)", ("category", "nin", ["billing", "cam"])),
        ("category in (billing, billing)", ("category", "==", "billing")),
        ("page < 3", ("page", "<", 3)),
        ("page<=3", ("page", "<=", 3)),
        ("page > -3", ("page", ">", -3)),
        ("page >= 3.0", ("page", ">=", 3)),
        ("lang = ko", ("language", "==", "ko")),
        ("title = 'two words'", ("title", "==", "two words")),
        ('title = "it\'s (not) and"', ("title", "==", "it's (not) and")),
        ("title = “two words”", ("title", "==", "two words")),
        ("title = 'and'", ("title", "==", "and")),
        ("title = ''", ("title", "==", "")),
        ("path = docs/a_b-1.md", ("path", "==", "docs/a_b-1.md")),
        ("title = me@a.example:80", ("title", "==", "me@a.example:80")),
        ("카테고리 = 결제", ("카테고리", "==", "결제")),
        ("카테고리 in (결제, '환불 및 반품')", ("카테고리", "in", ["결제", "환불 및 반품"])),
        ("'고객 유형' = VIP", ("고객_유형", "==", "VIP")),
        ("(category = billing)", ("category", "==", "billing")),
        (" category\n=\tbilling ", ("category", "==", "billing")),
        ("chunk_index = 0", ("chunk_index", "==", 0)),
        # A value is of the types that the key has.
        ("page = 17", ("page", "==", 17)),
        ("category = 17", ("category", "==", "17")),
        ("code = 17", ("or", ("code", "==", "17"), ("code", "==", 17))),
        ("code != 17", ("and", ("code", "!=", "17"), ("code", "!=", 17))),
        ("code in (a, 1, 2)", ("or", ("code", "in", ["a", "1", "2"]), ("code", "in", [1, 2]))),
        ("code > 17", ("code", ">", 17)),
        ("draft = TRUE", ("draft", "==", True)),
        ("draft in (true, false)", ("draft", "in", [True, False])),
        ("draft = maybe", ("draft", "==", "maybe")),
        ("page = many", ("page", "==", "many")),
        # Joined
        (
            "category = a and page > 1 or lang = ko",
            ("or", ("and", ("category", "==", "a"), ("page", ">", 1)), ("language", "==", "ko")),
        ),
        (
            "category = a AND (page > 1 Or lang = ko)",
            ("and", ("category", "==", "a"), ("or", ("page", ">", 1), ("language", "==", "ko"))),
        ),
        (
            "page > 1 and (page < 9 and page != 5)",
            ("and", ("page", ">", 1), ("page", "<", 9), ("page", "!=", 5)),
        ),
        (
            "not (category = a and page > 1)",
            ("or", ("category", "!=", "a"), ("page", "<=", 1)),
        ),
        (
            "not (category in (a, b) or not page >= 1)",
            ("and", ("category", "nin", ["a", "b"]), ("page", ">=", 1)),
        ),
        ("not category = a", ("category", "!=", "a")),
        ("not category not in (a)", ("category", "==", "a")),
    ],
)
def test_what_is_typed_becomes_filters(text: str, expected: object) -> None:
    assert read(text) == expected


def test_a_filter_keeps_its_text() -> None:
    assert where("  category =  billing ").text == "category =  billing"


def test_decomposed_korean_is_the_same_word() -> None:
    assert read(unicodedata.normalize("NFD", "카테고리 = 결제")) == ("카테고리", "==", "결제")


def test_lang_is_a_key_of_its_own_where_there_is_no_language() -> None:
    found = parse_where("lang = ko", {"lang": {str}}, today=TODAY)
    assert shape(found.filters) == ("lang", "==", "ko")


# Dates


def epoch(year: int, month: int, day: int) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp())


DAYS = ["2022-12-31", "2023-01-01", "2023-06-01", "2023-06-30", "2023-12-31", "2024-01-01"]


def fits(found: Where, metadata: Metadata) -> bool:
    """Whether a filter finds a chunk with this metadata."""
    return found.matches_node(TextNode(metadata=dict(metadata)))


def dated(text: str) -> list[str]:
    """The days of DAYS that fit, and "none" if a chunk without a date does."""
    found = where(text)
    rows: list[tuple[str, Metadata]] = [
        (day, date_fields({"date": day}, file_name="")) for day in DAYS
    ]
    return [name for name, row in [*rows, ("none", {})] if fits(found, row)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("date = 2023", DAYS[1:5]),
        ("date != 2023", [DAYS[0], DAYS[5], "none"]),
        ("date > 2023", DAYS[5:]),
        ("date >= 2023", DAYS[1:]),
        ("date < 2023", DAYS[:1]),
        ("date <= 2023", DAYS[:5]),
        ("date = 2023-06", DAYS[2:4]),
        ("date = '2023년 6월'", DAYS[2:4]),
        ("date != 2023/6", [*DAYS[:2], *DAYS[4:], "none"]),
        ("date > 2023.6", DAYS[4:]),
        ("date >= 2023-06", DAYS[2:]),
        ("date < 2023-06", DAYS[:2]),
        ("date <= 2023-06", DAYS[:4]),
        ("date = 2023-06-01", DAYS[2:3]),
        ("date != 2023-06-01", [*DAYS[:2], *DAYS[3:], "none"]),
        ("date > 2023-06-01", DAYS[3:]),
        ("date >= 2023-06-01", DAYS[2:]),
        ("date < 2023-06-01", DAYS[:2]),
        ("date <= 2023-06-01", DAYS[:3]),
        ("date in (2022, 2023-06, 2024-01-01)", [DAYS[0], *DAYS[2:4], DAYS[5]]),
        ("date not in (2022, 2023-06, 2024-01-01)", [DAYS[1], DAYS[4], "none"]),
        ("not date = 2023", [DAYS[0], DAYS[5], "none"]),
        ("not date >= 2023-06-01", DAYS[:2]),
        ("not (date >= 2023 and date < 2024)", [DAYS[0], DAYS[5]]),
    ],
)
def test_a_date_may_be_a_day_a_month_or_a_year(text: str, expected: list[str]) -> None:
    assert dated(text) == expected


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2023/6/1", (2023, 6, 1)),
        ("20230601", (2023, 6, 1)),
        ("2023-06-01T23:59", (2023, 6, 1)),
        ('"March 5, 2024"', (2024, 3, 5)),
        ("'2023년 6월 1일'", (2023, 6, 1)),
        ("'2023. 6. 1.'", (2023, 6, 1)),
        ("today", (2024, 3, 5)),
        ("TODAY-5d", (2024, 2, 29)),
        ("today - 5d", (2024, 2, 29)),
        ("today -2w", (2024, 2, 20)),
        ("today- 1y", (2023, 3, 5)),
        ("'today - 1 y'", (2023, 3, 5)),
    ],
)
def test_ways_to_write_a_day(value: str, day: tuple[int, int, int]) -> None:
    assert read(f"date >= {value}") == ("date_epoch", ">=", epoch(*day))
    assert read(f"date = {value} and page = 1") == (
        *("and", ("date_epoch", "==", epoch(*day))),
        ("page", "==", 1),
    )


def test_a_year_before_february_29_is_february_28() -> None:
    found = parse_where("date = today-1y", KNOWN, today=dt.date(2024, 2, 29))
    assert shape(found.filters) == ("date_epoch", "==", epoch(2023, 2, 28))


def test_a_year_is_a_range_and_days_are_looked_up_together() -> None:
    year = ("and", ("date_epoch", ">=", epoch(2023, 1, 1)), ("date_epoch", "<", epoch(2024, 1, 1)))
    assert read("date = 2023") == year
    days = ("date_epoch", "in", [epoch(2022, 1, 1), epoch(2022, 1, 2)])
    assert read("date in (2022-01-01, 2023, 2022-01-02)") == ("or", days, year)


# Mistakes

MORE = "and, or, or the end; put a value with blanks or signs in quotes"
OPERATOR = "= != < <= > >=, in or not in"


@pytest.mark.parametrize(
    ("text", "expected", "column"),
    [
        ("category", OPERATOR, 8),
        ("category is billing", OPERATOR, 9),
        ("category =", "a value", 10),
        ("category = and page > 1", "a value; to use the word and, put it in quotes", 11),
        ("category = = a", "a value", 11),
        ("= billing", "a key", 0),
        ("in = 3", "a key; to use the word in, put it in quotes", 0),
        ("category = a and", "a key", 16),
        ("category = a page = 1", MORE, 13),
        ("title = two words", MORE, 12),
        ("title = C#", MORE, 9),
        ("카테고리 = 결제 환불", MORE, 16),
        ("category = a)", MORE, 12),
        ("(category = a", "and, or, or )", 13),
        ("(category = a b)", "and, or, or )", 14),
        ("()", "a key", 1),
        ("category in ()", "a value", 13),
        ("category in (a,)", "a value", 15),
        ("category in (a b)", ", or )", 15),
        ("category in a", "( and values, as in (ko, en)", 12),
        ("category not = a", "in", 13),
        ("category = 'a", "a closing quote for this one", 11),
        ("카테고리 = “결제", "a closing quote for this one", 11),
        ("(" * 21 + "page = 1", "no more than 20 parentheses inside each other", 20),
        ("not " * 21 + "page = 1", "no more than 20 parentheses inside each other", 80),
    ],
)
def test_a_mistake_in_grammar_is_shown_at_its_place(text: str, expected: str, column: int) -> None:
    """`column` is that of the terminal, where a Korean syllable takes two."""
    caret = " " * column + "^"
    assert fault(text) == f"--where cannot be read; expected {expected}\n  {text}\n  {caret}"


KEYS = "category, code, date, draft, language, page, path, price, title, 고객_유형, 카테고리"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--where is empty; write for instance: category = billing"),
        (" \t ", "--where is empty; write for instance: category = billing"),
        (
            "categry = a",
            f"--where: no chunk has the key 'categry'; did you mean 'category'? known keys: {KEYS}",
        ),
        (
            "카테고 = a",
            f"--where: no chunk has the key '카테고'; did you mean '카테고리'? known keys: {KEYS}",
        ),
        ("zzz = a", f"--where: no chunk has the key 'zzz'; known keys: {KEYS}"),
        (
            "date > soon",
            "--where: 'soon' is no date; write 2023-06-01, 2023-06, 2023, 'March 5, 2024', "
            "today or today-30d (d, w or y)",
        ),
        (
            "category > a",
            "--where: 'category' holds no numbers, and only numbers and 'date' have an order; "
            "compare it with = != in or not in",
        ),
        (
            "page >= many",
            "--where: 'page' is put in order by numbers, and 'many' is none; write for instance "
            "page >= 10",
        ),
        (
            " or ".join(f"page = {n}" for n in range(301)),
            "--where comes to 301 comparisons; Chroma takes 300: write in (a, b) for many values "
            "of one key",
        ),
        (
            f"date not in ({', '.join(map(str, range(1980, 2010)))})",
            "--where comes to 10,958 values, a date's != being one a day; Chroma takes 10,000: "
            "name fewer",
        ),
    ],
)
def test_a_mistake_in_meaning_says_what_to_write(text: str, message: str) -> None:
    assert fault(text) == message


@pytest.mark.parametrize(
    "value",
    ["2023-13", "2023-02-30", "1899", "2101", "today-9999y", "today-999999w", "today-1m", "1y",
     "03/04/2024", "''", "today-"],
)  # fmt: skip
def test_what_is_no_date_is_refused(value: str) -> None:
    assert fault(f"date = {value}").startswith("--where: ")


def test_whatever_is_typed_is_read_or_refused() -> None:
    chance = random.Random(11)  # noqa: S311
    pieces = ["page = 1", "date < 2023", "카테고리 in (a, b)", "not", "(", ")", "and", "or"]
    pieces += ["page", "date", "today - 30d", ">=", "!=", "in", ",", "'", "1.5", "#"]
    read = 0
    for _ in range(5000):
        text = " ".join(chance.choices(pieces, k=chance.randint(1, 9)))
        try:
            read += bool(where(text).text)
        except ConfigError:
            continue
    assert read > 50


def test_keys_of_the_program_work_but_are_not_offered() -> None:
    assert read("date_epoch > 0") == ("date_epoch", ">", 0)
    assert "document_hash" not in fault("document_hesh = a")


# Numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("17", 17),
        ("-17", -17),
        ("17.0", 17),
        ("1e3", 1000),
        ("17.5", 17.5),
        ("007", 7),
        ("9007199254740993", 2**53 + 1),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), 2.0**63),
        ("9" * 5000, None),
        ("1e999", None),
        ("nan", None),
        ("1,000", None),
        ("", None),
    ],
)
def test_numbers(text: str, number: float | None) -> None:
    found = read_number(text)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price = 17", [17, 17.0]),
        ("price != 17", [-17, -17.5, 0, 17.5, 18, None]),
        ("price = 17.5", [17.5]),
        ("price != 17.5", [-17, -17.5, 0, 17, 17.0, 18, None]),
        ("price > 17.5", [18]),
        ("price >= 17.5", [17.5, 18]),
        ("price < 17.5", [-17, -17.5, 0, 17, 17.0]),
        ("price > -17.5", [-17, 0, 17, 17.0, 17.5, 18]),
        ("price <= -17.5", [-17.5]),
        ("price < 0.5", [-17, -17.5, 0]),
        ("price in (17.5, 0, 18)", [0, 17.5, 18]),
        ("price not in (17.5, 0, 18)", [-17, -17.5, 17, 17.0, None]),
    ],
)
def test_numbers_compare_as_in_arithmetic(text: str, expected: list[float | None]) -> None:
    rows = [-17, -17.5, 0, 17, 17.0, 17.5, 18, None]
    found = where(text)
    assert [row for row in rows if fits(found, {"price": row})] == expected


# The same in Chroma

VALUES: dict[str, list[Any]] = {
    "category": ["billing", "cam", "17", "two words", ""],
    "카테고리": ["결제", "환불 및 반품", "배송"],
    "page": [0, 1, 2, 17, -3, 2**53 + 1, 2**63 - 1, -(2**63)],
    "price": [17, 17.0, 17.5, -17, -17.5, 0.3, 0, 1e20, -0.5, 18, 1.1, 1, 0.1, 99.95, -1.1, -1, 99],
    "mixed": ["17", 17, 17.5, True, False, "true", "x", 1, 0.0],
    "draft": [True, False],
    "date": ["2022-12-31", "2023-01-01", "2023-06-15", "2024-02-29"],
    "tags": [["refund", "form"], ["form"], ["17"], "form", 17, None],
    "nothing": [None, "x"],
}
NUMBERS = ["17", "17.5", "-17.5", "0.3", "0", "1e20", str(2**53 + 1), "-0.5", "1", "17.0"]
NUMBERS += ["1.1", "0.1", "99.95", "-1.1"]
PERIODS = {
    "2023": ("2023-01-01", "2023-12-31"),
    "2023-06": ("2023-06-01", "2023-06-30"),
    "2023-01-01": ("2023-01-01", "2023-01-01"),
    "today": ("2024-03-05", "2024-03-05"),
    "today - 5d": ("2024-02-29", "2024-02-29"),
}

Test = Callable[[Metadata], bool]


def same(found: Any, text: str, key: str) -> bool:
    """Whether a value of the metadata is the one that is typed."""
    if isinstance(found, list):
        return text in found
    if isinstance(found, bool):
        return str(found).lower() == text.lower()
    if isinstance(found, int | float):
        # Where texts stand beside numbers, 1e20 and 17.50 are texts.
        texts = any(isinstance(value, str) for value in VALUES[key])
        return found == read_number(text) and not (texts and text == "1e20")
    return bool(found == text)


def compare(found: Any, sign: str, value: Any) -> bool:
    return bool({"<": found < value, "<=": found <= value, ">": found > value,
                 ">=": found >= value}[sign])  # fmt: skip


def holds(found: Any, sign: str, value: Any) -> bool:
    return (found == value) == (sign == "=") if sign in ("=", "!=") else compare(found, sign, value)


def random_comparison(chance: random.Random) -> tuple[str, Test]:
    """A comparison, and what it means, written without a thought for Chroma."""
    key = chance.choice(list(VALUES))
    sign = chance.choice(["=", "!=", "in", "not in", "<", "<=", ">", ">="])
    if key == "date":
        return random_date(chance, sign)
    if sign in ("<", "<=", ">", ">="):
        key = chance.choice(["page", "price", "mixed"])
        text = chance.choice(NUMBERS)
        return (
            f"{key} {sign} {text}",
            lambda row: (
                type(row.get(key)) in (int, float) and compare(row[key], sign, read_number(text))
            ),
        )
    values = [value for value in VALUES[key] if value is not None]
    texts = [str(value) for value in values if not isinstance(value, list)] + NUMBERS
    texts += ["refund", "form"]
    chosen = chance.sample(texts, chance.randint(1, 5) if "in" in sign else 1)
    quoted = ", ".join(f"'{text}'" for text in chosen)
    typed = f"{key} {sign} ({quoted})" if "in" in sign else f"{key} {sign} {quoted}"
    wanted = sign in ("=", "in")
    return typed, lambda row: any(same(row.get(key), text, key) for text in chosen) == wanted


def random_date(chance: random.Random, sign: str) -> tuple[str, Test]:
    chosen = chance.sample(list(PERIODS), chance.randint(1, 3) if "in" in sign else 1)
    if sign in ("<", "<=", ">", ">="):
        first, last = PERIODS[chosen[0]]
        bound = first if sign in ("<", ">=") else last
        return (
            f"date {sign} {chosen[0]}",
            lambda row: "date" in row and compare(row["date"], sign, bound),
        )
    typed = f"date {sign} ({', '.join(chosen)})" if "in" in sign else f"date {sign} {chosen[0]}"
    wanted = sign in ("=", "in")
    return (
        typed,
        lambda row: (
            any(PERIODS[one][0] <= row.get("date", "") <= PERIODS[one][1] for one in chosen)
            == wanted
        ),
    )


def random_filter(chance: random.Random, depth: int = 3) -> tuple[str, Test]:
    if depth == 0 or chance.random() < 0.3:
        return random_comparison(chance)
    (left, left_test), (right, right_test) = (random_filter(chance, depth - 1) for _ in range(2))
    if chance.random() < 0.5:
        return f"({left}) and ({right})", lambda row: left_test(row) and right_test(row)
    return f"({left} or {right})", lambda row: left_test(row) or right_test(row)


def random_row(chance: random.Random) -> dict[str, Any]:
    row = {key: chance.choice(values) for key, values in VALUES.items() if chance.random() < 0.7}
    if "date" in row:
        row |= date_fields({"date": row["date"]}, file_name="")
    return row


def make_index(catalog: Catalog, rows: list[dict[str, Any]]) -> VectorIndex:
    """An index of one chunk a row, whose ids are the rows' numbers."""
    model = WordModel()
    nodes = []
    for n, row in enumerate(rows):
        source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document {n % 7}")}
        node = TextNode(id_=str(n), text=f"word{n}", metadata=row, relationships=source)
        nodes.append(node)
    index = catalog.make("words", IndexInfo.of(model, Chunking(16, 4)))
    index.write(nodes, model.embed_passages([node.text for node in nodes]))
    return index


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    chance = random.Random(5)  # noqa: S311
    # Each row keeps its place: passages() orders by document and chunk_index.
    return [{"chunk_index": n, **random_row(chance)} for n in range(300)]


@pytest.fixture(scope="module")
def index(
    rows: list[dict[str, Any]], open_catalog: OpenCatalog, tmp_path_factory: pytest.TempPathFactory
) -> VectorIndex:
    return make_index(open_catalog(tmp_path_factory.mktemp("where")), rows)


@pytest.fixture
def catalog(open_catalog: OpenCatalog, tmp_path: Path) -> Catalog:
    return open_catalog(tmp_path)


def searched(index: VectorIndex, found: Where) -> list[str]:
    vector = WordModel().embed_queries(["word0"])[0]
    hits = index.search(vector, top_k=index.count(), filters=found.filters)
    return [hit.node.node_id for hit in hits]


def test_chroma_finds_what_matches_and_both_what_is_meant(
    index: VectorIndex, rows: list[dict[str, Any]]
) -> None:
    chance = random.Random(7)  # noqa: S311
    known = index.metadata_keys()
    sizes = set()
    for _ in range(400):
        text, meant = random_filter(chance)
        found = parse_where(text, known, today=TODAY)
        expected = {str(n) for n, row in enumerate(rows) if meant(row)}
        assert {str(n) for n, row in enumerate(rows) if fits(found, row)} == expected, text
        assert set(index.ids_where(found.filters)) == expected, text
        sizes.add(len(expected))
    assert len(sizes) > 100


def test_a_search_is_limited_to_what_matches(index: VectorIndex) -> None:
    chance = random.Random(9)  # noqa: S311
    known = index.metadata_keys()
    for _ in range(50):
        found = parse_where(random_filter(chance)[0], known, today=TODAY)
        hits = searched(index, found)
        assert sorted(hits) == sorted(index.ids_where(found.filters)), found.text


def test_chunks_read_back_match_as_in_chroma(index: VectorIndex) -> None:
    for text in ("document_id = 'document 3'", "document_id != 'document 3' and page > 0"):
        found = parse_where(text, index.metadata_keys(), today=TODAY)
        nodes = [node.node_id for node in index.passages().nodes if found.matches_node(node)]
        assert nodes
        assert sorted(nodes) == sorted(index.ids_where(found.filters))


def test_the_largest_filters_that_are_taken_work_in_chroma(index: VectorIndex) -> None:
    known = index.metadata_keys()
    nested = "page = 1"
    for n, word in zip(range(20), itertools.cycle(("and", "or")), strict=False):
        other = "or" if word == "and" else "and"
        nested = f"({nested} {word} page = {n} {other} page != {n})"
    many = f"page in ({', '.join(map(str, range(10_000)))})"
    wide = " or ".join(f"price = {n}.5" for n in range(150))
    for text in (nested, many, wide):
        found = parse_where(text, known, today=TODAY)
        assert sorted(searched(index, found)) == sorted(index.ids_where(found.filters))


def test_a_path_is_found_as_citations_show_it(catalog: Catalog) -> None:
    """Documents' ids are "document 0" to "document 2"."""
    rows = [{"path": f"/home/kim/document {n}", "chunk_index": 0} for n in range(3)]
    index = make_index(catalog, rows)
    nodes = index.passages().nodes
    for text, meant in {
        "path = '/home/kim/document 1'": {"1"},
        "path = 'document 1'": {"1"},
        "path != 'document 1'": {"0", "2"},
        "path in ('document 1', '/home/kim/document 2')": {"1", "2"},
        "path not in ('document 1', '/home/kim/document 2')": {"0"},
        "not path = 'document 1'": {"0", "2"},
    }.items():
        found = parse_where(text, index.metadata_keys(), today=TODAY)
        assert set(searched(index, found)) == meant, text
        assert {node.node_id for node in nodes if found.matches_node(node)} == meant


def test_a_search_with_a_filter_gives_the_nearest_of_those_that_fit(catalog: Catalog) -> None:
    rows = [{"language": "ko" if n % 3 == 0 else "en"} for n in range(30)]
    index = make_index(catalog, rows)
    korean = parse_where("lang = ko", index.metadata_keys(), today=TODAY)
    model = WordModel()
    vector = model.embed_queries(["word4 word9 word9"])[0]
    cosines = model.embed_passages([f"word{n}" for n in range(30)]) @ vector
    assert np.argmax(cosines) == 9
    hits = index.search(vector, top_k=3, filters=korean.filters)
    assert hits[0].node.node_id == "9"
    assert len(hits) == 3
    assert {hit.node.metadata["language"] for hit in hits} == {"ko"}
    assert len(index.search(vector, top_k=30, filters=korean.filters)) == 10
    nobody = parse_where("lang = fr", index.metadata_keys(), today=TODAY)
    assert index.search(vector, top_k=3, filters=nobody.filters) == []
    assert index.ids_where(nobody.filters) == []


def test_the_keys_of_an_index_and_their_types(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_app.index.store.READ_BATCH", 2)
    rows: list[dict[str, Any]] = [
        {"page": 1},
        {"page": "i", "카테고리": "결제"},
        {"draft": True},
        {"page": 1.5},
        {"x": None},
    ]
    made = make_index(catalog, rows)
    assert made.metadata_keys() == {
        "page": {int, float, str},
        "카테고리": {str},
        "draft": {bool},
        "document_id": {str},
    }
    assert catalog.make("empty", made.info).metadata_keys() == {}


FLOATS = [1.1, 0.1, 99.95, -1.1, 0.3, -0.07, 1e-5, 123456.789, 2.675, 9.9, 1 / 3, 7.5, 1, 0, -1, 99]


def test_numbers_with_fractions_are_found_in_chroma(catalog: Catalog) -> None:
    chance = random.Random(13)  # noqa: S311 - not a secret
    values = FLOATS + [round(chance.uniform(-100, 100), chance.randint(1, 6)) for _ in range(60)]
    index = make_index(catalog, [{"price": value} for value in values])
    for value in values:
        for sign in ("=", "!=", "<", "<=", ">", ">="):
            found = parse_where(f"price {sign} {value!r}", index.metadata_keys(), today=TODAY)
            expected = [str(n) for n, other in enumerate(values) if holds(other, sign, value)]
            assert sorted(index.ids_where(found.filters)) == sorted(expected), (sign, value)


def test_a_list_is_equal_to_what_it_contains(catalog: Catalog) -> None:
    rows: list[dict[str, Any]] = [{"tags": ["refund", "form"]}, {"tags": ["form"]}, {}]
    index = make_index(catalog, rows)
    expected = {
        "tags = refund": ["0"],
        "tags != refund": ["1", "2"],
        "tags in (refund, form)": ["0", "1"],
        "tags not in (refund, form)": ["2"],
        "not tags = form": ["2"],
        "tags = 'refund, form'": [],
    }
    for text, ids in expected.items():
        found = parse_where(text, index.metadata_keys(), today=TODAY)
        assert sorted(index.ids_where(found.filters)) == ids, text
        assert [str(n) for n, row in enumerate(rows) if fits(found, row)] == ids, text
    (node,) = index.get_nodes(["0"])
    assert node.metadata["tags"] == ["refund", "form"]


def test_a_number_of_json_is_found_however_it_is_typed(catalog: Catalog) -> None:
    rows: list[dict[str, Any]] = [{"price": 1.1, "ok": True}, {"price": "free", "ok": False}]
    index = make_index(catalog, rows)
    for text in ("price = 1.1", "price = 1.10", "price in (1.100, x)", "ok = true", "ok = True"):
        found = parse_where(text, index.metadata_keys(), today=TODAY)
        assert index.ids_where(found.filters) == ["0"], text
        assert [str(n) for n, row in enumerate(rows) if fits(found, row)] == ["0"], text


def test_what_is_written_with_zeros_is_found_as_written_and_has_an_order(catalog: Catalog) -> None:
    rows: list[dict[str, Any]] = [
        {"version": "1.10", "version__number": 1.1},
        {"version": 1.1},
        {"version": 1.9},
        {"version": "beta"},
    ]
    index = make_index(catalog, rows)
    expected = {
        "version = 1.10": ["0"],
        "version = 1.1": ["1"],
        "version != 1.10": ["1", "2", "3"],
        "version >= 1.1": ["0", "1", "2"],
        "version < 1.5": ["0", "1"],
        "version in (1.10, beta)": ["0", "3"],
    }
    for text, ids in expected.items():
        found = parse_where(text, index.metadata_keys(), today=TODAY)
        assert sorted(index.ids_where(found.filters)) == ids, text
        assert [str(n) for n, row in enumerate(rows) if fits(found, row)] == ids, text
