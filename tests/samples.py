"""A part of the sample data, for tests that run whole commands on it."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from conftest import ROOT

FOLDERS = ("account", "billing", "orders", "returns")


def copy_data(target: Path) -> None:
    """What stands for `data` of a clone: of both languages the table and four of the folders."""
    shutil.copytree(ROOT / "data" / "ci", target / "ci")
    for language in ("en", "ko"):
        copy_sample(language, target / language, FOLDERS)
        shutil.copy(ROOT / "data" / language / "faq.csv", target / language)


def copy_sample(language: str, target: Path, folders: Collection[str]) -> None:
    """Folders of a sample, and the questions about their documents."""
    sample = ROOT / "data" / language
    for name in folders:
        shutil.copytree(sample / name, target / name)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in questions(language, folders))
    (target / "questions.jsonl").write_text("".join(lines), "utf-8")


def questions(language: str, folders: Collection[str]) -> list[dict[str, Any]]:
    """The labelled questions about the documents of these folders."""
    path = ROOT / "data" / language / "questions.jsonl"
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return [row for row in rows if row["document"].split("/")[0] in folders]
