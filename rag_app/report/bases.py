"""What `sweep --tune` found: each model untuned and tuned, with its price."""

from rag_app.evaluate.figures import change_with_interval, with_interval
from rag_app.report.blocks import Paragraph, Section, Table
from rag_app.report.values import BasesValues


def bases_section(bases: BasesValues) -> Section:
    """A row a model, and in words what the first brings over each other."""
    rows = [
        [
            one.model.rsplit("/", 1)[-1],
            with_interval(one.untuned.mrr),
            with_interval(one.tuned.mrr),
            change_with_interval(one.change),
            f"{one.embed_seconds_per_1000:.1f}",
            "" if one.milliseconds is None else f"{one.milliseconds:.0f}",
        ]
        for one in bases.runs
    ]
    heads = ["model", "MRR@10, untuned", "tuned", "change", "s for 1,000 passages", "ms a question"]
    said = [Paragraph(reason) for reason in bases.reasons]
    return Section("Models, untuned and tuned", [Table(heads, rows), *said])
