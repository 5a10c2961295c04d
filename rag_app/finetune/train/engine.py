"""Fine-tuning an embedding model, behind LlamaIndex's finetune-engine interface."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rag_app.disk import whole_folder
from rag_app.environment import root_logger_kept
from rag_app.finetune.data.dev import DevSet
from rag_app.finetune.options import (
    REPORT_FILE,
    TrainingOptions,
    TrainingReport,
    TrainingRow,
    read_report,
    write_report,
)
from rag_app.finetune.train.blend import set_blend
from rag_app.finetune.train.both_trainers import report_of
from rag_app.finetune.train.callbacks import Diverged, StepLog, unlogged
from rag_app.finetune.train.memory import free_memory
from rag_app.finetune.train.processes import send
from rag_app.finetune.train.run import Trained, TrainingJob, train
from rag_app.models import EmbeddingModel
from rag_app.models.device import choose_device
from rag_app.progress import Progress, silent

with warnings.catch_warnings(), root_logger_kept():
    # The package calls itself deprecated at import; its engine interface is all that is used.
    warnings.simplefilter("ignore")
    from llama_index.finetuning.types import BaseEmbeddingFinetuneEngine

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from sentence_transformers import SentenceTransformer


class EmbeddingFinetuneEngine(BaseEmbeddingFinetuneEngine):
    """Trains a copy of `base` on question/passage pairs and saves it as a folder.

    A run that was killed goes on from its last checkpoint when it is started again with the same
    arguments; a run whose folder is there already is not run again.

    Arguments:
        base: the model to start from; it is not changed.
        rows: positive pairs.
        dev: questions by which the best epoch is chosen; without them the last epoch is taken.
        target: the folder to write; checkpoints stand in `<target>.training` until it is whole.
        log: called with loss, learning rate and dev MRR@10 as they are known.
        padded: train on padded batches, also where packed texts are faster; see fast_path.py.
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
        padded: bool = False,
        progress: Progress = silent,
        log: StepLog = unlogged,
    ) -> None:
        self.base = base
        self.rows = rows
        self.dev = dev
        self.target = target
        self.options = options
        self.device = choose_device(device)
        self.padded = padded
        self.progress = progress
        self.log = log
        self.report: TrainingReport | None = None

    def finetune(self, **_: Any) -> None:
        """Train and save; `report` says what was measured.

        Raises:
            TrainingError: training diverges, the memory is too small, or a loss or method is
                unknown or does not fit the model.
            StorageError: the disk is full.
        """
        if (self.target / REPORT_FILE).is_file():
            self.report = read_report(self.target)
            return
        job = TrainingJob(
            base=self.base.folder,
            prompts=self.base.prompts,
            max_tokens=self.base.max_tokens,
            rows=self.rows,
            dev=self.dev,
            options=self.options,
            device=self.device,
            work=self.target.with_name(self.target.name + ".training"),
            padded=self.padded,
        )
        send(job)
        # Two copies of a large model, tokenizers included, would not fit a small machine.
        self.base.unload()
        free_memory()
        try:
            trained = train(job, progress=self.progress, log=self.log)
            if trained.diverged:
                self._keep_what_is_good(trained)
        except Diverged:
            shutil.rmtree(job.work, ignore_errors=True)  # Nothing in it is worth going on from.
            raise
        self._blend(trained.model)
        self.report = self._measure(trained, self.options.blend)
        self._save(trained.model, self.target)
        shutil.rmtree(job.work, ignore_errors=True)

    def get_finetuned_model(self, **_: Any) -> "BaseEmbedding":
        """The tuned model as a LlamaIndex embedding."""
        from rag_app.models.llama_index import Embedding

        return Embedding(self.load())

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

    def _keep_what_is_good(self, trained: Trained) -> NoReturn:
        """Save the weights of the last epoch before training diverged, and say where."""
        epochs = trained.whole_epochs
        kept = self.target.with_name(f"{self.target.name}-epoch-{epochs}")
        self.report = self._measure(trained, 1.0)
        self._save(trained.model, kept)
        raise Diverged(
            f"{trained.diverged}. The model as it was after epoch {epochs} is kept in {kept}"
        )

    def _blend(self, model: "SentenceTransformer") -> None:
        """Average with the base weights."""
        share = self.options.blend
        if share == 1.0:
            return
        into = dict(model.named_parameters())
        tuned = {name: weights.detach().clone() for name, weights in into.items()}
        set_blend(into, dict(self.base.transformer.named_parameters()), tuned, share)

    def _measure(self, trained: Trained, blend: float) -> TrainingReport:
        return report_of(
            trained.history,
            self.options,
            self.device,
            seconds=trained.seconds,
            pairs_per_second=trained.pairs_per_second,
            blend=blend,
        )

    def _save(self, model: "SentenceTransformer", target: Path) -> None:
        with whole_folder(target) as folder:
            model.max_seq_length = self.base.max_tokens
            model.prompts = self.base.prompts.by_task()
            model.save_pretrained(str(folder), create_model_card=False)
            write_report(self.finished_report(), folder)
