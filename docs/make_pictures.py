"""Make docs/images/page.png, report-light.png and report-dark.png with Chromium.

    python docs/make_pictures.py [--storage storage/demo]

Of a storage whose newest tuning went into service, as `make demo` leaves one: the page that
`rag-app serve` opens, asked the demo's question of base and tuned, and the top of the report.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, expect, sync_playwright

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs/images"
QUESTION = "My Air 2 makes a clicking sound every few hours, does it need repair?"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", type=Path, default=ROOT / "storage/demo")
    storage = parser.parse_args().storage
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        make_report_pictures(browser, storage)
        make_page_picture(browser, storage)
        browser.close()


def make_report_pictures(browser: Browser, storage: Path) -> None:
    """The top of the newest tuning's report, light and dark."""
    done = subprocess.run(
        rag_app("report", "finetune", storage), check=True, capture_output=True, text=True
    )
    report = Path(json.loads(done.stdout)["html"]).resolve()
    for scheme in SCHEMES:
        page = browser.new_page(color_scheme=scheme, viewport={"width": 960, "height": 1200})
        page.goto(report.as_uri())
        page.screenshot(path=TARGET / f"report-{scheme}.png")


def make_page_picture(browser: Browser, storage: Path) -> None:
    """The page with a question and its passages, base beside tuned."""
    asked = [*rag_app("serve", "", storage), "--port", "0", "--llm", "none"]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        url = json.loads(server.stdout.readline())["url"]
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.goto(url)
        page.get_by_label("Passages").fill("3")
        page.get_by_label("Beside").select_option("base/tuned")
        page.get_by_role("textbox", name="Question").fill(QUESTION)
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("listitem")).to_have_count(6, timeout=60_000)
        page.screenshot(path=TARGET / "page.png")
        server.terminate()


def rag_app(command: str, name: str, storage: Path) -> list[str]:
    """A command of this environment that prints JSON."""
    given = [name] if name else []
    return [sys.executable, "-m", "rag_app", command, *given, "--storage", str(storage), "--json"]


if __name__ == "__main__":
    main()
