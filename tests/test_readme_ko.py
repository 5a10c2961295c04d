"""README.ko.md says what README.md says: headings, commands and figures are the same ones."""

import re
from itertools import zip_longest

from conftest import ROOT

ENGLISH = (ROOT / "README.md").read_text("utf-8")
KOREAN = (ROOT / "README.ko.md").read_text("utf-8")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Digits with what belongs to them: .503, 2,048, +.040, 95; dashes of dates and ranges are none.
NUMBER = re.compile(r"(?<![\w.])[+-]?\.?\d[\d,.]*\d|(?<![\w.])[+-]?\.?\d")


def levels(text: str) -> list[int]:
    """Depth of each heading, in order."""
    return [len(mark) for mark in re.findall(r"^(#+) ", FENCED.sub("", text), re.MULTILINE)]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Marked and indented blocks, with what is no comment in them."""
    marked = [(mark, _code(block)) for mark, block in FENCED.findall(text)]
    indented = re.findall(r"(?:^    \S.*\n)+", FENCED.sub("", text), re.MULTILINE)
    return marked + [("", _code(block)) for block in indented]


def _code(block: str) -> list[str]:
    return [re.sub(r"\s+# .*", "", line).rstrip() for line in block.splitlines()]


def rows(text: str) -> list[list[str]]:
    """The numbers of each row of each table."""
    return [NUMBER.findall(line) for line in text.splitlines() if line.startswith("|")]


def sections(text: str) -> list[list[str]]:
    """The numbers of each section, in whatever order the language has them."""
    plain = re.sub(r"\]\([^)]*\)|<!--.*?-->", "]", FENCED.sub("", text), flags=re.DOTALL)
    return [sorted(NUMBER.findall(part)) for part in re.split(r"^#+ ", plain, flags=re.MULTILINE)]


def test_headings_are_the_same() -> None:
    assert levels(KOREAN) == levels(ENGLISH)


def test_commands_are_the_same() -> None:
    assert commands(KOREAN) == commands(ENGLISH)


def test_rows_of_tables_have_the_same_figures() -> None:
    assert rows(KOREAN) == rows(ENGLISH)


def test_sections_have_the_same_figures() -> None:
    for korean, english in zip_longest(sections(KOREAN), sections(ENGLISH)):
        assert korean == english


def test_links_and_pictures_are_the_same() -> None:
    """But for those that only one language needs: the other README, and what is for Koreans."""
    only = {"README.md", "README.ko.md", "docs/howto/korean.md"}
    found = [set(re.findall(r"\]\(([^)\s]+)\)", text)) - only for text in (KOREAN, ENGLISH)]
    assert found[0] == found[1]


def test_each_names_the_other_at_its_top() -> None:
    assert "](README.ko.md)" in "".join(ENGLISH.splitlines()[:4])
    assert "](README.md)" in "".join(KOREAN.splitlines()[:4])
