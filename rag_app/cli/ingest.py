"""`ingest`: documents into an index."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_app.cli.flags import (
    DATA,
    AnswerColumn,
    ChunkSize,
    Dimensions,
    DocumentPaths,
    Metadata,
    NewModel,
    Ocr,
    QuestionColumn,
)
from rag_app.cli.given import columns_of, index_options_of, metadata_of, workspace_of
from rag_app.cli.run import USER_ERROR, Run, command
from rag_app.errors import ConfigError, RagAppError

if TYPE_CHECKING:
    from rag_app.documents import LeftOut
    from rag_app.documents.content import DatesDiffer
    from rag_app.ingest.duplicates import Duplicates
    from rag_app.ingest.report import IngestReport
    from rag_app.ingest.spread import Spreading

# Failed documents printed one by one; the rest are counted (all of them are in --json).
SHOWN_FAILURES = 20
SHOWN_SKIPPED = 5
SHOWN_LEFT_OUT = 20


EXAMPLES = (
    "rag-app ingest docs/ faq.csv",
    "rag-app ingest docs/ --chunk-size 512 --use",
    "rag-app ingest 문서/ --model intfloat/multilingual-e5-small",
)


@command
def ingest(
    run: Run,
    paths: DocumentPaths,
    *,
    model: NewModel = None,
    chunk_size: ChunkSize = None,
    chunk_overlap: Annotated[
        int | None, typer.Option(help="Tokens that neighbouring chunks share. [32]")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="Name of the index to write. [made from model and chunk size]"),
    ] = None,
    use: Annotated[
        bool, typer.Option("--use", help="Put the index into service afterwards.")
    ] = False,
    dimensions: Dimensions = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Remove also documents whose file is gone from places that are not named.",
            rich_help_panel=DATA,
        ),
    ] = False,
    dedupe: Annotated[
        bool,
        typer.Option(
            "--dedupe",
            help="Leave out documents that say what another one says; the first by path is kept.",
            rich_help_panel=DATA,
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit 2 if a file could not be read.", rich_help_panel=DATA),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Ingest again whenever a document changes, until Ctrl-C.",
            rich_help_panel=DATA,
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="local|HOST:PORT",
            help="Read and embed with Ray: on this machine, or on a cluster that it is a part of.",
            rich_help_panel=DATA,
        ),
    ] = None,
    ray_workers: Annotated[
        int | None,
        typer.Option(
            help="Ray's processes; each holds the model. [one for each core, or GPU that embeds]",
            rich_help_panel=DATA,
        ),
    ] = None,
    question_column: QuestionColumn = None,
    answer_column: AnswerColumn = None,
    ocr: Ocr = None,
    metadata: Metadata = None,
    sentences: Annotated[
        str | None,
        typer.Option(
            help="Sentence splitter: rules, or kiwi (Korean morphology). [rules]",
            rich_help_panel=DATA,
        ),
    ] = None,
) -> None:
    """Read documents (md, txt, html, pdf, docx, hwp, eml, msg, csv, xlsx, jsonl) into an index.

    Run it again at any time: what is unchanged is not even read, only what was added or changed is
    embedded, what was removed goes.
    """
    settings = run.settings(
        model=model,
        chunk_size=chunk_size,
        chunk_overlap=chunk_overlap,
        sentences=sentences,
        question_column=question_column,
        answer_column=answer_column,
        ocr=ocr,
        metadata=metadata or None,
    )
    from rag_app.ingest.request import IngestRequest
    from rag_app.ingest.stage import ingest as ingest_stage

    tell = WarnedOnce(run)
    request = IngestRequest(
        paths,
        index=index,
        options=index_options_of(settings, dimensions),
        columns=columns_of(settings),
        ocr=settings.ocr or None,
        metadata=metadata_of(settings),
        use=use,
        prune=prune,
        dedupe=dedupe,
    )

    def once(spread: "Spreading | None") -> "IngestReport":
        report = ingest_stage(
            workspace_of(settings), request, spread=spread, progress=run.progress, tell=tell
        )
        show_ingest(run, report, tell)
        run.result(report.to_json())
        return report

    with _spreading(ray, ray_workers) as spread:
        begun_ns = time.time_ns()
        report = once(spread)
        if watch:
            _watch(run, lambda: once(spread), paths, storage=settings.storage, since_ns=begun_ns)
    if strict and not watch and report.failures:
        run.warn(f"{len(report.failures)} files could not be read (--strict)")
        raise typer.Exit(USER_ERROR)


@contextmanager
def _spreading(address: str | None, workers: int | None) -> "Iterator[Spreading | None]":
    """What --ray means; it ends with the command."""
    if address is None:
        if workers is not None:
            raise ConfigError("--ray-workers is of use with --ray alone; add --ray local")
        yield None
        return
    from rag_app.ingest.spread import RayCluster, Spreading

    with RayCluster(address, workers=workers) as cluster:
        yield Spreading(cluster)


def _watch(
    run: Run,
    once: "Callable[[], IngestReport]",
    paths: Sequence[Path],
    *,
    storage: Path,
    since_ns: int,
) -> None:
    """Ingest again on every change; what goes wrong then is said, and ends nothing."""
    from rag_app.ingest.watch import watch_and_repeat

    def again() -> None:
        try:
            once()
        except RagAppError as error:
            run.fail(error)

    run.note("waiting for changes; Ctrl-C ends it")
    watch_and_repeat(again, paths, leave_out=[storage], since_ns=since_ns)
    run.note("no longer waiting for changes")


class WarnedOnce:
    """Warns of what it is called with, of nothing twice."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._warned: list[str] = []

    def __call__(self, warning: str) -> None:
        """Warn, unless that was done before."""
        if warning not in self._warned:
            self._warned.append(warning)
            self._run.warn(warning)


