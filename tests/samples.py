"""A part of the sample data, for tests that run whole commands on it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from conftest import ROOT

FOLDERS = ("account", "billing", "orders", "returns")


def copy_data(target: Path) -> None:
    """What stands for `data` of a clone: of both languages the table and four of the folders."""
    shutil.copytree(ROOT / "data" / "ci", target / "ci")
    for language in ("en", "ko"):
        copy_sample(language, target / language, FOLDERS)
        shutil.copy(ROOT / "data" / language / "faq.csv", target / language)


def copy_sample(language: str, target: Path, folders: Sequence[str]) -> None:
    """Folders of a sample, and the questions about their documents."""
    sample = ROOT / "data" / language
    for name in folders:
        shutil.copytree(sample / name, target / name)
    lines = (sample / "questions.jsonl").read_text("utf-8").splitlines(keepends=True)
    about = [line for line in lines if json.loads(line)["document"].split("/")[0] in folders]
    (target / "questions.jsonl").write_text("".join(about), "utf-8")
