"""Files and folders -> documents; one bad file never stops the others."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rag_app.documents.bounded import ReadingProcess
from rag_app.documents.content import Content, DatesDiffer, differing_dates, to_document
from rag_app.documents.corpora import read_json, read_jsonl
from rag_app.documents.docx import read_docx
from rag_app.documents.epub import read_epub
from rag_app.documents.html import read_html
from rag_app.documents.hwp import read_hwp
from rag_app.documents.hwpx import read_hwpx
from rag_app.documents.left_out import LeftOut
from rag_app.documents.mail import read_mail
from rag_app.documents.markdown import read_markdown
from rag_app.documents.msg import read_msg
from rag_app.documents.noise import without_data_uris
from rag_app.documents.ocr import check_ocr
from rag_app.documents.pdf import read_pdf
from rag_app.documents.plain import read_text
from rag_app.documents.pptx import read_pptx
from rag_app.documents.sources import Failure, Source, find_sources
from rag_app.documents.states import FileState, KeptFile, state_of
from rag_app.documents.tables import read_table
from rag_app.errors import DocumentError
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    from llama_index.core.schema import Document

# A reader raises DocumentError, its message going on after the file's name ("is empty; ..."),
# and returns nothing for a file that holds no documents (queries, labels), which is skipped.
Reader = Callable[[Source], list[Content]]
# What is known of a file that need not be read; None: it must be.
Keep = Callable[[Source], KeptFile | None]

READERS: dict[str, Reader] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".txt": read_text,
    ".rst": read_text,
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".csv": read_table,
    ".tsv": read_table,
    ".xlsx": read_table,
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".eml": read_mail,
    ".msg": read_msg,
    ".epub": read_epub,
    ".hwp": read_hwp,
    ".hwpx": read_hwpx,
    ".docx": read_docx,
    ".pptx": read_pptx,
}
# Characters that are shown of an error that a library raised.
_LONGEST_REASON = 200


@dataclass(frozen=True)
class ReadResult:
    """What was read, sorted by id; what could not be; and files that hold no documents.

    Fields:
        merged: rows of tables, and passages of corpora, that repeat another of their file and are
            one document with it.
        left_out: of files that were read, what is in no document.
        by_ocr: of files with pages that were read by OCR, the numbers of these.
        dates_differ: documents with two dates.
        empty: named paths that hold nothing to read, with the sentence that says so.
        kept: files that were not read, for they are as they were.
        read: files that were read, without the hashes of their documents.
    """

    documents: "list[Document]"
    failures: list[Failure]
    skipped: list[Path]
    merged: int = 0
    left_out: dict[Path, list[LeftOut]] = field(default_factory=dict)
    by_ocr: dict[Path, list[int]] = field(default_factory=dict)
    dates_differ: list[DatesDiffer] = field(default_factory=list)
    empty: dict[Path, str] = field(default_factory=dict)
    kept: dict[Path, KeptFile] = field(default_factory=dict)
    read: dict[Path, KeptFile] = field(default_factory=dict)

    @property
    def has_documents(self) -> bool:
        """Whether there are any, read now or before."""
        return bool(self.documents or self.kept)


class ReadSources(Protocol):
    """What reads the files that were found: `read_sources`, or what spreads it."""

    def __call__(
        self, sources: Sequence[Source], *, keep: Keep | None = None, progress: Progress = silent
    ) -> ReadResult: ...


def read_documents(
    paths: Sequence[Path],
    *,
    question_column: str = "question",
    answer_column: str = "answer",
    ocr: str | None = None,
    may_be_empty: bool = False,
    keep: Keep | None = None,
    read_files: ReadSources | None = None,
    progress: Progress = silent,
) -> ReadResult:
    """Read every file below the named paths into LlamaIndex documents.

    Arguments:
        paths: files and folders; hidden ones inside a folder are passed over.
        question_column, answer_column: what tables of questions and answers call them.
        ocr: languages, as tesseract calls them (kor+eng), in which pages of PDFs without text are
            read; None: they are not.
        may_be_empty: a path that does not exist, or holds nothing to read, is no error.
        keep: says which files need not be read; their documents are not among those returned.
        read_files: reads them in place of `read_sources`.
    Returns:
        Documents whose ids are the same wherever the folder lies: its name and the path below,
        and for one of several documents in a file "#" and its own id or its text's hash.
    Raises:
        DocumentError: a path that does not exist or holds nothing to read; two files, one id.
        ConfigError: tesseract is not installed, or lacks a language.
    """
    found = find_sources(paths, suffixes=READERS)
    if found.empty and not may_be_empty:
        raise DocumentError(next(iter(found.empty.values())))
    sources = [
        replace(source, question_column=question_column, answer_column=answer_column, ocr=ocr)
        for source in found.sources
    ]
    read = (read_files or read_sources)(sources, keep=keep, progress=progress)
    failures, skipped = [*found.failures, *read.failures], [*found.skipped, *read.skipped]
    if not read.has_documents and not failures and not may_be_empty:
        raise DocumentError(nothing_in(skipped))
    failures.sort(key=lambda failure: failure.path)
    return replace(read, failures=failures, skipped=sorted(skipped), empty=found.empty)


def read_sources(
    sources: Sequence[Source],
    *,
    keep: Keep | None = None,
    process: ReadingProcess | None = None,
    progress: Progress = silent,
) -> ReadResult:
    """Read these files; those of kinds or contents that hold no documents are skipped.

    Arguments:
        process: that reads them and goes on afterwards; one for them alone unless given.
    Raises:
        ConfigError: pages are to be read by OCR, and tesseract or a language is not installed.
    """
    check_ocr_of(sources)
    result = ReadResult([], [], [])
    with ExitStack() as ending:
        process = process or ending.enter_context(ReadingProcess())
        for done, source in enumerate(sources, 1):
            if keep and (kept := keep(source)):
                result.kept[source.path] = kept
                continue
            before = state_of(source.path) if keep else None
            try:
                contents = _contents(source, process)
                read = [to_document(source, content) for content in contents]
            except DocumentError as error:
                result.failures.append(Failure(source.path, str(error)))
            else:
                result.documents.extend(read)
                result.skipped.extend([] if read else [source.path])
                result.read[source.path] = _as_read(source, before, contents)
            progress("read", done, len(sources), source.id)
    return joined([result])


def check_ocr_of(sources: Sequence[Source]) -> None:
    """Make sure that the pages of these files can be read by OCR, where that is asked for.

    Raises:
        ConfigError: tesseract or a language is not installed.
    """
    for languages in sorted({source.ocr for source in sources if source.ocr}):
        check_ocr(languages)


def joined(parts: Sequence[ReadResult]) -> ReadResult:
    """What was read in several parts, as if it had been read at once."""
    result = ReadResult([], [], [])
    for part in parts:
        result.documents.extend(part.documents)
        result.failures.extend(part.failures)
        result.skipped.extend(part.skipped)
        result.kept.update(part.kept)
        result.read.update(part.read)
    result.documents.sort(key=lambda document: document.id_)
    known = {**result.kept, **result.read}
    left_out = {path: one.left_out for path, one in known.items() if one.left_out}
    return replace(
        result,
        merged=sum(one.merged for one in known.values()),
        left_out=left_out,
        by_ocr={path: one.by_ocr for path, one in known.items() if one.by_ocr},
        dates_differ=sorted(
            (differ for one in known.values() for differ in one.dates_differ),
            key=lambda differ: differ.document,
        ),
    )


def _as_read(source: Source, before: FileState | None, contents: Sequence[Content]) -> KeptFile:
    """What is said of a file; without a state where another file had a part in it, or it moved."""
    # A program's own reader may look at anything, and whether a file of this name holds documents
    # depends on the one beside it.
    alone = is_own(source) and source.path.name.lower() != "queries.jsonl"
    still = before is not None and alone and before.is_still(source.path)
    return KeptFile(
        source.id,
        before if still else None,
        merged=sum(content.merged for content in contents),
        left_out=[one for content in contents for one in content.left_out],
        by_ocr=[page for content in contents for page in content.by_ocr],
        dates_differ=[
            differ for content in contents if (differ := differing_dates(source, content))
        ],
    )


def _contents(source: Source, process: ReadingProcess) -> list[Content]:
    """Read a file in the process that can be ended.

    With a reader that a program added, or where the system starts no process, here.
    """
    bounded = is_own(source) and process.starts()
    return process.read(source) if bounded else contents_of(source)


def is_own(source: Source) -> bool:
    """Whether the file's reader is of this package, and none that a program added."""
    return READERS[source.path.suffix.lower()].__module__.startswith("rag_app.documents.")


