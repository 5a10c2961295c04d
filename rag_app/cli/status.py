"""`status`: how far one has come, and the next command; what `rag-app` alone shows."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rag_app.cli.given import workspace_of
from rag_app.cli.run import Run, command

if TYPE_CHECKING:
    from rag_app.index import Workspace
    from rag_app.report.brief import Tuning

EXAMPLES = ("rag-app status", "rag-app status --json")
INGEST = "rag-app ingest PATH"


@dataclass(frozen=True)
class Status:
    """How far one has come.

    Fields:
        index: in service; None where none is.
        questions: chunks that questions were written for, by any generator.
        tuned: whether a tuned model made the index.
        last_tuning: what the newest tuning came to; None where there was none.
        then: the command that comes next, and why.
    """

    storage: str
    index: str | None
    documents: int
    chunks: int
    questions: int
    tuned: bool
    last_tuning: "Tuning | None"
    then: str


@command
def status(run: Run) -> None:
    """Show what is indexed, written and tuned, and the command that comes next.

    `rag-app` without a command does the same.
    """
    from rag_app.evaluate.figures import change_with_interval
    from rag_app.report.brief import last_tuning

    settings = run.settings()
    found = _status(workspace_of(settings), last_tuning(settings.results))
    if found.index:
        model = "a tuned model" if found.tuned else "the base model"
        run.say(
            f"{found.documents} documents indexed in {found.chunks} chunks, searched with {model} "
            f"(index {found.index})"
        )
        if found.questions:
            run.say(f"{found.questions} chunks with written questions")
        elif not found.last_tuning:
            run.say("no questions written yet")
    else:
        run.say(f"no index is in service in {found.storage}")
    if tuning := found.last_tuning:
        change = change_with_interval(tuning.difference)
        run.say(f"last tuning: {tuning.verdict}, {change} MRR@10 (run {tuning.run})")
    run.say(f"next: {found.then}")
    run.note("`rag-app --help` lists all commands")
    tuned = found.last_tuning and found.last_tuning.to_json()
    run.result({**asdict(found), "last_tuning": tuned})


def _status(workspace: "Workspace", last: "Tuning | None") -> Status:
    from rag_app.questions.store import QuestionStore

    storage, catalog = str(workspace.storage), workspace.catalog
    names, active = catalog.names(), catalog.in_service()
    if active is None:
        then = f"rag-app index use {names[0]}" if names else f"`{INGEST}` reads your documents"
        return Status(storage, None, 0, 0, 0, tuned=False, last_tuning=last, then=then)
    index = catalog.open(active)
    records = index.records()
    written = {
        chunk
        for store in QuestionStore.all(workspace.storage)
        for chunk, made in store.load().items()
        if made.questions
    }
    questions = sum(record.chunk_id in written for record in records)
    tuned = index.info.model != index.info.base_model
    return Status(
        storage=storage,
        index=active,
        documents=len({record.document_id for record in records}),
        chunks=len(records),
        questions=questions,
        tuned=tuned,
        last_tuning=last,
        then=_next(questions, last, tuned=tuned),
    )


def _next(questions: int, last: "Tuning | None", *, tuned: bool) -> str:
    if tuned:
        return "`rag-app query` asks the tuned index, `rag-app sweep` compares chunk sizes"
    if last:
        return (
            "`rag-app report` shows which questions the tuning fixed and broke; "
            "`rag-app finetune` trains anew, best with more questions"
        )
    if questions:
        return "`rag-app finetune` trains on them and says whether it helped"
    return (
        "`rag-app questions` writes questions to train on; with your own, "
        "`rag-app finetune --pairs FILE` trains at once"
    )
