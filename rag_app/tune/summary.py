"""Three sentences at the end: what was measured, what is in service, what to do next."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.tune.stage import TuneResult


def summary(result: "TuneResult") -> list[str]:
    """The three sentences."""
    return [measured(result), serving(result), advice(result)]


def measured(result: "TuneResult") -> str:
    """The verdict with its interval."""
    return f"measured: {result.finetune.verdict}"


def serving(result: "TuneResult") -> str:
    """The index in service, who made it, and how it is searched."""
    tuned = result.finetune
    if result.in_service is None:
        return "in service: no index"
    if result.in_service == tuned.index:
        model = f"the tuned model {tuned.model.name}"
    elif result.in_service == tuned.base_index:
        model = f"the base model {tuned.base_model}"
    else:
        model = "another model than those that were measured"
    return f"in service: index {result.in_service}, made by {model}, asked with {result.retriever}"


def advice(result: "TuneResult") -> str:
    """What to do next, by the verdict and by who asked the questions."""
    tuned, decision = result.finetune, result.finetune.verdict.decision
    if decision == "promote" and not tuned.promoted:
        then = f"`rag-app index use {tuned.index}` puts the tuned index into service"
    elif decision == "promote":
        then = "`rag-app query` asks the tuned index, and `rag-app index rollback` takes it back"
    elif decision == "hold":
        then = (
            "`rag-app query` asks the index as it was; with more questions the same command may "
            "decide"
        )
    else:
        then = (
            "the base stays; `rag-app sweep --models A,B --chunk-sizes 256 --tune` compares it "
            "with others"
        )
    if result.questions is None:
        return f"next: {then}"
    return (
        f"next: {then}; the questions were written by {result.questions.generator}: your own, with "
        "--pairs FILE, say more"
    )
