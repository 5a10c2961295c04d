"""The model card of a tuned model: the data, the split, and the measured before and after."""

from typing import TYPE_CHECKING

from rag_app.disk import write_whole
from rag_app.finetune.loading import llama_index_code, sentence_transformers_code
from rag_app.models.query_map import QUERY_MAP

if TYPE_CHECKING:
    from rag_app.evaluate.statistics import Estimate
    from rag_app.finetune.request import FinetuneRequest
    from rag_app.finetune.result import FinetuneResult

SHOWN = ("hit_rate@1", "hit_rate@3", "hit_rate@5", "hit_rate@10", "mrr@10", "ndcg@10")


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
        f"- pairs: {source}; trained on: {request.train_on if request.pairs else 'synthetic'} "
        f"({result.data.training_pairs} rows)",
        f"- split by document: {result.data.split['train']} train, {result.data.split['dev']} dev, "
        f"{result.data.split['test']} test pairs",
        "",
        "## Training",
        "",
        f"- loss {options.loss}, method {options.method}, {options.epochs} epochs (best: "
        f"{training.best_epoch}), batch {options.batch_size}, learning rate "
        f"{options.learning_rate}, share of the tuned weights {training.blend}, "
        f"seed {options.seed}",
        f"- {training.seconds:.0f} s on {training.device}, {training.pairs_per_second} pairs/s",
        *_adapter(result),
        "",
        f"## Before and after, on {result.judgement.comparison.n} held-out questions",
        "",
        "| metric | base | tuned |",
        "|---|---|---|",
        *(
            f"| {name} | {_cell(result.judgement.comparison.base[name])} "
            f"| {_cell(result.judgement.comparison.tuned[name])} |"
            for name in SHOWN
        ),
        "",
        f"Means with 95 % intervals. Verdict: {result.verdict}.",
        *_canary(result),
        "",
        *_use(result),
    ]
    write_whole(result.model / "README.md", "\n".join(lines))


def _adapter(result: "FinetuneResult") -> list[str]:
    if not (result.model / QUERY_MAP).is_dir():
        return []
    return [
        f"- a question's vector passes through a map (`{QUERY_MAP}`), a passage's does not: use "
        "`encode_query` and `encode_document`, not `encode`. Out-of-domain questions stay as they "
        f"are. Share of whitening that the map began with: {result.training.whitening}.",
    ]


def _use(result: "FinetuneResult") -> list[str]:
    lines = [
        "## Use",
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
    plain, tuned = result.judgement.plain, result.judgement.comparison.tuned
    if plain is not None:
        lines += [
            "Plain `encode`, which LlamaIndex's HuggingFaceEmbedding calls, leaves out prompts and "
            f"the map on questions. On the same held-out questions its mrr@10 is "
            f"{_cell(plain['mrr@10'])} instead of {_cell(tuned['mrr@10'])}.",
            "",
        ]
    return lines


def _canary(result: "FinetuneResult") -> list[str]:
    canary = result.judgement.canary
    if canary is None:
        return []
    before, after = canary.base["mrr@10"], canary.tuned["mrr@10"]
    return [
        "",
        f"On {canary.n} out-of-domain questions, mrr@10: {_cell(before)} before, "
        f"{_cell(after)} after.",
    ]


def _cell(score: "Estimate") -> str:
    return f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]"
