"""Recency: what is old loses by a stated rule, and no candidate is lost."""

import datetime as dt
import itertools
import json
from pathlib import Path

import pytest
from llama_index.core.schema import (
    Document,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)

from rag_app.documents import read_documents
from rag_app.errors import ConfigError
from rag_app.retrieve.recency import date_of, parse_recency
from rag_app.retrieve.versions import Wording, undated

DATA = Path(__file__).parents[1] / "data"
TODAY = dt.date(2025, 6, 30)
FORMS = (
    "write 'cutoff 365d', 'half-life 90d' or 'latest', "
    "an age in d (days), w (weeks), m (30 days) or y (365 days)"
)
REFUSED = {
    "": "there is no recency ''",
    "newest": "there is no recency 'newest'",
    "90d": "there is no recency '90d'",
    "halflife 90d": "there is no recency 'halflife 90d'",
    "cutoff": "recency 'cutoff' needs an age",
    "half-life": "recency 'half-life' needs an age",
    "cutoff 90": "recency 'cutoff' needs an age of a day or more, found '90'",
    "cutoff -90d": "recency 'cutoff' needs an age of a day or more, found '-90d'",
    "cutoff 1.5y": "recency 'cutoff' needs an age of a day or more, found '1.5y'",
    "half-life 0d": "recency 'half-life' needs an age of a day or more, found '0d'",
    "half-life 90 days": "recency 'half-life' needs an age of a day or more, found '90 days'",
    "half-life 9999999999d": (
        "recency 'half-life' needs an age of a day or more, found '9999999999d'"
    ),
    "latest 90d": "recency 'latest' takes no age, found '90d'",
}


def hit(name: str, score: float | None, age: int | None = None) -> NodeWithScore:
    """A passage of so many days; without a date if that is None."""
    metadata = {} if age is None else {"date": (TODAY - dt.timedelta(days=age)).isoformat()}
    return NodeWithScore(node=TextNode(id_=name, text=name, metadata=metadata), score=score)


def version(
    document: str, *, title: str = "", text: str = "", date: str = "", score: float = 0.5
) -> NodeWithScore:
    """A passage of a document with a title and a date."""
    metadata = {key: value for key, value in {"title": title, "date": date}.items() if value}
    node = TextNode(id_=document, text=text or "what we charge for postage", metadata=metadata)
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return NodeWithScore(node=node, score=score)


def ranked(policy: str, *hits: NodeWithScore) -> list[tuple[str, float | None]]:
    """Ids and scores after a policy."""
    changed = parse_recency(policy, today=TODAY).postprocess_nodes(list(hits))
    return [(one.node.node_id, one.score) for one in changed]


def order(policy: str, *hits: NodeWithScore) -> str:
    """Ids after a policy, as one word."""
    return "".join(name for name, _ in ranked(policy, *hits))


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_recency(text, today=TODAY)
    assert str(refused.value) == f"{REFUSED[text]}; {FORMS}"


@pytest.mark.parametrize(
    ("text", "days"), [("5d", 5), ("2w", 2 * 7), ("3m", 3 * 30), ("2y", 2 * 365), ("5 d", 5)]
)
def test_units(text: str, days: int) -> None:
    assert parse_recency(f"cutoff {text}", today=TODAY).days == days
    assert parse_recency(f"half-life {text}", today=TODAY).days == days


def test_written_forms() -> None:
    forms = ["  Half-Life   90D ", "half-life:90d", "LATEST", "cutoff 1y"]
    texts = [parse_recency(form, today=TODAY).text for form in forms]
    assert texts == ["half-life 90d", "half-life 90d", "latest", "cutoff 1y"]


@pytest.mark.parametrize("policy", ["cutoff 90d", "half-life 90d", "latest"])
def test_nothing_in_nothing_out(policy: str) -> None:
    assert ranked(policy) == []


@pytest.mark.parametrize("policy", ["cutoff 90d", "half-life 90d", "latest"])
def test_no_candidate_is_lost_and_none_is_changed(policy: str) -> None:
    hits = [hit(f"{i}", 1 - i / 10, age) for i, age in enumerate([400, None, 0, 91, 90, -5])]
    assert sorted(order(policy, *hits)) == list("012345")
    assert [one.score for one in hits] == [1 - i / 10 for i in range(6)]


def test_half_life_of_equal_scores() -> None:
    found = ranked("half-life 90d", hit("c", 7, 180), hit("b", 7, 90), hit("a", 7, 0))
    assert found == [("a", 1), ("b", 1 / 2), ("c", 1 / 4)]


def test_half_life_against_score() -> None:
    # Scores 3 and 1: the deviation is 1, the worse one 2 deviations behind, 16 half-lives.
    best, worse = hit("a", 3, 90 * 15), hit("b", 1, 0)
    assert ranked("half-life 90d", best, worse) == [("a", 2**-15), ("b", 2**-16)]
    best = hit("a", 3, 90 * 17)
    assert ranked("half-life 90d", best, worse) == [("b", 2**-16), ("a", 2**-17)]


