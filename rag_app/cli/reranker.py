"""`finetune --what reranker`: what it prints."""

from typing import TYPE_CHECKING

from rag_app.cli.report import report_on
from rag_app.cli.run import Run
from rag_app.cli.scores import comparison_table
from rag_app.cli.tuning import best_epoch, show_left_out

if TYPE_CHECKING:
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.reranker_result import RerankerResult
    from rag_app.index import Workspace


def tune(
    run: Run,
    workspace: "Workspace",
    request: "FinetuneRequest",
    *,
    base: str | None,
    fetch_k: int | None,
) -> None:
    """Train, judge and print."""
    from rag_app.finetune.reranker import RerankerOptions, tune_reranker

    given = {"base": base, "candidates": fetch_k}
    options = RerankerOptions(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    result = tune_reranker(workspace, request, options, progress=run.progress, tell=run.note)
    show_reranker(run, result)
    run.result({**result.to_json(), **report_on(run, result.results)})


def show_reranker(run: Run, result: "RerankerResult") -> None:
    """How pairs were used, scores, verdict, price, and how the reranker is asked for."""
    from rag_app.finetune.judge import PROMISES

    material, training, fetch_k = result.material, result.training, result.retrieval.fetch_k
    left_out = material.split.repeat_test
    show_left_out(run, material.unmatched, material.self_answering, left_out)
    run.say(
        f"trained on {len(material.rows)} pairs in {training.seconds:.0f} s ({training.device}, "
        f"peak memory {training.peak_memory_mb} MB); {best_epoch(training)}"
    )
    for what, comparison in result.held_out.items():
        title = (
            f"{comparison.n} held-out questions: {PROMISES[what]} (base: vector, tuned: the "
            f"nearest {fetch_k} reranked)"
        )
        run.out.print(comparison_table(comparison, title=title), "")
    run.say(f"reading {fetch_k} passages again took {result.ms_per_question:.0f} ms a question")
    run.say(str(result.verdict), style="bold")
    run.say(f"model: {result.model}")
    run.say(f"every question: {result.results}")
    run.say(
        "it is not in service; to ask with it: `rag-app query --retriever "
        f"{result.retrieval.spec} --fetch-k {fetch_k}`"
    )
