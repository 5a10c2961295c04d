"""The documents as a site: every link leads somewhere, and nothing is loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

pytest.importorskip("material", reason="the extra `docs` is not installed")

SITE: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
BUILD = [sys.executable, "-m", "mkdocs", "build", "--strict"]


def build(config: Path, into: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["--config-file", str(config), "--site-dir", str(into)]
    return subprocess.run([*BUILD, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", into)
    assert done.returncode == 0, done.stderr
    return into


def listed(nav: Any) -> list[str]:
    """The pages of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for one in nav for part in one.values() for page in listed(part)]


@pytest.mark.slow
def test_every_page_is_in_the_navigation_and_built(site: Path) -> None:
    made = {"index.md", "index.ko.md"}
    written = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert set(listed(SITE["nav"])) == made | written
    for page in listed(SITE["nav"]):
        name = page.removesuffix(".md")
        folder = site if name == "index" else site / name
        assert (folder / "index.html").is_file(), page


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        tags = re.findall(r"<(?:script|img|iframe|source)[^>]*>|<link[^>]*>", text)
        loads = [tag for tag in tags if re.search(r'(?:src|href)="?(?:https?:)?//', tag)]
        assert loads == [], page
        # With it Material's script asks GitHub's API for stars.
        assert 'data-md-component="source"' not in text, page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text("utf-8")), sheet


@pytest.mark.slow
def test_links_of_the_readme_stay_in_the_site_or_go_to_the_repository(site: Path) -> None:
    start = (site / "index.html").read_text("utf-8")
    repository = SITE["extra"]["repository"]
    assert 'href="guide/"' in start
    assert f'href="{repository}/blob/main/eval/results/tuning_quality.json"' in start
    assert 'src="eval/results/experiment_2023_jhu.png"' in start
    assert (site / "eval" / "results" / "experiment_2023_jhu.png").is_file()
    # A bar in a table's code is written with a backslash, which is not shown.
    assert "<code>--method full|lora|adapter</code>" in (site / "guide/index.html").read_text()


@pytest.mark.slow
def test_what_leads_nowhere_fails(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(
        "# A\n\n[page](gone.md) [anchor](#gone) [file](../eval/gone.json) [here](#a)\n", "utf-8"
    )
    own = {key: value for key, value in SITE.items() if key not in {"nav", "docs_dir"}}
    own["hooks"] = ["hooks.py"]
    # The README's own pages are not what is asked for here.
    hooks = (ROOT / "docs" / "mkdocs_hooks.py").read_text("utf-8")
    without = re.sub(r"PAGES = \{.*?\}", "PAGES: dict[str, str] = {}", hooks)
    (tmp_path / "hooks.py").write_text(without, "utf-8")
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(own), "utf-8")
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    for link in ("gone.md", "#gone", "../eval/gone.json"):
        assert link in done.stderr
    assert "'#a'" not in done.stderr
