"""A question that is asked, and what is shown of its answer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_app.cli.answers import Shown, show_answer, show_judgement, streamed
from rag_app.cli.explain import show_trace
from rag_app.cli.run import Run
from rag_app.cli.scores import figure

if TYPE_CHECKING:
    from rag_app.answer.answer import Answer
    from rag_app.query.session import Session

# Lines of a terminal that an answer leaves free: the question above it, and the next prompt.
AROUND_ANSWER = 3


@dataclass(frozen=True)
class Asking:
    """A session, and what is shown of each answer.

    Fields:
        saved: files that this run wrote the conversation to, with their contents.
    """

    run: Run
    session: "Session"
    judge: bool = False
    explain: bool = False
    full: bool = False
    saved: dict[Path, bytes] = field(default_factory=dict)

    def ask(self, question: str) -> None:
        """Ask and print."""
        from rag_app.answer.judge import judge

        run, session = self.run, self.session
        before = run.lines_said
        with streamed(run) as on_text:
            found = session.ask(question, on_text=on_text, tell=run.say)
        self._tell_weak_match()
        self.show(found, lines_used=run.lines_said - before)
        values = found.to_json()
        if self.judge:
            judgement = judge(found, session.llm)
            show_judgement(run, judgement)
            values["judgement"] = judgement.to_json()
        values |= self._trace(found)
        run.result(values)

    def show(self, found: "Answer", *, lines_used: int = 0) -> None:
        """Print an answer and its passages, on a terminal on one screen."""
        from rag_app.cli.excerpt import evidence

        run, session = self.run, self.session
        shown = Shown(
            nothing=session.why_nothing() if not found.citations else "",
            evidence=None if self.full else evidence(found, session.model),
            lines=run.screen_lines(AROUND_ANSWER + lines_used),
            introduced=len(session.exchanges) > 1,
        )
        show_answer(run, found, shown)

    def _tell_weak_match(self) -> None:
        weak = self.session.weak_match()
        if weak is not None:
            self.run.say(
                f"no passage is near the question (cosine {figure(weak[0])}; passages of "
                f"different documents here reach {figure(weak[1])}); the documents may not "
                "answer it",
                label="weak match:",
            )

    def _trace(self, found: "Answer") -> dict[str, Any]:
        trace = self.session.trace
        if not self.explain or trace is None:
            return {}
        show_trace(self.run, self.session)
        return {"trace": trace.to_json([one.chunk for one in found.citations])}
