"""The page and the reports in a real browser: used by a reader, held against axe's rules."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("starlette")

from axe_playwright_python.sync_playwright import Axe
from fakes import WordModel
from llama_index.core.schema import Document
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from report_runs import make_evaluate, make_finetune, make_sweep
from served import PASSAGES, documents, running

from rag_app import ingest
from rag_app.index import Workspace
from rag_app.report.write import write_report
from rag_app.serve.asked import Serving
from rag_app.serve.service import Service
from rag_app.serve.site import build_site

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = (
    "Invoices are sent <script>document.title='owned'</script> within five days. "
    '<img src=x onerror="document.title=1">'
)
Scheme = Literal["light", "dark"]
# As long as a busy machine may take.
expect.set_options(timeout=30_000)
# What of figures lies outside them, by more than a pixel.
CUT_OFF = """[...document.querySelectorAll("figure > .wide")].flatMap(wide => {
    const frame = wide.getBoundingClientRect()
    return [...wide.querySelectorAll("text")].filter(text => {
        const box = text.getBoundingClientRect()
        return box.left < frame.left - 1 || box.right > frame.right + 1
    }).map(text => text.textContent)
})"""
LOOKS: list[tuple[Scheme, int]] = [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or what the machine has of it."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    hostile = Document(id_="invoices", text=HOSTILE, metadata={"category": "money"})
    table = folder / "faq.csv"
    table.write_text("question,answer\nMay I pay by card?,Any card is taken.\n", "utf-8")
    for each in ([*documents(), hostile], [table]):
        ingest(each, storage=folder, embedder=WordModel(), chunk_overlap=0)
    made = make_evaluate(folder / "results" / "three", {"exact": [1, 2, 3]})
    write_report(made)
    return folder


@pytest.fixture(scope="module")
def url(storage: Path) -> Iterator[str]:
    service = Service(Workspace(storage, embedder=WordModel()), Serving())
    with running(build_site(service, storage / "results")) as address:
        yield address


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new window; an error of a script in it fails the test."""
    window = browser.new_page()
    errors: list[str] = []
    window.on("pageerror", lambda error: errors.append(str(error)))
    yield window
    window.close()
    assert errors == []


def ask(page: Page, question: str) -> None:
    page.get_by_role("textbox", name="Question").fill(question)
    page.get_by_role("textbox", name="Question").press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("passages from")


def check_accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_question_brings_passages_with_the_evidence_marked(page: Page, url: str) -> None:
    page.goto(url)
    ask(page, "refunds are paid within five days")
    first = page.get_by_role("listitem").first
    expect(first.get_by_role("heading")).to_have_text("1. Refunds")
    expect(first.locator("mark").first).to_have_text("Refunds are paid within five days.")
    first.get_by_text("in its document").click()
    expect(first.locator(".around")).to_contain_text(PASSAGES["refunds"])


def test_a_row_without_a_title_is_called_by_its_question(page: Page, url: str) -> None:
    page.goto(url)
    ask(page, "may i pay by card")
    heading = page.get_by_role("heading", name="May I pay by card? (row 2)")
    expect(heading).to_have_count(1)


def test_a_question_may_come_before_the_page_is_ready(page: Page, url: str) -> None:
    about: list[Route] = []
    page.route("**/about", lambda route: about.append(route))
    page.goto(url)
    page.get_by_role("textbox", name="Question").fill("refunds are paid")
    page.get_by_role("textbox", name="Question").press("Enter")
    expect(page.locator("#told")).to_have_text("looking ...")
    about[0].continue_()
    expect(page.locator("#told")).to_contain_text("passages from")
    expect(page.locator("#about")).to_contain_text("chunks")


def test_a_filter_leaves_what_it_names(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Metadata").select_option("category")
    page.locator("#filter-value").fill("shop")
    ask(page, "open from nine to six")
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_label("or a filter in words").fill("category ==")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#told.bad")).not_to_be_empty()


def test_a_judgement_is_kept_as_a_pair(page: Page, url: str, storage: Path) -> None:
    page.goto(f"{url}/?q=refunds+are+paid")
    first = page.get_by_role("listitem").first
    good = first.get_by_role("button", name="answers it")
    good.click()
    expect(first.get_by_role("status")).to_have_text("1 pairs kept")
    expect(good).to_have_attribute("aria-pressed", "true")
    [kept] = (storage / "feedback" / "feedback.jsonl").read_text("utf-8").splitlines()
    assert json.loads(kept)["question"] == "refunds are paid"


def test_runs_are_listed_and_their_reports_opened(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_text("Runs and reports").click()
    page.get_by_role("link", name="three").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_markup_in_a_document_is_shown_as_text(page: Page, url: str) -> None:
    page.goto(url)
    ask(page, "invoices are sent")
    expect(page.get_by_role("listitem").first.locator(".text")).to_have_text(HOSTILE)
    expect(page).to_have_title("rag-app")
    expect(page.locator("main :is(img, script)")).to_have_count(0)
    expect(page.get_by_role("listitem").first.locator("mark")).not_to_be_empty()


@pytest.mark.parametrize("width", [1280, 400])
def test_labels_of_a_row_stand_at_one_height(page: Page, url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(url)
    # Labels end where their fields end; those of a row end at one place.
    tops = page.evaluate(
        """Object.values(Object.groupBy(
            [...document.querySelectorAll("#ask label")].map(one => one.getBoundingClientRect()),
            box => Math.round(box.bottom),
        )).map(row => row.map(box => box.top))"""
    )
    assert max(map(len, tops)) > 1
    assert [max(row) - min(row) for row in tops] == [0] * len(tops)


def test_what_breaks_axes_rules_is_found(page: Page) -> None:
    page.set_content("<p style='color: #ccc'>hardly to be read</p>")
    with pytest.raises(AssertionError, match="color-contrast"):
        check_accessible(page)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_page_keeps_axes_rules(browser: Browser, url: str, scheme: Scheme, width: int) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    page.goto(url)
    check_accessible(page)
    ask(page, "refunds are paid within five days")
    page.get_by_text("Runs and reports").click()
    expect(page.get_by_role("link", name="three")).to_be_visible()
    check_accessible(page)
    # Nothing is cut off at the side of a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("reports")
    runs = [
        make_finetune(folder / "tuned", [2, 1, None, 3], [1, 1, 4, None]),
        make_evaluate(folder / "asked", {"exact": [1, 2, 3], "hybrid:0.7": [1, 1, 2]}),
        make_sweep(folder / "swept", {(128, "vector"): [1, 2, 3], (256, "vector"): [1, 1, 2]}),
    ]
    return [write_report(run).html for run in runs]


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_reports_keep_axes_rules(
    browser: Browser, reports: list[Path], scheme: Scheme, width: int
) -> None:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
    for report in reports:
        page.goto(report.as_uri())
        check_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Figures are as narrow as the window, and no word of theirs is cut off.
        assert page.evaluate(CUT_OFF) == []
    page.close()
