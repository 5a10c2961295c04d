"""Fine-tuning an embedding model, behind LlamaIndex's finetune-engine interface."""

import json
import math
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentence_transformers import SentenceTransformerTrainer

from rag_app.errors import TrainingError
from rag_app.finetune.batches import batch_count, clean_batches
from rag_app.finetune.dev import DEV_METRIC, DevEvaluator, DevSet
from rag_app.finetune.losses import find_loss
from rag_app.finetune.methods import find_method
from rag_app.finetune.options import TrainingOptions, TrainingReport, TrainingRow
from rag_app.finetune.watch import Watch
from rag_app.models import EmbeddingModel, Prompts
from rag_app.models.embedding import choose_device
from rag_app.progress import Progress, silent

with warnings.catch_warnings():
    # The package calls itself deprecated at import; its engine interface is all that is used.
    warnings.simplefilter("ignore")
    from llama_index.finetuning.types import BaseEmbeddingFinetuneEngine

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from sentence_transformers import SentenceTransformer

REPORT_FILE = "training.json"
LOG_STEPS = 5


class CardlessTrainer(SentenceTransformerTrainer):
    """Leaves the model card to us: gathering examples for theirs takes longer than an epoch."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing is gathered."""


class EmbeddingFinetuneEngine(BaseEmbeddingFinetuneEngine):
    """Trains a copy of `base` on question/passage pairs and saves it as a folder.

    A run that was killed goes on from its last checkpoint when it is started again with the same
    arguments; a run whose folder is there already is not run again.

    Arguments:
        base: the model to start from; it is not changed.
        rows: positive pairs.
        dev: questions by which the best epoch is chosen; without them the last epoch is taken.
        target: the folder to write; checkpoints stand in `<target>.training` until it is whole.
    """

    def __init__(
        self,
        base: EmbeddingModel,
        rows: Sequence[TrainingRow],
        *,
        dev: DevSet | None,
        target: Path,
        options: TrainingOptions,
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.base = base
        self.rows = rows
        self.dev = dev
        self.target = target
        self.options = options
        self.device = choose_device(device)
        self.progress = progress
        self.report: TrainingReport | None = None

    def finetune(self, **_: Any) -> None:
        """Train and save; `report` says what was measured.

        Raises:
            TrainingError: the loss is no number, or a loss or method is unknown.
        """
        if (self.target / REPORT_FILE).is_file():
            self.report = read_report(self.target)
            return
        work = self.target.with_name(self.target.name + ".training")
        trainer, steps, seconds = self._train(work)
        check_finite(trainer.model)
        self.report = self._measure(trainer, steps, seconds)
        self._save(trainer.model, work)

    def get_finetuned_model(self, **_: Any) -> "BaseEmbedding":
        """The tuned model as a LlamaIndex embedding."""
        from rag_app.models.llama import LlamaEmbedding

        return LlamaEmbedding(self.load())

    def finished_report(self) -> TrainingReport:
        """What was measured.

        Raises:
            RuntimeError: called before `finetune`.
        """
        if self.report is None:
            raise RuntimeError("finetune() has not run")
        return self.report

    def load(self) -> EmbeddingModel:
        """The tuned model; its name is that of its folder under `<storage>/models`."""
        return EmbeddingModel(self.target.name, self.target, device=self.device)

    def _train(self, work: Path) -> tuple[Any, int, float]:
        """Train; returns the trainer, the steps of this run, and its seconds."""
        from transformers import set_seed
        from transformers.trainer_callback import PrinterCallback

        set_seed(self.options.seed)
        model = self._fresh_model()
        loss = find_loss(self.options.loss)
        trainer = CardlessTrainer(
            model=model,
            args=self._arguments(work),
            train_dataset=self._dataset(loss.columns),
            loss=loss.build(model),
            evaluator=DevEvaluator(self.dev, self.base.prompts) if self.dev else None,
            callbacks=[Watch(self.progress)],
        )
        # Its own reports would be printed over ours.
        trainer.remove_callback(PrinterCallback)
        checkpoint = last_whole_checkpoint(work)
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=checkpoint)
        resumed_at = int(checkpoint.rsplit("-", 1)[-1]) if checkpoint else 0
        return trainer, trainer.state.global_step - resumed_at, time.monotonic() - started

    def _fresh_model(self) -> "SentenceTransformer":
        model = EmbeddingModel(self.base.name, self.base.folder, device=self.device).transformer
        model.max_seq_length = min(self.options.max_tokens, self.base.max_tokens)
        find_method(self.options.method)(model)
        return model

    def _arguments(self, work: Path) -> Any:
        from sentence_transformers import SentenceTransformerTrainingArguments

        each_epoch = "epoch" if self.dev else "no"
        return SentenceTransformerTrainingArguments(
            output_dir=str(work),
            num_train_epochs=self.options.epochs,
            per_device_train_batch_size=self.options.batch_size,
            learning_rate=self.options.learning_rate,
            warmup_steps=self.options.warmup_share,
            batch_sampler=clean_batches([row.group for row in self.rows]),
            prompts=column_prompts(self.base.prompts),
            seed=self.options.seed,
            data_seed=self.options.seed,
            use_cpu=self.device == "cpu",
            bf16=has_bf16(self.device),
            eval_strategy=each_epoch,
            save_strategy="epoch",
            save_total_limit=2,
            load_best_model_at_end=self.dev is not None,
            metric_for_best_model=f"eval_{DEV_METRIC}" if self.dev else None,
            greater_is_better=True if self.dev else None,
            logging_steps=LOG_STEPS,
            # Otherwise a loss that is no number is logged as the last one that was.
            logging_nan_inf_filter=False,
            dataloader_pin_memory=self.device == "cuda",
            disable_tqdm=True,
            log_level="error",
            report_to=[],
        )

    def _dataset(self, columns: Sequence[str]) -> Any:
        from datasets import Dataset

        values = {
            "anchor": [row.question for row in self.rows],
            "positive": [row.passage for row in self.rows],
        }
        return Dataset.from_dict({column: values[column] for column in columns})

    def _measure(self, trainer: Any, steps: int, seconds: float) -> TrainingReport:
        history = trainer.state.log_history
        dev_mrr = [log[f"eval_{DEV_METRIC}"] for log in history if f"eval_{DEV_METRIC}" in log]
        groups = [row.group for row in self.rows]
        pairs = steps * len(self.rows) / batch_count(groups, self.options.batch_size)
        best = 1 + dev_mrr.index(max(dev_mrr)) if dev_mrr else self.options.epochs
        return TrainingReport(
            seconds=round(seconds, 2),
            pairs_per_second=round(pairs / seconds, 2),
            peak_memory_mb=peak_memory_mb(self.device),
            device=self.device,
            bf16=has_bf16(self.device),
            best_epoch=best,
            dev_mrr=[round(value, 6) for value in dev_mrr],
            losses=[log["loss"] for log in history if math.isfinite(log.get("loss", math.nan))],
        )

    def _save(self, model: "SentenceTransformer", work: Path) -> None:
        """Write beside the target, then rename: a folder by its final name is whole."""
        partial = self.target.with_name(self.target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        model.max_seq_length = self.base.max_tokens
        model.prompts = {"query": self.base.prompts.query, "document": self.base.prompts.passage}
        model.save_pretrained(str(partial), create_model_card=False)
        (partial / REPORT_FILE).write_text(
            json.dumps(asdict(self.finished_report()), indent=2), "utf-8"
        )
        partial.rename(self.target)
        shutil.rmtree(work, ignore_errors=True)


def read_report(folder: Path) -> TrainingReport:
    """What the training of a saved model measured."""
    return TrainingReport(**json.loads((folder / REPORT_FILE).read_text("utf-8")))


def check_finite(model: "SentenceTransformer") -> None:
    """Refuse weights that are no numbers, which a short training never logs.

    Raises:
        TrainingError: one is not finite.
    """
    if not all(bool(weights.isfinite().all()) for weights in model.parameters()):
        raise TrainingError(
            "training left weights that are no numbers; run again with a smaller --learning-rate"
        )


def last_whole_checkpoint(work: Path) -> str | None:
    """The newest checkpoint that was written to its end; torn ones are removed.

    The trainer's state is the last file that it writes.
    """
    checkpoints = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]))
    for checkpoint in reversed(checkpoints):
        if (checkpoint / "trainer_state.json").is_file():
            return str(checkpoint)
        shutil.rmtree(checkpoint)
    return None


def column_prompts(prompts: Prompts) -> dict[str, str] | None:
    """Prompts by training column, for the trainer."""
    by_column = {"anchor": prompts.query, "positive": prompts.passage}
    return by_column if prompts.query or prompts.passage else None


def has_bf16(device: str) -> bool:
    """Whether this device multiplies bfloat16 in hardware."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def peak_memory_mb(device: str) -> int:
    """Largest resident size of this process, or largest allocation on the GPU."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated() / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6) if sys.platform == "darwin" else int(peak * 1024 / 1e6)
