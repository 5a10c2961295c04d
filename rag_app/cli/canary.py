"""What out-of-domain questions say of a tuning, and what was weakened for them."""

from typing import TYPE_CHECKING

from rag_app.cli.scores import figure, signed
from rag_app.cli.tables import table

if TYPE_CHECKING:
    from rag_app.cli.run import Run
    from rag_app.evaluate.statistics import Difference
    from rag_app.finetune.result import FinetuneResult

HEADS = ("candidate", "dev MRR@10", "canary MRR@10", "chosen")


def show_canary(run: "Run", result: "FinetuneResult") -> None:
    """A table of what was tried, where something had to be, and one line of what it came to."""
    canary, options = result.judgement.canary, result.canary_options
    if canary is None:
        mend = "" if options.use == "none" else "; name out-of-domain data with --canary"
        run.say(f"canary skipped: {result.judgement.canary_skipped}{mend}")
        return
    if result.frontier:
        _show_frontier(run, result)
    before, after = canary.base["mrr@10"].mean, canary.tuned["mrr@10"].mean
    run.say(
        f"canary ({options}), {canary.n} out-of-domain questions, which tuning should not harm: "
        f"MRR@10 {figure(before)} -> {figure(after)} ({_change(canary.differences['mrr@10'])})"
        + _done(result)
    )


def _done(result: "FinetuneResult") -> str:
    if result.canary_options.use == "report":
        return "; reported only, as --canary says"
    if not result.frontier:
        return "; no certain fall, so nothing was weakened"
    folds = result.data.folds
    return f"; weakened in {result.weakened} of {folds} splits" if folds > 1 else ""


def _show_frontier(run: "Run", result: "FinetuneResult") -> None:
    frontier = result.frontier
    rows = [
        (
            one.name,
            "-" if one.dev_mrr is None else f"{figure(one.dev_mrr)} ({signed(one.dev_gain or 0)})",
            _change(one.canary),
            "yes" if one.chosen else "",
        )
        for one in frontier
    ]
    title = "what was trained harms out-of-domain questions; milder forms, until one does not"
    title += " (the first split where it does)" if result.data.folds > 1 else ""
    run.out.print(table(HEADS, rows, title=title, least=HEADS[1:2]), "")
    [chosen] = [one for one in frontier if one.chosen]
    if chosen.harms:
        run.say("each of them certainly falls on out-of-domain questions, so the strongest is kept")
    if chosen.dev_fell:
        run.say(f"{chosen.name} is certainly worse than the base on the dev questions")


def _change(change: "Difference") -> str:
    return f"{signed(change.mean)} [{signed(change.low)}, {signed(change.high)}]"
