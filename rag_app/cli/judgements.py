"""Which judgements of a BEIR folder a command takes."""

from pathlib import Path

from rag_app.cli.run import Run


def note_judgements(run: Run, questions: Path | None, *, to_train: bool = False) -> None:
    """Say which judgements of a BEIR folder count; nothing of another file, or of none.

    Arguments:
        to_train: they are trained on, where there are some for that.
    """
    from rag_app.pairs import judgements_of, training_qrels

    if questions is None:
        return
    if said := judgements_of(training_qrels(questions) if to_train else questions):
        run.note(said)
