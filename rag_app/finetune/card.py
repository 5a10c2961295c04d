"""The model card of a tuned model: the data, the split, and the measured before and after."""

from typing import TYPE_CHECKING

from rag_app.disk import write_whole
from rag_app.evaluate.display import SHOWN_METRICS
from rag_app.evaluate.figures import change_with_interval, score, with_interval
from rag_app.finetune.judge import PROMISES
from rag_app.finetune.loading import (
    USE,
    llama_index_code,
    of_plain_encode,
    sentence_transformers_code,
)
from rag_app.models.query_map import QUERY_MAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag_app.finetune.back_off import Candidate
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.result import FinetuneResult
    from rag_app.pairs import HeldOut


def write_card(result: "FinetuneResult", request: "FinetuneRequest") -> None:
    """Write `README.md` into the model's folder."""
    options, training = result.options, result.training
    source = str(request.pairs) if request.pairs else "generated questions"
    lines = [
        "---",
        "library_name: sentence-transformers",
        "pipeline_tag: sentence-similarity",
        f"base_model: {result.base_model}",
        "---",
        f"# {result.model.name}",
        "",
        f"{result.base_model}, tuned by rag_app for one collection of documents.",
        "",
        "## Data",
        "",
        f"- pairs: {source}; trained on: {request.trained_on} ({result.data.training_pairs} rows)",
        _split(result),
        "",
        "## Training",
        "",
        f"- loss {options.loss}, method {options.method}, {training.epochs or options.epochs} "
        f"epochs (best: {training.best_epoch}), batch {options.batch_size}, learning rate "
        f"{options.learning_rate}, share of the tuned weights {training.blend}, "
        f"seed {options.seed}",
        f"- {training.seconds:.0f} s on {training.device}, {training.pairs_per_second} pairs/s",
        *_adapter(result),
        *_refit(result),
        "",
        *(line for what in result.judgement.held_out for line in _before_and_after(result, what)),
        f"Means with 95 % intervals. Verdict: {result.verdict}.",
        *_canary(result),
        "",
        *_use(result),
    ]
    write_whole(result.model / "README.md", "\n".join(lines))


def _split(result: "FinetuneResult") -> str:
    split, folds = result.data.split, result.data.folds
    how = f"{folds} splits, the first with" if folds > 1 else "split:"
    known = f", {split['known']} test pairs about documents that are trained on"
    return (
        f"- {how} {split['train']} train, {split['dev']} dev, {split['test']} test pairs"
        f"{known if split['known'] else ''}"
    )


def _refit(result: "FinetuneResult") -> list[str]:
    refit = result.refit
    if refit is None or refit.refused:
        return []
    return [
        f"- these weights are a refit of {refit.judged.name}: the same training on all "
        f"{refit.pairs} pairs. The scores below are those of the judged model, on questions that "
        "it never saw; none are left that this one did not see."
    ]


def _before_and_after(result: "FinetuneResult", what: "HeldOut") -> list[str]:
    compared = result.judgement.held_out[what]
    return [
        f"## Before and after, on {compared.n} {PROMISES[what]}",
        "",
        "| metric | base | tuned |",
        "|---|---|---|",
        *(
            f"| {name} | {with_interval(compared.base[name])} "
            f"| {with_interval(compared.tuned[name])} |"
            for name in SHOWN_METRICS
        ),
        "",
    ]


def _adapter(result: "FinetuneResult") -> list[str]:
    if not (result.model / QUERY_MAP).is_dir():
        return []
    return [
        f"- query adapter (`{QUERY_MAP}`): a linear map on query vectors; passages keep theirs. "
        "Use `encode_query` and `encode_document`, not `encode`. Share of whitening that its "
        f"training began with: {result.training.whitening}.",
    ]


def _use(result: "FinetuneResult") -> list[str]:
    lines = [
        USE,
        "",
        "As it was judged, in sentence-transformers:",
        "",
        "```python",
        *sentence_transformers_code(result.model),
        "```",
        "",
        "and in LlamaIndex:",
        "",
        "```python",
        *llama_index_code(result.model),
        "```",
        "",
    ]
    plain, tuned = result.judgement.plain, result.judgement.tuned_vector
    if plain is not None:
        lines += [of_plain_encode(plain["mrr@10"], tuned["mrr@10"]), ""]
    return lines


def _canary(result: "FinetuneResult") -> list[str]:
    canary = result.judgement.canary
    if canary is None:
        return []
    before, after = canary.base["mrr@10"], canary.tuned["mrr@10"]
    return [
        "",
        f"On {canary.n} out-of-domain questions, mrr@10: {with_interval(before)} before, "
        f"{with_interval(after)} after.",
        *_frontier(result.frontier),
    ]


def _frontier(tried: "Sequence[Candidate]") -> list[str]:
    if not tried:
        return []
    return [
        "",
        "What was trained did certain harm there. Forms that were tried, strongest first, each "
        "against the base:",
        "",
        "| candidate | dev MRR@10 | canary MRR@10 | chosen |",
        "|---|---|---|---|",
        *(
            f"| {one.name} | {'' if one.dev_mrr is None else score(one.dev_mrr)} "
            f"| {change_with_interval(one.canary)} "
            f"| {'yes' if one.chosen else ''} |"
            for one in tried
        ),
    ]