def contents_of(source: Source) -> list[Content]:
    """Read one file in this process.

    Raises:
        DocumentError: it cannot be read, for whatever reason.
    """
    try:
        return [
            without_data_uris(content) for content in READERS[source.path.suffix.lower()](source)
        ]
    except DocumentError:
        raise
    except Exception as error:  # whatever a library makes of a file, others go on
        raise DocumentError(_unreadable(error)) from error


def why_skipped(path: Path) -> str:
    """Why a file is no failure and has no documents, to go on after its path."""
    kind = path.suffix.lower()
    if kind not in READERS:
        return f"is of a kind that is not read; those that are: {' '.join(sorted(READERS))}"
    if kind == ".json":
        return (
            "is JSON, but no array of objects with question and answer, or with text, no object "
            "with one such array, and no EmbeddingQAFinetuneDataset with queries, corpus, "
            "relevant_docs"
        )
    return "holds questions or labels, and no documents"


def _unreadable(error: Exception) -> str:
    """What a reader did not foresee, as the reason of a failure."""
    if isinstance(error, RecursionError):
        return "is nested too deeply to be read; simplify or remove it"
    if isinstance(error, MemoryError):
        return "needs more memory than there is; split it into smaller files"
    said = " ".join(str(error).split())[:_LONGEST_REASON]
    reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"cannot be read ({reason}); save it again, or remove it"


def nothing_in(skipped: Sequence[Path]) -> str:
    """Why files that were found give no documents."""
    names = ", ".join(str(path) for path in skipped[:3])
    return f"no documents in {names}; name files that hold text: {' '.join(sorted(READERS))}"
