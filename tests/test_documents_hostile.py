"""Files made, or grown, to stop a run: each fails alone, with its reason, in bounded time."""

import itertools
import json
import time
from pathlib import Path

import pytest

from rag_app.documents import Content, Source, read_documents
from rag_app.documents.reading import READERS
from rag_app.documents.sources import MAX_DOCUMENT_CHARACTERS

ENDLESS = "word " * (MAX_DOCUMENT_CHARACTERS // 5 + 1)


def read_beside_a_good_file(folder: Path, name: str, text: str) -> str:
    """The reason why a file fails; the one beside it is read."""
    (folder / "good.md").write_text("# Good\n\nAll is well.\n", "utf-8")
    (folder / name).write_text(text, "utf-8")
    begun = time.monotonic()
    read = read_documents([folder])
    assert time.monotonic() - begun < 20
    assert [document.id_ for document in read.documents] == [f"{folder.name}/good.md"]
    (failure,) = read.failures
    assert failure.path == folder / name
    return failure.reason


def doubled(first: str, line: str) -> str:
    """YAML of lines that each refer ten times to the one before."""
    names = [f"n{number}" for number in range(12)]
    lines = [first.format(names[0])]
    for before, name in itertools.pairwise(names):
        lines.append(line.format(name, ", ".join([f"*{before}"] * 10)))
    return "\n".join(lines)


@pytest.mark.parametrize(
    "front",
    [
        "a: &x [*x]",
        "a: &x\n  b: *x",
        "&x a: {b: [c, {d: [&y [*y]]}]}",
        "a: &x {<<: *x}",
        doubled("{0}: &{0} [lol, lol]", "{0}: &{0} [{1}]"),
        doubled("{0}: &{0} {{k: v}}", "{0}: &{0} {{<<: [{1}]}}"),
        f"a: &x {'long ' * 1000}\nb: [{', '.join(['*x'] * 1000)}]",
    ],
    ids=["list", "mapping", "deep", "merge", "laughs", "merge laughs", "long"],
)
def test_front_matter_that_refers_to_itself(tmp_path: Path, front: str) -> None:
    reason = read_beside_a_good_file(tmp_path, "bad.md", f"---\n{front}\n---\nBody\n")
    assert reason.startswith("has front matter whose aliases (*name) refer to themselves or stand")
    assert reason.endswith("write its values out, or remove them")


def test_front_matter_may_use_a_few_aliases(tmp_path: Path) -> None:
    front = "base: &base {team: Ops}\nowner: &who Kim\nreviewer: *who\ntags: [*who, *who]"
    (tmp_path / "a.md").write_text(f"---\n{front}\n<<: *base\n---\nBody\n", "utf-8")
    (document,) = read_documents([tmp_path / "a.md"]).documents
    found = {key: document.metadata.get(key) for key in ("reviewer", "tags", "team")}
    assert found == {"reviewer": "Kim", "tags": ["Kim", "Kim"], "team": "Ops"}
    assert document.text == "Body"


def test_a_long_text_between_two_rules_is_no_front_matter(tmp_path: Path) -> None:
    text = "---\n" + "key: value\n" * 100_000 + "---\nBody"
    (tmp_path / "a.md").write_text(text, "utf-8")
    begun = time.monotonic()
    (document,) = read_documents([tmp_path / "a.md"]).documents
    assert time.monotonic() - begun < 10
    assert document.text == text


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("bad.csv", f'question,answer\nq,"{ENDLESS}"\n', "has a cell, in the row that begins on"),
        ("bad.tsv", f"question\tanswer\nq\t{ENDLESS}\n", "has a cell, in the row that begins on"),
        ("bad.jsonl", json.dumps({"question": "q", "answer": ENDLESS}), "has a cell of"),
        ("corpus.jsonl", json.dumps({"_id": "1", "text": ENDLESS}), "holds a text of"),
        (
            "bad.json",
            json.dumps({"queries": {}, "relevant_docs": {}, "corpus": {"1": ENDLESS}}),
            "holds a text of",
        ),
        ("bad.txt", ENDLESS, "holds a text of"),
        ("bad.md", ENDLESS, "holds a text of"),
        ("bad.html", f"<p>{ENDLESS}</p>", "holds a text of"),
    ],
)
def test_a_text_too_long_for_one_document(tmp_path: Path, name: str, text: str, what: str) -> None:
    reason = read_beside_a_good_file(tmp_path, name, text)
    assert reason.startswith(what)
    assert reason.endswith(
        "of more than 12 million characters, too long for one document; split it into several"
    )


def test_ten_megabytes_of_text_are_a_document(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("word " * 2_000_000, "utf-8")
    read = read_documents([tmp_path])
    assert read.failures == []
    assert len(read.documents[0].text) == 9_999_999


def test_a_line_of_a_megabyte_is_no_title(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# " + "word " * 200_000, "utf-8")
    (document,) = read_documents([tmp_path / "a.md"]).documents
    assert document.metadata["title"] == ("word " * 200).strip()


class LibraryError(Exception):
    """Some library's own."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RecursionError("maximum depth"), "is nested too deeply to be read; simplify or remove it"),
        (MemoryError(), "needs more memory than there is; split it into smaller files"),
        (LibraryError("no\nluck"), "cannot be read (LibraryError: no luck); save it again, or"),
        (KeyError("/Root"), "cannot be read (KeyError: '/Root'); save it again, or remove it"),
    ],
)
def test_what_a_library_raises_is_the_failure_of_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(_source: Source) -> list[Content]:
        raise error

    monkeypatch.setitem(READERS, ".txt", fail)
    assert read_beside_a_good_file(tmp_path, "bad.txt", "text").startswith(reason)
