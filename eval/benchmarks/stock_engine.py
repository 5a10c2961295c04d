"""LlamaIndex's SentenceTransformersFinetuneEngine, as its documentation uses it, for comparison."""

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

with warnings.catch_warnings():
    # It says of itself that it is no longer maintained.
    warnings.simplefilter("ignore")
    from llama_index.finetuning import (
        EmbeddingQAFinetuneDataset,
        SentenceTransformersFinetuneEngine,
    )


def train_llama_index(
    base: Any,
    pairs: Sequence[tuple[str, str]],
    target: Path,
    *,
    max_tokens: int | None = None,
    device: str = "cpu",
    **arguments: Any,
) -> Path:
    """Train on question/passage pairs and return the folder of the model.

    Arguments:
        max_tokens: where texts are cut; by default where the model does.
        arguments: of the engine, where they are not its defaults.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset, few = (
            EmbeddingQAFinetuneDataset(
                queries={str(number): question for number, (question, _) in enumerate(rows)},
                corpus={str(number): passage for number, (_, passage) in enumerate(rows)},
                relevant_docs={str(number): [str(number)] for number in range(len(rows))},
            )
            for rows in (pairs, pairs[:2])
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(target.parent):  # it makes ./checkpoints
            engine = SentenceTransformersFinetuneEngine(
                dataset,
                model_id=str(base.folder),
                model_output_path=str(target),
                show_progress_bar=False,
                # Without a validation set it raises; evaluating is no part of what is compared.
                val_dataset=few,
                evaluation_steps=10**6,
                device=device,
                **arguments,
            )
            engine.model.max_seq_length = max_tokens or base.max_tokens
            engine.finetune()
    return target
