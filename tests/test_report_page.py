"""The page and its twin: nothing from outside, nothing of a document is obeyed, small."""

import base64
import hashlib
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_runs import make_evaluate, make_finetune, outcomes, passage

from rag_app.evaluate.scoring import write_outcomes
from rag_app.report.questions import LISTED
from rag_app.report.write import write_report

EVIL = "<script>alert(1)</script></textarea>\"'><img src=x onerror=alert(2)>&lt; | @you `x` #1"
VOID = {"meta", "line", "rect", "circle", "polyline", "polygon", "input", "br"}


class Page(HTMLParser):
    """Tags with their attributes, and all text; refuses what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Page and twin of a run whose every text is hostile."""
    passages = [
        passage(chunk, title=EVIL, text=EVIL, document=EVIL, category=f"{EVIL}{chunk}")
        for chunk in ("r0", "r1", "w1")
    ]
    second = [{"question_id": "q0", "found": "w1", "right": "r0", "kind": "near-duplicate"}]
    collection = {
        "indexes": [{"name": EVIL, "model": EVIL}],
        "near_duplicates": {"groups": 1, "named": [[EVIL, EVIL]]},
        "second_answers": second,
    }
    run = make_finetune(
        *(tmp_path_factory.mktemp("evil") / "run", [2, 1], [None, 1]),
        questions=[EVIL, "plain"],
        passages=passages,
        collection=collection,
        base_model=EVIL,
        reason=EVIL,
        unmatched=1,
        unmatched_example=EVIL,
        options={"loss": EVIL},
    )
    written = write_report(run, command=f"rag-app finetune --pairs '{EVIL}'")
    return written.html.read_text("utf-8"), written.markdown.read_text("utf-8")


def test_a_browser_obeys_no_document(evil: tuple[str, str]) -> None:
    page = Page(evil[0])
    assert len(page.named("script")) == 1
    assert page.named("img") == []
    assert page.named("textarea") == []
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert sum(EVIL in text for text in page.text) >= 8


def test_the_policy_lets_only_the_page_s_own_script_and_styles_run(evil: tuple[str, str]) -> None:
    page = Page(evil[0])
    [policy] = [
        one["content"] for one in page.named("meta") if one.get("http-equiv", "").startswith("Con")
    ]
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", evil[0], re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [one for _, one in page.tags if "style" in one]


def test_the_page_asks_nothing_of_the_network(evil: tuple[str, str]) -> None:
    page = Page(evil[0])
    links = [one[key] for _, one in page.tags for key in ("src", "href") if key in one]
    assert links
    assert all(link.startswith("#part-") for link in links)
    ids = [one["id"] for _, one in page.tags if "id" in one]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert not re.search(r"https?:|url\(|@import", evil[0])


def test_markdown_means_nothing_of_a_document(evil: tuple[str, str]) -> None:
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", evil[1], flags=re.DOTALL | re.MULTILINE)
    tags = set(re.findall(r"<(/?\w+)", outside))
    assert tags == {"details", "/details", "summary", "/summary"}
    assert "@you" not in outside
    assert re.search(r"&lt;script&gt;alert\(1\)", outside)
    for line in outside.splitlines():
        if line.startswith("| ---"):
            columns = line.count("|")
        elif line.startswith("|"):
            bars = len(re.findall(r"(?<!\\)\|", line))
            assert bars >= 2
    assert columns >= 2


def test_a_page_reads_without_its_script(tmp_path: Path) -> None:
    text = write_report(make_finetune(tmp_path / "run", [2, 1, 9], [1, 1, 3])).html.read_text()
    page = Page(text)
    [form] = page.named("form")
    assert "hidden" in form
    assert not any("hidden" in one for one in page.named("li"))
    ranks = [(one["data-b"], one["data-a"]) for one in page.named("li") if "data-b" in one]
    assert ranks == [("9", "3"), ("2", "1"), ("1", "1")]
    assert 'lang="en"' in text
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    assert "width=device-width" in text
    # Every picture says what it shows, and every control what it is.
    assert all(one.get("aria-label") for one in page.named("svg"))
    assert len(page.named("label")) == len(page.named("input")) + len(page.named("select"))


def test_markdown_has_the_same_parts(tmp_path: Path) -> None:
    run = make_finetune(tmp_path / "run", [2, 9], [1, None], passages=[passage("r1")])
    text = write_report(run).markdown.read_text("utf-8")
    assert text.startswith("# tiny, tuned\n\n**Hold:** mrr@10 went from .306 to .500 (")
    assert "## Base against tuned\n" in text
    assert "| hit@1 | .000 \\[.000, .000\\] | .500 \\[.000, 1.000\\] |" in text
    assert "1 still missed:\n" in text
    assert "| question 1 | Title r1 |" in text
    assert "| 9 | not found |" in text


@pytest.mark.parametrize("letter", ["환", '"'])
def test_a_thousand_long_questions_are_less_than_two_megabytes(tmp_path: Path, letter: str) -> None:
    count = 1_000
    asked = [f"{n} " + letter * 400 for n in range(count)]
    long = letter * 239
    passages = [passage(f"r{n}", title=long, text=long) for n in range(count)]
    passages += [passage(f"w{n}", title=long, text=long) for n in range(1, 21)]
    ranks = [n % 20 + 1 for n in range(count)]
    run = make_finetune(tmp_path / "run", ranks, ranks[::-1], questions=asked, passages=passages)
    written = write_report(run)
    assert written.html.stat().st_size < 2_000_000
    assert "not listed; all are in the run" in written.html.read_text("utf-8")


def test_usual_questions_are_all_listed(tmp_path: Path) -> None:
    asked = [f"{n}: how long may I take to send the parcel back?" for n in range(1_000)]
    text = "You have thirty days from delivery. " * 7
    passages = [passage(f"r{n}", text=text) for n in range(1_000)]
    passages += [passage(f"w{n}", text=text) for n in range(1, 21)]
    ranks = [n % 20 + 1 for n in range(1_000)]
    run = make_finetune(tmp_path / "run", ranks, ranks[::-1], questions=asked, passages=passages)
    written = write_report(run)
    page = written.html.read_text("utf-8")
    assert page.count("<li data-b=") == 1_000
    assert "not listed" not in page
    assert written.html.stat().st_size < 2_000_000


@pytest.mark.slow
def test_of_many_questions_the_most_telling_are_listed_at_once(tmp_path: Path) -> None:
    count = 20_000
    run = make_evaluate(tmp_path / "run", {"exact": [1, 2]})
    # Resampling so many clusters for a summary would take minutes; the report does not.
    write_outcomes(run / "exact.jsonl", outcomes([n % 20 + 1 for n in range(count)]))
    started = time.process_time()
    written = write_report(run)
    assert time.process_time() - started < 30
    page = written.html.read_text("utf-8")
    assert page.count("<li data-b=") == LISTED
    assert "19,000 further questions not listed" in page
    assert len(page.encode()) < 2_000_000