def test_half_life_is_the_same_on_any_scale() -> None:
    scores, ages = (4, 2, 1, 1, 0), (900, 0, 100, 200, 30)
    plain = [hit("abcde"[i], s, age) for i, (s, age) in enumerate(zip(scores, ages, strict=True))]
    moved = [
        hit(one.node.node_id, 8 * one.score - 100, age)
        for one, age in zip(plain, ages, strict=True)
    ]
    assert ranked("half-life 90d", *moved) == ranked("half-life 90d", *plain)


def test_half_life_without_a_date_is_of_median_age() -> None:
    hits = [hit("a", 1, 0), hit("b", 1, 90), hit("c", 1, 360), hit("x", 1)]
    assert ranked("half-life 90d", *hits) == [("a", 1), ("b", 1 / 2), ("x", 1 / 2), ("c", 1 / 16)]
    assert ranked("half-life 90d", hit("y", 1), hit("x", 1)) == [("y", 1), ("x", 1)]


def test_half_life_of_a_date_to_come_is_that_of_today() -> None:
    found = ranked("half-life 90d", hit("a", 1, 0), hit("b", 1, -900), hit("c", 1, 0))
    assert found == [("a", 1), ("b", 1), ("c", 1)]


def test_half_life_orders_what_rounds_to_nothing() -> None:
    assert ranked("half-life 1d", hit("a", 1, 9000), hit("b", 1, 8000)) == [("b", 0), ("a", 0)]


def test_half_life_takes_no_score_for_zero() -> None:
    assert order("half-life 90d", hit("a", None, 90), hit("b", 0, 0)) == "ba"


def test_cutoff_moves_the_older_ones_behind() -> None:
    hits = [hit("a", 0.9, 366), hit("b", 0.8, 365), hit("c", 0.6, 400), hit("d", 0.5, 1)]
    found = ranked("cutoff 365d", *hits)
    assert [name for name, _ in found] == ["b", "d", "a", "c"]
    # What goes behind loses 0.9 - 0.5.
    assert [score for _, score in found] == pytest.approx([0.8, 0.5, 0.5, 0.2])


def test_cutoff_keeps_what_has_no_date_and_what_is_to_come() -> None:
    assert order("cutoff 1d", hit("a", 3, 2), hit("b", 2), hit("c", 1, -2)) == "bca"


def test_cutoff_leaves_a_ranking_that_is_all_old_or_all_new() -> None:
    old = [hit("a", 2, 10), hit("b", 1, 20)]
    assert ranked("cutoff 9d", *old) == [("a", 2), ("b", 1)]
    assert ranked("cutoff 20d", *old) == [("a", 2), ("b", 1)]


def test_latest_puts_newer_versions_before_the_older_one() -> None:
    hits = [
        version("1", title="Postage until 31 August 2022", date="2019-01-01", score=4),
        version("2", title="Returns", date="2015-01-01", score=3),
        version("3", title="Postage from 1 September 2022", date="2022-09-01", score=2),
        version("4", title="Postage (2020)", date="2020-01-01", score=1),
    ]
    # The scores stay in their places.
    assert ranked("latest", *hits) == [("3", 4), ("4", 3), ("1", 2), ("2", 1)]


def test_latest_needs_two_dates_of_which_one_is_newer() -> None:
    dated = version("1", title="Postage", date="2020-01-01")
    same = version("2", title="Postage", date="2020-01-01")
    undated_ = version("3", title="Postage")
    assert order("latest", dated, undated_, same) == "132"
    assert order("latest", undated_, dated, same) == "312"
    newer = version("4", title="Postage", date="2020-01-02")
    assert order("latest", newer, undated_, dated) == "431"


def test_latest_leaves_the_passages_of_one_document() -> None:
    dates = {"2020-01-01": 2, "2024-01-01": 1}
    hits = [version("1", title="Postage", date=date, score=dates[date]) for date in dates]
    assert ranked("latest", *hits) == [("1", 2), ("1", 1)]


def test_latest_leaves_other_titles_and_other_texts() -> None:
    hits = [
        version("1", title="Filters of Air 1", date="2020-01-01"),
        version("2", title="Filters of Air 2", date="2024-01-01"),
        version("3", title="News", date="2019-01-01", text="the shop in the harbour opens"),
        version("4", title="News", date="2023-01-01", text="a robot that mops"),
    ]
    assert order("latest", *hits) == "1234"


def test_latest_without_titles_asks_for_nearly_the_same_text() -> None:
    text = "parcels on Saturday cost {} dollars more and come before noon"
    hits = [
        version("1", date="2020-01-01", text=text.format(5)),
        version("2", date="2024-01-01", text=text.format(8)),  # 10 of 12 words are common
        version("3", date="2019-01-01", text="parcels on Saturday come at noon"),
    ]
    assert order("latest", *hits) == "213"


