"""What `sweep --tune` prints: each model untuned and tuned, with its price."""

from typing import TYPE_CHECKING

from rag_app.cli.printing import shown
from rag_app.cli.run import Run
from rag_app.cli.scores import cell, head
from rag_app.cli.tables import TextTable, table

if TYPE_CHECKING:
    from rag_app.sweep.bases import Bases


def show_bases(run: Run, found: "Bases") -> None:
    """Two tables, since one would be wider than a terminal, and the reasons."""
    from rag_app.sweep.bases import SHOWN

    for metric in SHOWN:
        rows = [
            (shown(one.label), *(cell(score) for score in one.scores(metric, seed=found.seed)))
            for one in found.bases
        ]
        heads = (head(metric), "untuned", "tuned")
        run.out.print(table(heads, rows, least=["untuned"]), "")
    run.out.print(_prices(found), "")
    for reason in found.reasons:
        run.say(reason)
    run.say(
        "nothing was put into service: to have one of them judged with its canary, run `rag-app "
        "ingest PATH --model MODEL --use`, then `rag-app finetune --pairs FILE`"
    )


def _prices(found: "Bases") -> TextTable:
    rows = [
        (
            shown(one.label),
            f"{one.embed_seconds:.1f}",
            f"{one.tuned.milliseconds or 0:.0f}",
            "" if one.tuned.built.megabytes is None else f"{one.tuned.built.megabytes:.0f}",
        )
        for one in found.bases
    ]
    heads = ("price", "s to embed 1,000 passages", "ms a question", "index MB")
    return table(heads, rows)