def show_ingest(run: Run, report: "IngestReport", tell: WarnedOnce) -> None:
    """All that `ingest` prints of what it did."""
    for warning in report.warnings:
        tell(warning)
    sync = report.sync
    for failure in report.failures[:SHOWN_FAILURES]:
        run.warn(f"{_from_here(failure.path)} {failure.reason}")
    _say_left_out(run, report.left_out)
    _say_by_ocr(run, report.by_ocr)
    _say_skipped(run, report.skipped)
    run.say(
        f"{len(sync.added)} added, {len(sync.changed)} changed, {len(sync.unchanged)} unchanged, "
        f"{len(sync.removed)} removed, {len(report.failures)} failed, {len(report.skipped)} skipped"
    )
    if sync.requestioned:
        run.say(f"{len(sync.requestioned)} unchanged documents with other known questions")
    if report.merged:
        run.say(_merged(report.merged))
    _say_dates(run, report.dates_differ)
    _say_duplicates(run, report.duplicates)
    known = f"{sync.known_questions} known questions, " if sync.known_questions else ""
    run.say(
        f"index {report.index}: {report.chunks} chunks, {known}{report.model}, "
        f"{report.seconds:.1f} s"
    )
    if not report.active:
        run.note(f"it is not in service; `rag-app index use {report.index}` puts it there")


def _from_here(path: Path) -> Path:
    """As seen from the current folder, if it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _say_left_out(run: Run, left_out: "Mapping[Path, Sequence[LeftOut]]") -> None:
    """Name what was left out of files that were read, one line a file."""
    for path, left in list(left_out.items())[:SHOWN_LEFT_OUT]:
        run.warn(f"{_from_here(path)} was read without {'; '.join(map(str, left))}")
    if len(left_out) > SHOWN_LEFT_OUT:
        more = len(left_out) - SHOWN_LEFT_OUT
        run.warn(f"{more} more files were read without some part (all of them are in --json)")


def _say_by_ocr(run: Run, by_ocr: "Mapping[Path, Sequence[int]]") -> None:
    """How many pages were read by OCR; of one file, which."""
    from rag_app.documents.left_out import numbered

    count = sum(map(len, by_ocr.values()))
    if not count:
        return
    pages = "1 page" if count == 1 else f"{count} pages"
    if len(by_ocr) > 1:
        run.say(f"read by OCR: {pages} of {len(by_ocr)} files")
        return
    [(path, numbers)] = by_ocr.items()
    run.say(f"read by OCR: {pages} of {path.name} ({numbered('page', numbers)})")


def _say_dates(run: Run, differ: "Sequence[DatesDiffer]") -> None:
    """How many documents have two dates, and which of them one has."""
    if not differ:
        return
    first = differ[0]
    many = "1 document has" if len(differ) == 1 else f"{len(differ)} documents have"
    run.say(
        f"{many} two dates that differ, e.g. {first.document}: {first.date} of its {first.source} "
        f"is taken, {first.other} of its {first.other_source} is not; fields come before the "
        "file's name, and that before what else the file says"
    )


def _say_skipped(run: Run, skipped: Sequence[Path]) -> None:
    from rag_app.documents import why_skipped

    for path in skipped[:SHOWN_SKIPPED]:
        run.note(f"skipped: {_from_here(path)} {why_skipped(path)}")
    if len(skipped) > SHOWN_SKIPPED:
        run.note(f"skipped: {len(skipped) - SHOWN_SKIPPED} more (all of them are in --json)")


def _say_duplicates(run: Run, duplicates: "Duplicates") -> None:
    """Say how many documents are near-duplicates and name one; where they are left out, each."""
    found = list(duplicates.originals.items())
    if not found:
        return
    many = (
        "1 document nearly repeats" if len(found) == 1 else f"{len(found)} documents nearly repeat"
    )
    if not duplicates.left_out:
        document, first = found[0]
        run.say(f"{many} an earlier one, e.g. {document} as {first}; --dedupe leaves them out")
        return
    run.say(f"{many} an earlier one, and {'is' if len(found) == 1 else 'are'} left out")
    for document, first in found[:SHOWN_LEFT_OUT]:
        run.say(f"    {document}: as {first}", hang=4)
    if len(found) > SHOWN_LEFT_OUT:
        run.say(f"    {len(found) - SHOWN_LEFT_OUT} more (all of them are in --json)")


def _merged(count: int) -> str:
    rows = "1 row has" if count == 1 else f"{count} rows have"
    return f"{rows} an answer that another row has; equal answers are kept as one document"
