"""Pages of PDFs without text, read by tesseract; most tests with a small program in its place."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, NameObject, NumberObject
from test_left_out import add_page, said, saved
from tiny import make_tiny_model
from typer.testing import CliRunner, Result

from rag_app.cli.app import build_app
from rag_app.documents import Columns, ReadResult, Source, read_documents
from rag_app.documents.bounded import ReadingProcess
from rag_app.documents.ocr import check_ocr
from rag_app.documents.states import reading_key
from rag_app.errors import ConfigError, DocumentError
from rag_app.index import Workspace
from rag_app.ingest.report import IngestReport
from rag_app.ingest.request import IndexOptions, IngestRequest
from rag_app.ingest.stage import ingest
from rag_app.sweep.documents import documents_of

HAS_TESSERACT = shutil.which("tesseract") is not None
# Says the size of the picture that it is given, and in which languages it was asked.
PROGRAM = """#!/bin/sh
if [ "$1" = --list-langs ]; then
    printf 'List of available languages (2):\\neng\\nkor\\n'
    exit
fi
read magic width height rest
cat > /dev/null
echo "a page of $width by $height in $4"
"""
FAILING = PROGRAM.replace("cat > /dev/null", "exit 1")
SILENT = PROGRAM.replace('echo "a', ': "a')


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program in tesseract's place."""
    if sys.platform == "win32":
        pytest.skip("the program is a shell script")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(script: str) -> None:
        (folder / "tesseract").write_text(script)
        (folder / "tesseract").chmod(0o755)

    put(PROGRAM)
    return put


def scanned() -> bytes:
    """A page of text, a scan, a scan that is turned, an empty page."""
    writer = PdfWriter()
    add_page(writer, text="The first page has words.")
    add_page(writer, picture=True)
    add_page(writer, text="3 of 4", picture=True)
    writer.pages[2].rotate(90)
    add_page(writer)
    return saved(writer)


def read(path: Path, data: bytes, *, ocr: str | None = "kor+eng") -> ReadResult:
    path.write_bytes(data)
    return read_documents([path], ocr=ocr)


def test_pages_read_by_ocr_keep_their_numbers(
    tmp_path: Path, program: Callable[[str], None]
) -> None:
    result = read(tmp_path / "a.pdf", scanned())
    (document,) = result.documents
    # 600 by 800 points at 300 dots an inch, of which there are 72 points.
    pages = [
        "The first page has words.",
        "a page of 2500 by 3334 in kor+eng",
        "a page of 3334 by 2500 in kor+eng\n3 of 4",
    ]
    assert document.text == "\n\n".join(pages)
    starts = json.loads(document.metadata["page_starts"])
    assert [document.text[start:].partition("\n\n")[0] for start in starts[:3]] == pages
    assert result.by_ocr == {tmp_path / "a.pdf": [2, 3]}
    assert said(result) == []
    assert document.metadata["ocr"] == "kor+eng"


def test_the_command_says_what_was_read_and_ends_with_2_without_the_program(
    tmp_path: Path, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).write_bytes(scanned())
    model = make_tiny_model(tmp_path / "tiny")

    def run(*arguments: str | Path) -> Result:
        common = ["--ocr", "kor", "--model", model, "--storage", tmp_path / "storage"]
        given = [str(one) for one in ["ingest", *arguments, *common]]
        return CliRunner().invoke(build_app(), given)

    assert "read by OCR: 2 pages of a.pdf (pages 2-3)\n" in run(tmp_path / "a.pdf").output
    assert "read by OCR: 4 pages of 2 files\n" in run(*tmp_path.glob("*.pdf")).output
    answer = json.loads(run(tmp_path / "a.pdf", "--json").stdout)
    assert answer["by_ocr"] == [{"path": str(tmp_path / "a.pdf"), "pages": [2, 3]}]
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    failed = run(tmp_path / "a.pdf")
    assert failed.exit_code == 2
    assert "OCR needs the program tesseract" in failed.output
    monkeypatch.undo()
    assert Workspace(tmp_path / "storage").open().index.count() > 0


def test_without_the_setting_pages_are_left_out_and_it_is_named(
    tmp_path: Path, program: Callable[[str], None]
) -> None:
    result = read(tmp_path / "a.pdf", scanned(), ocr=None)
    assert said(result) == ["2 pages without text, perhaps scanned: --ocr reads them (pages 2-3)"]
    assert result.by_ocr == {}
    assert "ocr" not in result.documents[0].metadata


