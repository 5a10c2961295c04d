"""sentence-transformers' own trainer as its documentation recommends it, for comparison.

MultipleNegativesRankingLoss over batches without duplicates, with the prompts and the temperature
that the model was made with, in bfloat16 where the device multiplies it. The best epoch is chosen
by MRR@10 on dev questions. Nothing of rag_app takes part in the training: all weights are trained,
word embeddings among them, dropout stays, and texts are padded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "dev"
METRIC = f"eval_{NAME}_cosine_mrr@10"


def train_stock(
    base: Any,
    pairs: Sequence[tuple[str, str]],
    target: Path,
    *,
    dev: Any,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup_share: float,
    bf16: bool,
    seed: int,
    device: str = "cpu",
    max_tokens: int | None = None,
) -> list[float]:
    """Train on question/passage pairs and save the model's folder as `target`.

    Arguments:
        base: our model, of which its folder, prompts, temperature and limit are read.
        dev: questions, passages and the numbers of the right ones; None: the last epoch is taken.
        max_tokens: of a text; None for as many as the model takes.
    Returns:
        the dev MRR@10 of each epoch.
    """
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = SentenceTransformer(
        str(base.folder),
        device=device,
        local_files_only=True,
        model_kwargs={"dtype": "float32"},
    )
    model.max_seq_length = max_tokens or base.max_tokens
    model.prompts = {"query": base.prompts.query, "document": base.prompts.passage}
    questions, passages = zip(*pairs, strict=True)
    prompts = {"anchor": base.prompts.query, "positive": base.prompts.passage}
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=f"{target}.training",
            num_train_epochs=epochs,
            per_device_train_batch_size=batch_size,
            learning_rate=learning_rate,
            warmup_steps=warmup_share,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            prompts={column: prompt for column, prompt in prompts.items() if prompt} or None,
            seed=seed,
            use_cpu=device == "cpu",
            bf16=bf16,
            eval_strategy="epoch" if dev else "no",
            save_strategy="epoch" if dev else "no",
            save_only_model=True,
            load_best_model_at_end=dev is not None,
            metric_for_best_model=METRIC if dev else None,
            greater_is_better=True if dev else None,
            disable_tqdm=True,
            log_level="error",
            report_to=[],
        ),
        train_dataset=Dataset.from_dict({"anchor": questions, "positive": passages}),
        loss=MultipleNegativesRankingLoss(model, scale=round(1 / base.temperature)),
        evaluator=_evaluator(dev, base) if dev else None,
    )
    trainer.train()
    model.save_pretrained(str(target), create_model_card=False)
    return [log[METRIC] for log in trainer.state.log_history if METRIC in log]


def _evaluator(dev: Any, base: Any) -> Any:
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    return InformationRetrievalEvaluator(
        queries={str(number): question for number, question in enumerate(dev.questions)},
        corpus={str(number): passage for number, passage in enumerate(dev.passages)},
        relevant_docs={
            str(number): {str(row) for row in rows} for number, rows in enumerate(dev.gold)
        },
        mrr_at_k=[10],
        name=NAME,
        write_csv=False,
        query_prompt=base.prompts.query or None,
        corpus_prompt=base.prompts.passage or None,
    )
