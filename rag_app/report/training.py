"""What a tuning's report says of its data, its training, what it costs, and out-of-domain harm."""

from rag_app.evaluate.figures import change, change_with_interval, score, with_interval
from rag_app.evaluate.verdict import PRIMARY_METRIC
from rag_app.finetune.options import LOG_STEPS
from rag_app.report.blocks import Block, Figure, Paragraph, Section, Table
from rag_app.report.figures import left_out_of_index, metric_name, seconds
from rag_app.report.plots import training_plot
from rag_app.report.values import FinetuneValues, Training
from rag_app.text.counts import counted

PARTS = {
    "train": "trained on",
    "dev": "chose the checkpoint",
    "test": "held out, about new documents",
    "known": "held out, about documents that other questions are trained on",
}


def training_section(values: FinetuneValues) -> Section | None:
    """Loss and dev score by epoch, and the training score beside the held-out one."""
    training = values.training
    blocks: list[Block] = []
    if training.losses:
        blocks.append(_loss_plot(training))
    if training.dev_mrr:
        blocks.append(training_plot("dev MRR@10", training.dev_mrr, is_score=True))
    if not blocks and values.on_training_questions is None:
        return None
    return Section(
        "Training", [Paragraph(_kept(values)), *blocks, *_training_beside_held_out(values)]
    )


def _loss_plot(training: Training) -> Figure:
    """By epoch where there is one loss for each, as of an adapter; else by step."""
    losses = training.losses
    if len(losses) == (training.epochs or len(training.dev_mrr)):
        return training_plot("training loss", losses, is_score=False)
    return training_plot("training loss", losses, is_score=False, unit="step", every=LOG_STEPS)


def _kept(values: FinetuneValues) -> str:
    """The epoch that was kept, and why there are others than were asked for."""
    best, trained = values.training.best_epoch, values.training.epochs
    of = f" of {trained}" if trained else ""
    said = f"Epoch {best}{of} was kept." if best else "No epoch beat the starting point on dev."
    asked = values.options.get("epochs")
    if not trained or not asked or trained == asked:
        return said
    return f"{said} A query adapter trains {trained} short epochs for epochs = {asked}."


def _training_beside_held_out(values: FinetuneValues) -> list[Block]:
    on_training = values.on_training_questions
    if on_training is None:
        return []
    held_out = next(iter(values.held_out.values()))
    rows = [
        [name, *(with_interval(side[metric]) for side in (both.base, both.tuned))]
        for metric in ("hit_rate@1", PRIMARY_METRIC)
        for name, both in (
            (f"{metric_name(metric)}, training questions", on_training),
            (f"{metric_name(metric)}, held-out questions", held_out),
        )
    ]
    caption = "scores on training questions are no measure of quality; they show what was learned"
    return [Table(["score on", "base", "tuned"], rows, caption)]


def data_section(values: FinetuneValues) -> Section:
    """How the pairs were split, and what was left out."""
    rows = [[PARTS.get(part, part), f"{count:,}"] for part, count in values.split.items() if count]
    how = "one split; near-duplicate documents stay in one part"
    if values.folds > 1:
        how = f"{values.folds} splits; trained on and dev are those of the first"
    if values.test_is_given:
        how = "the held-out questions are those of the test file"
    blocks: list[Block] = [Table(["pairs", "how many"], rows, how)]
    dropped = []
    if values.unmatched:
        dropped.append(left_out_of_index(values.unmatched, values.unmatched_example))
    if values.self_answering:
        dropped.append(
            f"{counted(values.self_answering, 'question')} left out: they repeat the passage that "
            "answers them."
        )
    if values.repeat_test:
        dropped.append(
            f"{counted(values.repeat_test, 'pair')} not trained on: a question of the test file "
            "asks the same."
        )
    cut = values.cut_passages
    if cut and cut.count:
        dropped.append(
            f"{cut.count:,} of {cut.of:,} passages are longer than the {cut.max_tokens} tokens "
            "that training read of each."
        )
    return Section("Pairs", [*blocks, *map(Paragraph, dropped)])


def canary_section(values: FinetuneValues) -> Section | None:
    """What out-of-domain questions say, and the forms that were tried for them."""
    canary = values.canary
    if canary is None:
        return None
    before, after = canary.base[PRIMARY_METRIC], canary.tuned[PRIMARY_METRIC]
    found = change_with_interval(canary.differences[PRIMARY_METRIC])
    use = {"guard": "a certain fall weakens or holds the model", "report": "only measured"}
    blocks: list[Block] = [
        Paragraph(
            f"{counted(canary.n, 'out-of-domain question')}, which tuning should not harm "
            f"({use.get(values.canary_use, values.canary_use)}): MRR@10 {with_interval(before)} "
            f"before, {with_interval(after)} after, {found}."
        )
    ]
    if values.frontier:
        rows = [
            [
                one.name,
                ""
                if one.dev_mrr is None
                else f"{score(one.dev_mrr)} ({change(one.dev_gain or 0)})",
                change_with_interval(one.canary),
                "yes" if one.chosen else "",
            ]
            for one in values.frontier
        ]
        heads = ["form", "dev MRR@10 (gain)", "canary MRR@10, change", "chosen"]
        caption = "what was trained does certain harm there; milder forms, until one does not"
        if values.folds > 1 and values.weakened:
            where = f"in {values.weakened} of {values.folds} splits, here in the first of them"
            caption = f"{caption}: {where}"
        blocks.append(Table(heads, rows, caption))
    return Section("Out-of-domain questions (canary)", blocks)


def cost_section(values: FinetuneValues) -> Section:
    """Time and memory."""
    training = values.training
    rows = [
        ["the whole command", seconds(values.seconds)],
        ["training alone", f"{seconds(training.seconds)} on {training.device}"],
        ["speed of training", f"{training.pairs_per_second:,.0f} pairs a second"],
        ["peak memory", f"{training.peak_memory_mb:,} MB"],
    ]
    if values.ms_per_question is not None:
        read = f", reading {values.fetch_k} passages again" if values.fetch_k else ""
        rows.append(["a question", f"{values.ms_per_question:.0f} ms{read}"])
    if values.ann_recall is not None:
        found = f"{100 * values.ann_recall:.3g} % of the exact ten nearest"
        rows.append(["found by the index's own search", found])
    return Section("Cost", [Table(["", ""], rows)])
