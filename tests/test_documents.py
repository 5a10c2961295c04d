"""Files and folders -> documents: ids, metadata, what is passed over and what fails."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from rag_app.documents import READERS, Content, ReadResult, Source, read_documents
from rag_app.documents.content import MOST_FIELDS
from rag_app.documents.sources import MAX_FILE_BYTES
from rag_app.errors import DocumentError


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ids(result: ReadResult) -> list[str]:
    return [document.id_ for document in result.documents]


def reasons(result: ReadResult) -> dict[str, str]:
    return {failure.path.name: failure.reason for failure in result.failures}


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and a user that file permissions hold for; root they do not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
            for path in Path(name).rglob("*"):
                path.chmod(0o755)


def test_ids_are_the_folder_s_name_and_the_path_below(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "b.md", "B")
    write(tmp_path / "docs" / "a" / "c.txt", "C")
    assert ids(read_documents([tmp_path / "docs"])) == ["docs/a/c.txt", "docs/b.md"]
    assert ids(read_documents([tmp_path / "docs" / "a" / "c.txt"])) == ["a/c.txt"]


def test_ids_do_not_depend_on_how_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "docs" / "a" / "b.md", "B")
    (tmp_path / "latest").symlink_to("docs")
    monkeypatch.chdir(tmp_path / "docs" / "a")
    assert ids(read_documents([Path("..")])) == ["docs/a/b.md"]
    assert ids(read_documents([Path()])) == ["a/b.md"]
    assert ids(read_documents([tmp_path / "latest"])) == ["latest/a/b.md"]


def test_ids_are_nfc(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "\u1112\u116a\u11ab.md", "환불")
    assert ids(read_documents([tmp_path / "docs"])) == ["docs/환.md"]


def test_a_file_reached_twice_is_read_once_under_the_outer_id(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a" / "b.md", "B")
    for order in (["docs", "docs/a", "docs/a/b.md"], ["docs/a/b.md", "docs/a", "docs"]):
        assert ids(read_documents([tmp_path / name for name in order])) == ["docs/a/b.md"]


def test_two_files_with_one_id_are_refused_and_their_common_parent_named(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        write(tmp_path / year / "docs" / "a.md", year)
    with pytest.raises(DocumentError, match=r"2023/docs/a\.md and .*2024/docs/a\.md") as caught:
        read_documents([tmp_path / "2023" / "docs", tmp_path / "2024" / "docs"])
    assert str(caught.value).endswith(f"ingest their common parent {tmp_path} instead")
    assert ids(read_documents([tmp_path])) == [
        f"{tmp_path.name}/2023/docs/a.md",
        f"{tmp_path.name}/2024/docs/a.md",
    ]


def test_two_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "\u1112\u116a\u11ab.md", "A")
    write(tmp_path / "docs" / "환.md", "B")
    with pytest.raises(DocumentError, match="rename one of them"):
        read_documents([tmp_path / "docs"])


def test_metadata_of_a_markdown_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "docs" / "a.md",
        "---\ntitle: Refunds\ndate: 2024-03-05\nCategory: Money\nproduct line: Lock\n"
        "tags: [a, b]\nrank: 2\nshare: 0.5\ndraft: false\nnested: {x: 1}\nempty:\npath: /mine\n"
        "doc_id: 7\n"
        "---\nHow refunds work and what you can do.\n",
    )
    (document,) = read_documents([tmp_path / "docs"]).documents
    assert document.text == "How refunds work and what you can do."
    assert document.metadata == {
        "path": str(path),
        "kind": "markdown",
        "language": "en",
        "title": "Refunds",
        "date": "2024-03-05",
        "date_epoch": 1709596800,
        "category": "Money",
        "product_line": "Lock",
        "tags": ["a", "b"],
        "rank": 2,
        "share": 0.5,
        "draft": False,
        "path_": "/mine",
        "doc_id_": 7,
    }


FRONT = """version: 1.10
zip: 01234
country: NO
opens: 12:30
agreed: yes
price: 1.1
stock: -17
draft: false
hex: 0x1F
big: 1_000
exp: 1e3
signed: +5
years: [2023, 01, NO]
quoted: "1.5"
none: ~
"""
TOML = """title = "Refunds"
date = 2024-03-05
version = 1.10
price = 1.1
opens = 12:30:00
tags = ["refund", "form"]
draft = true
[params]
inner = 1
"""


def test_front_matter_is_kept_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.md", f"---\n{FRONT}---\nBody")
    metadata = read_documents([tmp_path / "a.md"]).documents[0].metadata
    own = {key: value for key, value in metadata.items() if key in FRONT}
    assert own == {
        "version": "1.10",
        "zip": "01234",
        "country": "NO",
        "opens": "12:30",
        "agreed": "yes",
        "price": 1.1,
        "stock": -17,
        "draft": False,
        "hex": "0x1F",
        "big": "1_000",
        "exp": "1e3",
        "signed": "+5",
        "years": ["2023", "01", "NO"],
        "quoted": "1.5",
    }
    numbers = {key: value for key, value in metadata.items() if key.endswith("__number")}
    assert numbers == {
        "version__number": 1.1,
        "zip__number": 1234.0,
        "exp__number": 1000.0,
        "signed__number": 5.0,
        "quoted__number": 1.5,
    }


def test_front_matter_in_toml(tmp_path: Path) -> None:
    write(tmp_path / "a.md", f"+++\n{TOML}+++\n# Heading\n")
    result = read_documents([tmp_path / "a.md"])
    (document,) = result.documents
    assert document.text == "# Heading"
    own = {key: document.metadata.get(key) for key in ("title", "date", "version", "price")}
    assert own == {"title": "Refunds", "date": "2024-03-05", "version": "1.10", "price": 1.1}
    assert document.metadata["opens"] == "12:30:00"
    assert (document.metadata["tags"], document.metadata["draft"]) == (["refund", "form"], True)
    assert [str(left) for left in result.left_out[tmp_path / "a.md"]] == [
        "1 field with an inner structure (params)"
    ]
    for broken in ("x = = 1", "x = " + "[" * 5000):
        write(tmp_path / "b.md", f"+++\n{broken}\n+++\nBody")
        assert read_documents([tmp_path / "b.md"]).documents[0].text.endswith("+++\nBody")


def test_a_document_with_thousands_of_fields_fails(tmp_path: Path) -> None:
    write(tmp_path / "a.md", "".join(["---\n", *(f"k{n}: v\n" for n in range(800)), "---\nBody"]))
    write(tmp_path / "b.md", "Body")
    result = read_documents([tmp_path])
    assert reasons(result) == {"a.md": f"has 800 fields; {MOST_FIELDS} are the most, name fewer"}
    assert len(result.documents) == 1


def test_documents_with_two_dates_are_named(tmp_path: Path) -> None:
    page = '<meta name="date" content="2023-01-01"><p>text'
    write(tmp_path / "2024-03-05-a.html", page)
    write(tmp_path / "2023-01-01-b.html", page)
    write(tmp_path / "2024-03-05-c.md", "---\ndate: March 5, 2024\nupdated: 2024-05-01\n---\ntext")
    write(tmp_path / "2024-03-05-d.md", "---\ndate: soon\n---\ntext")
    rows = "a,Yes.,2024-03-05\nb,No.,2024-01-01\nc,Yes.,2024-03-05\nd,Yes.,2023-02-02\n"
    write(tmp_path / "faq.csv", f"question,answer,date\n{rows}")
    result = read_documents([tmp_path])
    found = [(name.partition("/")[2], *dates) for name, *dates in map(astuple, result.dates_differ)]
    page_differs, (row, *dates) = found
    assert page_differs == ("2024-03-05-a.html", "2024-03-05", "file name", "2023-01-01", "file")
    assert row.startswith("faq.csv#")
    assert dates == ["2024-03-05", "fields", "2023-02-02", "file"]


def test_only_the_title_reaches_the_model(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "---\ncategory: Money\n---\n# Refunds\n\nText")
    (document,) = read_documents([tmp_path / "docs"]).documents
    from llama_index.core.schema import MetadataMode

    for mode in (MetadataMode.EMBED, MetadataMode.LLM):
        assert document.get_content(metadata_mode=mode) == "title: Refunds\n\n# Refunds\n\nText"


def test_metadata_holds_nothing_of_this_machine_but_the_path(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder / "docs" / "a.md", "# Title\n\nText")
    os.utime(tmp_path / "one" / "docs" / "a.md", (0, 0))
    one, two = (read_documents([tmp_path / f / "docs"]).documents[0] for f in ("one", "two"))
    assert one.id_ == two.id_
    assert {**one.metadata, "path": ""} == {**two.metadata, "path": ""}


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "---\ntitle: Front\n---\n# Heading", "Front"),
        ("a.md", "intro\n\n```sh\n# comment\n```\n\n# Heading #\n\ntext", "Heading"),
        ("how-to_pay.md", "## Second level only", "how to pay"),
        ("2024-03-05-news.txt", "text", "news"),
        ("2024-03-05.txt", "text", "2024 03 05"),
        ("a.html", "<title>Page\n title</title><h1>H</h1>text", "Page title"),
        ("a.html", "<h1>Head</h1>text", "Head"),
    ],
)
def test_title(tmp_path: Path, name: str, text: str, title: str) -> None:
    write(tmp_path / "docs" / name, text)
    (document,) = read_documents([tmp_path / "docs"]).documents
    assert document.metadata["title"] == title


@pytest.mark.parametrize(
    ("name", "front", "expected"),
    [
        ("2023-01-01-a.md", "date: 2024-03-05", ("2024-03-05", None)),
        ("2023-01-01-a.md", "x: 1", ("2023-01-01", None)),
        ("20230101_a.md", "x: 1", ("2023-01-01", None)),
        ("a.md", "x: 1", (None, None)),
        ("a.md", "updated: 2024-03-05 10:00:00 +0900", ("2024-03-05", None)),
        ("a.md", "date: sometime in spring", (None, "sometime in spring")),
        ("a.md", "date: 2024-02-30", (None, "2024-02-30")),
        ("a.md", "date: soon\nupdated: 2024. 3. 5.", ("2024-03-05", "soon")),
    ],
)
def test_date(tmp_path: Path, name: str, front: str, expected: tuple[str, str]) -> None:
    write(tmp_path / "docs" / name, f"---\n{front}\n---\ntext")
    result = read_documents([tmp_path / "docs"])
    metadata = result.documents[0].metadata
    assert (metadata.get("date"), metadata.get("date_raw")) == expected
    assert ("date_epoch" in metadata) == ("date" in metadata)
    assert result.failures == []


def test_a_language_that_the_file_names_comes_before_the_guess(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "---\nlang: fr-CA\n---\nOui")
    write(tmp_path / "docs" / "b.md", "---\nlanguage: Python\n---\n파이썬으로 하는 일")
    french, korean = read_documents([tmp_path / "docs"]).documents
    assert french.metadata["language"] == "fr"
    assert (korean.metadata["language"], korean.metadata["language_"]) == ("ko", "Python")


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"nowhere does not exist; name a file or folder"):
        read_documents([tmp_path / "nowhere"])
    with pytest.raises(DocumentError, match="name at least one file or folder"):
        read_documents([])


def test_a_path_with_nothing_to_read_lists_the_kinds(tmp_path: Path) -> None:
    picture = write(tmp_path / "docs" / "a.png", b"")
    write(tmp_path / "full" / "a.md", "text")
    for path in (tmp_path / "docs", picture):
        with pytest.raises(DocumentError, match=r"holds no file to read.*\.csv .*\.pdf .*\.xlsx"):
            read_documents([tmp_path / "full", path])


def test_only_files_of_labels_are_no_documents(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "package.json", "{}")
    with pytest.raises(DocumentError, match=r"no documents in .*package\.json"):
        read_documents([tmp_path / "docs"])


def test_other_kinds_are_skipped_and_hidden_ones_not_mentioned(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write(docs / "A.MD", "text")
    other = [write(docs / "a.png", b""), write(docs / "package.json", "{}")]
    for hidden in (".git/a.md", ".a.md", "~$table.xlsx"):
        write(docs / hidden, "hidden")
    result = read_documents([docs])
    assert ids(result) == ["docs/A.MD"]
    assert result.skipped == other
    assert result.failures == []


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write(tmp_path / "secret" / "key.md", "secret")
    write(docs / "real.md", "text")
    write(docs / ".data" / "mounted.md", "as Kubernetes mounts it")
    (docs / "out.md").symlink_to("../secret/key.md")
    (docs / "folder").symlink_to("../secret")
    (docs / "gone.md").symlink_to("nothing.md")
    (docs / "loop.md").symlink_to("loop.md")
    (docs / "again.md").symlink_to("real.md")
    (docs / "mounted.md").symlink_to(".data/mounted.md")
    (docs / "up").symlink_to(".")
    result = read_documents([docs])
    assert ids(result) == ["docs/mounted.md", "docs/real.md"]
    assert set(reasons(result)) == {"out.md", "folder", "gone.md", "loop.md"}
    assert "link out of the folder" in reasons(result)["folder"]
    assert "link out of the folder" in reasons(result)["out.md"]
    assert "link to nothing" in reasons(result)["gone.md"]
    assert ids(read_documents([docs / "out.md"])) == ["docs/out.md"]


def test_permission_denied_is_a_failure(unprivileged: Path) -> None:
    docs = unprivileged / "docs"
    write(docs / "good.md", "text")
    write(docs / "closed.md", "text").chmod(0)
    write(docs / "folder" / "a.md", "text").parent.chmod(0)
    result = read_documents([docs])
    assert ids(result) == ["docs/good.md"]
    assert set(reasons(result)) == {"closed.md", "folder"}
    assert all("permission denied" in reason for reason in reasons(result).values())
    with pytest.raises(DocumentError, match="permission denied"):
        read_documents([docs / "folder" / "a.md"])


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    large = write(tmp_path / "docs" / "large.txt", "text")
    os.truncate(large, MAX_FILE_BYTES + 1)
    assert reasons(read_documents([tmp_path / "docs"])) == {
        "large.txt": "is larger than 200 MB; split it into smaller files"
    }


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "text")
    os.mkfifo(tmp_path / "docs" / "pipe.md")
    result = read_documents([tmp_path / "docs"])
    assert reasons(result) == {"pipe.md": "is not a regular file; remove it"}


def test_a_name_that_is_not_utf8_is_a_failure(tmp_path: Path) -> None:
    write(tmp_path / "docs" / "a.md", "text")
    write(tmp_path / "docs" / os.fsdecode("환불.md".encode("cp949")), "text")
    (failure,) = read_documents([tmp_path / "docs"]).failures
    assert failure.reason.startswith("has a name that is not UTF-8; rename it: convmv")


def test_one_bad_file_never_stops_the_others(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    bad: dict[str, tuple[str | bytes, str]] = {
        "empty.md": ("---\ntitle: x\n---\n\n<!-- nothing -->\n", "is empty"),
        "empty.txt": (b"", "is empty"),
        "blank.html": ("<p> &nbsp; </p>", "holds no text outside scripts"),
        "empty.csv": ("", "is empty"),
        "empty.jsonl": ("\n", "is empty"),
        "empty.pdf": (b"", "is empty"),
        "latin.txt": ("déjà vu, naïve café".encode("latin-1"), "neither UTF-8"),
        "list.json": ('{"queries": {}, "corpus": [], "relevant_docs": {}}', "does not map ids"),
        "broken.json": ("{", "is not JSON"),
        "broken.jsonl": ('{"text": "a"}\n{"text":', "has a line 2 that is not JSON"),
        "array.jsonl": ("[1]", "has a line 1 that is no object"),
        "table.xlsx": (b"not a workbook", "is not an .xlsx workbook"),
        "fake.pdf": (b"<html>", "is not a PDF"),
        "deep.html": ("<div>" * 3000 + "x", "nests tags over 2,000 deep"),
        "odd.html": ("<p>a<![foo[x]]>", "is not HTML (AssertionError: unknown"),
    }
    write(docs / "good.md", "text")
    for name, (content, _) in bad.items():
        write(docs / name, content)
    result = read_documents([docs])
    assert ids(result) == ["docs/good.md"]
    assert [failure.path for failure in result.failures] == sorted(docs / name for name in bad)
    for name, (_, reason) in bad.items():
        assert reason in reasons(result)[name]
        assert "; " in reasons(result)[name], "a reason names its mend"


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int, str]] = []

    def watch(step: str, done: int, total: int, note: str = "") -> None:
        calls.append((step, done, total, note))

    write(tmp_path / "docs" / "a.md", "text")
    write(tmp_path / "docs" / "b.md", "")
    read_documents([tmp_path / "docs"], progress=watch)
    assert calls == [("read", 1, 2, "docs/a.md"), ("read", 2, 2, "docs/b.md")]


def test_a_reader_can_be_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_shouted(source: Source) -> list[Content]:
        return [Content(source.read_bytes().decode().upper(), kind="shout")]

    monkeypatch.setitem(READERS, ".loud", read_shouted)
    write(tmp_path / "docs" / "a.loud", "text")
    (document,) = read_documents([tmp_path / "docs"]).documents
    assert (document.text, document.metadata["kind"]) == ("TEXT", "shout")


def test_posts_that_nobody_here_wrote(shared_data: Path) -> None:
    posts = shared_data / "docs_18f" / "content" / "posts"
    result = read_documents([posts])
    assert len(result.documents) == len(list(posts.glob("*.md")))
    assert result.failures == []
    assert all(document.metadata["date"] for document in result.documents)
    by_id = {document.id_: document for document in result.documents}
    differs = by_id["posts/2014-12-22-protosketch.md"]
    assert differs.metadata["date"] == "2015-01-06", "the key comes before the file's name"
