"""The small sweep at the end: retrievers on the index in service, where that is affordable."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from rag_app.duration import in_words
from rag_app.errors import RagAppError
from rag_app.index import Workspace
from rag_app.progress import Progress, silent
from rag_app.retrieve import Tools
from rag_app.sweep.request import SweepRequest
from rag_app.sweep.result import SweepResult
from rag_app.sweep.stage import sweep
from rag_app.sweep.workload import SweepWorkload

# Ways to retrieve; what embeds sentences and tokens besides is left out where that takes long.
RETRIEVERS = ("vector", "keyword", "hybrid:auto", "hybrid:learned")
QUICK_RETRIEVERS = RETRIEVERS[:-1]
MOST_SECONDS = 600.0


class _TooLong(Exception):
    """The sweep would take too long."""

    def __init__(self, work: SweepWorkload) -> None:
        super().__init__(f"{work} would take {in_words(work.seconds)}")


def compare_retrievers(
    workspace: Workspace,
    request: SweepRequest,
    *,
    tools: Callable[[], AbstractContextManager[Tools]],
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[SweepResult | None, str]:
    """Compare ways to retrieve on the index of the request, as it is.

    A sweep that cannot be made, of too few questions for instance, costs nothing that was tuned.

    Arguments:
        request: its grid is replaced.
        tools: opens what retrieval needs; closed again when the sweep has ended.
        tell: called with a sentence for the user.
    Returns:
        what was found, or None and why.
    """
    info = workspace.catalog.open(request.index).info
    skipped = ""
    for retrievers in (RETRIEVERS, QUICK_RETRIEVERS):
        grid = replace(
            request.grid,
            chunk_sizes=(info.chunk_size,),
            chunk_overlaps=(info.chunk_overlap,),
            models=(),
            retrievers=retrievers,
        )
        try:
            with tools() as opened:
                result = sweep(
                    workspace,
                    replace(request, grid=grid),
                    tools=opened,
                    progress=progress,
                    tell=tell,
                    announce=_refuse_long,
                )
        except _TooLong as error:
            skipped = f"{error}; `rag-app sweep` compares them all the same"
        except RagAppError as error:
            return None, str(error)
        else:
            if skipped:
                tell(f"hybrid:learned was left out: {skipped}")
            return result, ""
    return None, skipped


def _refuse_long(work: SweepWorkload) -> None:
    if work.seconds > MOST_SECONDS:
        raise _TooLong(work)