def test_latest_asks_for_nearly_the_same_text_where_one_has_no_title() -> None:
    hits = [
        version("1", title="Postage", date="2020-01-01"),
        version("2", title="Returns", date="2021-01-01"),
        version("3", date="2022-01-01"),
        version("4", title="Postage", date="2023-01-01"),
    ]
    # What has a title is no version of another title's, though all texts are the same.
    assert order("latest", *hits) == "4312"
    assert order("latest", *hits[1:]) == "324"
    assert order("latest", hits[2], hits[1], hits[3]) == "432"


def test_dates_of_passages() -> None:
    def date(**metadata: object) -> dt.date | None:
        return date_of(TextNode(text="", metadata=metadata))

    day = dt.date(2024, 3, 5)
    assert date(date_epoch=1709596800) == date(date_epoch=1709596800 + 86399) == day
    assert date(date="2024-03-05") == date(date="2024-03-05", date_epoch="soon") == day
    assert date(date_epoch=-86400) == dt.date(1969, 12, 31)
    assert date(date="2024-03-05", date_epoch=10**15) == day
    assert date() is date(date="") is date(date_raw="some day") is None


def test_notes_for_the_trace() -> None:
    hits = [hit("a", 2, 400), hit("b", 1, 30), hit("c", 0)]
    notes = {
        "cutoff 1y": "cutoff 1y: 1 of 3 passages moved behind",
        "latest": "latest: 0 of 3 passages moved up before an older version",
        "half-life 2w": "half-life 2w: scores halve every 14 days, ages 30 to 400 days",
    }
    for policy, note in notes.items():
        recency = parse_recency(policy, today=TODAY)
        assert recency.note(hits, recency.postprocess_nodes(hits)) == note
    dateless = [hit("a", 1)]
    note = parse_recency("half-life 90d", today=TODAY).note(dateless, dateless)
    assert note == "half-life 90d: scores halve every 90 days, no passage has a date"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shipping until 31 August 2022", "Shipping from 1st September, 2022"),
        ("Fees (valid until Dec. 31, 2023)", "Fees (effective from January 2024)"),
        ("Fees (until 30 Sept. 2023)", "Fees (from Oct 1, 2023)"),
        ("Handbook 2022", "Handbook 2023/24"),
        ("Report Q3 2023", "Report 2024 Q1"),
        ("Guest codes (firmware 2, until 2024-10-14)", "Guest codes (firmware 3.1)"),
        ("API version 2", "API v3.0.1"),
        ("반품 가능 기간 (2024년 1월 14일까지 주문)", "반품 가능 기간 (2024년 1월 15일부터 주문)"),
        ("영상 보관 기간 (2025년 2월 28일까지 녹화분)", "영상 보관 기간 (2025. 3. 1. 녹화분부터)"),
        ("SD 카드 (펌웨어 2.x, 2024년까지)", "SD 카드 (펌웨어 3.0부터, 2024년 10월 이후)"),
    ],
)
def test_titles_of_two_versions(one: str, other: str) -> None:
    old, new = version("1", title=one), version("2", title=other)
    assert Wording.of(old.node).is_version_of(Wording.of(new.node))


def test_numbers_and_words_that_are_no_date_stay_in_a_title() -> None:
    for title in (
        "Air 1 or Air 2",
        "Order before delivery",
        "May I return it?",
        "Error 20400",
        "Decent jars",
    ):
        assert undated(title) == title


def wording_of(document: Document) -> Wording:
    node = TextNode(text=document.text, metadata=document.metadata)
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document.doc_id)
    return Wording.of(node)


# The one policy of 15 whose old and new version go by different titles.
@pytest.mark.parametrize(
    ("language", "missed"), [("en", "privacy/data-request"), ("ko", "account/dormant")]
)
def test_versions_in_the_sample_documents(language: str, missed: str) -> None:
    lines = (DATA / language / "questions.jsonl").read_text("utf-8").splitlines()
    asked = [question for question in map(json.loads, lines) if "depends_on" in question]
    policies = sorted({q["document"] for q in asked if q["depends_on"] == "date"})
    versions = set(zip(policies[::2], policies[1::2], strict=True))
    wordings = [wording_of(document) for document in read_documents([DATA / language]).documents]
    found = {
        tuple(sorted(each.document.removeprefix(f"{language}/") for each in pair))
        for pair in itertools.combinations(wordings, 2)
        if pair[0].is_version_of(pair[1])
    }
    assert len(versions) == 15
    assert found == {pair for pair in versions if not pair[0].startswith(missed)}


def test_latest_on_sample_documents() -> None:
    names = [
        "orders/free-shipping-until-august-2022.md",
        "orders/delivery-times.md",
        "orders/free-shipping-from-september-2022.md",
        "air/air-1-replace-filter.md",
        "air/air-2-replace-filter.md",
    ]
    hits = []
    for place, name in enumerate(names):
        (document,) = read_documents([DATA / "en" / name]).documents
        hits.append(NodeWithScore(node=document, score=1 - place / 10))
    found = parse_recency("latest", today=TODAY).postprocess_nodes(hits)
    assert [one.node for one in found] == [hits[i].node for i in (2, 0, 1, 3, 4)]