@pytest.mark.parametrize("script", [FAILING, SILENT])
def test_a_page_that_cannot_be_read_is_named(
    tmp_path: Path, program: Callable[[str], None], script: str
) -> None:
    program(script)
    result = read(tmp_path / "a.pdf", scanned())
    assert said(result) == ["2 pages without text, in which OCR read none (pages 2-3)"]
    assert result.documents[0].text == "The first page has words.\n\n3 of 4"
    writer = PdfWriter()
    add_page(writer, picture=True)
    (failure,) = read(tmp_path / "b.pdf", saved(writer)).failures
    assert failure.reason == (
        "has no text layer on its only page, and OCR (kor+eng) reads none; scan it anew, or name "
        "other languages with --ocr"
    )


def test_a_missing_program_or_language_is_named_with_its_command(
    tmp_path: Path, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "a.pdf", scanned(), ocr="kor+jpn+chi_sim")
    assert str(caught.value) == (
        "tesseract has no data for jpn, chi_sim, only for eng, kor; run `apt-get install "
        "tesseract-ocr tesseract-ocr-jpn tesseract-ocr-chi-sim` (Debian, Ubuntu) or `brew install "
        "tesseract-lang` (macOS)"
    )
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "a.pdf", scanned())
    assert str(caught.value) == (
        "OCR needs the program tesseract, which is not installed; run `apt-get install "
        "tesseract-ocr tesseract-ocr-kor` (Debian, Ubuntu) or `brew install tesseract "
        "tesseract-lang` (macOS)"
    )


@pytest.mark.parametrize("languages", ["--psm", "kor eng", "kor+", "../eng", ""])
def test_what_names_no_languages_is_refused(languages: str) -> None:
    with pytest.raises(ConfigError, match=r"name languages as tesseract does, joined by \+"):
        check_ocr(languages)


def test_another_setting_reads_files_again_and_the_same_does_not(
    tmp_path: Path, program: Callable[[str], None]
) -> None:
    assert reading_key(Columns(), "kor") != reading_key(Columns())
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(scanned())
    model = make_tiny_model(tmp_path / "tiny")

    def again(ocr: str | None) -> IngestReport:
        return ingest(
            Workspace(tmp_path / "storage"),
            IngestRequest([folder], options=IndexOptions(str(model), 32, 0), ocr=ocr),
        )

    assert again(None).sync.added == ["docs/a.pdf"]
    first = again("kor")
    assert first.sync.changed == ["docs/a.pdf"]
    program(SILENT)  # It would find nothing now, if it were asked.
    second = again("kor")
    assert second.sync.unchanged == ["docs/a.pdf"]
    assert first.by_ocr == second.by_ocr == {folder / "a.pdf": [2, 3]}
    program(PROGRAM)
    # What reads an index's files again reads them as they were read.
    index = Workspace(tmp_path / "storage").catalog.open(first.index)
    (document,) = documents_of(index, Columns())
    assert "3334 by 2500 in kor" in document.text
    assert again(None).sync.changed == ["docs/a.pdf"]


def test_time_by_the_clock_is_for_each_page() -> None:
    code = """
import sys, time
sys.stdin.readline()
for _ in range(4):
    print('{"goes_on": true}', flush=True)
    time.sleep(1)
print('{"done": true}', flush=True)
"""
    source = Source(Path("a.pdf"), "a.pdf")
    with ReadingProcess((sys.executable, "-c", code), longest_seconds=3) as process:
        assert process.read(source) == []
    silent = code.replace("print('{\"goes_on\": true}', flush=True)", "pass")
    with (
        ReadingProcess((sys.executable, "-c", silent), longest_seconds=3) as process,
        pytest.raises(DocumentError, match="takes too long"),
    ):
        process.read(source)


def scan_of(text: str) -> bytes:
    """A PDF whose only page is a picture of a text, 150 dots an inch."""
    writer = PdfWriter()
    add_page(writer, text=text)
    bitmap = pypdfium2.PdfDocument(saved(writer))[0].render(scale=150 / 72, grayscale=True)
    image = DecodedStreamObject()
    image.set_data(bytes(bitmap.buffer))
    values = {"/Width": bitmap.width, "/Height": bitmap.height, "/BitsPerComponent": 8}
    names = {"/Type": "/XObject", "/Subtype": "/Image", "/ColorSpace": "/DeviceGray"}
    assert bitmap.stride == bitmap.width
    image.update({NameObject(key): NumberObject(value) for key, value in values.items()})
    image.update({NameObject(key): NameObject(value) for key, value in names.items()})
    writer = PdfWriter()
    add_page(writer, picture=True)
    images = writer.pages[0]["/Resources"]["/XObject"]  # type: ignore[index]
    images[NameObject("/I")] = writer._add_object(image)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.skipif(not HAS_TESSERACT, reason="tesseract is not installed")
def test_tesseract_reads_a_scan(tmp_path: Path) -> None:
    text = "Refunds take seven days. Ask for order 4711."
    result = read(tmp_path / "a.pdf", scan_of(text), ocr="eng")
    assert [document.text for document in result.documents] == [text]
    assert result.by_ocr == {tmp_path / "a.pdf": [1]}
