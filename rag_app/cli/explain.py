"""How the last passages were found: the steps, and each passage's way through them."""

from typing import TYPE_CHECKING

from rag_app.cli.run import Run
from rag_app.cli.tables import table

if TYPE_CHECKING:
    from rag_app.query.session import Session


def show_trace(run: Run, session: "Session") -> None:
    """Print the steps with their times, then rank and score of each passage in each step."""
    if session.last is None or session.trace is None:
        run.say("nothing was asked yet")
        return
    prompts = getattr(session.model, "prompts", None)
    prompt = prompts.query if prompts else ""
    run.say(
        f"asked {session.trace.question!r} of index {session.index.name} ({session.model.name}, "
        f"{session.index.count()} chunks), retriever {session.way.spec}"
        + (f", with the query prompt {prompt!r}" if prompt else "")
    )
    if session.retrieval.where is not None:
        run.say(f"only where {session.retrieval.where}")
    rows = [
        (step.name, f"{1000 * step.seconds:.1f}", str(len(step.scores)), step.note)
        for step in session.trace.steps
    ]
    run.out.print(table(("step", "ms", "passages", "note"), rows, flowing=["note"]))
    for citation in session.last.citations:
        cited = ", cited" if citation.n in session.last.cited else ""
        run.say(
            f"{citation.n}. {citation.document} characters {citation.start}-{citation.end}{cited}"
        )
        for step, rank, score in session.trace.places(citation.chunk):
            note = f"  ({step.note})" if step.note else ""
            run.say(f"     {step.name:<12} rank {rank:<3} score {score:.4f}{note}")
