"""Two finished runs on the same questions, the second against the first."""

from collections.abc import Iterable

from rag_app.errors import RunError
from rag_app.evaluate.comparison import Comparison, compare_outcomes
from rag_app.evaluate.scoring import Outcome
from rag_app.progress import Progress, silent
from rag_app.report.blocks import Report, Section
from rag_app.report.compared import Compared, Side
from rag_app.report.groups import groups_section
from rag_app.report.origin import origin_section
from rag_app.report.sections import curve_section, question_section, rank_section, scores_section
from rag_app.report.stored import StoredRun
from rag_app.report.values import FinetuneValues

SEED = 13


def judged_outcomes(run: StoredRun) -> list[Outcome]:
    """Outcomes of what a run is about: the tuned model, the best setting, the last that was asked.

    Raises:
        RunError: its file is not there.
    """
    return run.outcomes(run.values.judged_file)


def compare_runs(first: StoredRun, second: StoredRun, *, progress: Progress = silent) -> Comparison:
    """The second against the first, question by question.

    Raises:
        RunError: they did not ask the same questions.
    """
    before, after = judged_outcomes(first), judged_outcomes(second)
    asked, also = ({one.question_id for one in run} for run in (before, after))
    if asked != also or len(asked) != len(before) or len(also) != len(after):
        raise RunError(
            f"only runs on the same questions can be compared: {first.name} asked {len(before)}, "
            f"{second.name} {len(after)}, and {len(asked & also)} are the same; evaluate both "
            "models on one file: `rag-app evaluate FILE --index A --index B --out FOLDER`"
        )
    return compare_outcomes(before, after, seed=SEED, progress=progress)


def report_of_two(first: StoredRun, second: StoredRun, *, progress: Progress = silent) -> Report:
    """Paired differences of two runs.

    Raises:
        RunError: they did not ask the same questions.
    """
    found = compare_runs(first, second, progress=progress)
    before, after = _names(first, second)
    compared = Compared(
        "",
        Side(before, found.base_outcomes, found.base, first.passages),
        Side(after, found.tuned_outcomes, found.tuned, second.passages),
        found.differences,
        seed=SEED,
    )
    sections: Iterable[Section | None] = (
        scores_section(f"{before} against {after}", [compared]),
        curve_section([compared]),
        rank_section([compared]),
        question_section([compared], second.collection.second_answers),
        groups_section(compared),
        *(_origin(run) for run in (first, second)),
    )
    return Report(
        title=f"{after} against {before}",
        run=f"{before}, {after}",
        verdict=found.verdict.decision,
        sentence=found.verdict.reason,
        promises=["Both runs were asked the same questions; expect this of questions like these."],
        sections=[one for one in sections if one is not None],
    )


def _names(first: StoredRun, second: StoredRun) -> tuple[str, str]:
    """What tells the runs apart: their folders' names, or as much of the paths as it takes."""
    paths = [run.folder.resolve().parts for run in (first, second)]
    for count in range(1, max(map(len, paths)) + 1):
        before, after = ("/".join(parts[-count:]) for parts in paths)
        if before != after:
            return before, after
    return f"{first.name}, 1", f"{second.name}, 2"


def _origin(run: StoredRun) -> Section:
    options = run.values.options if isinstance(run.values, FinetuneValues) else {}
    made = origin_section(run, options)
    return Section(f"{made.title}: {run.name}", made.blocks)
