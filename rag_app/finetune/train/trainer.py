"""sentence-transformers' trainer, keeping only what training changes.

Names that are private to others or not documented, tried with transformers 5.23.0,
sentence-transformers 6.2.0 and accelerate 1.15.0:
    sentence-transformers' trainer: add_model_card_callback
    accelerate's Accelerator: device_placement
    their checkpoints: `CHECKPOINT_NAMES`, without which they hold whole models
"""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from transformers import TrainerCallback

from rag_app.finetune.train.cuda_graph import CudaGraphStep
from rag_app.finetune.train.fast_path import cuda_graph_step, tell_missing
from rag_app.finetune.train.processes import world_size
from rag_app.models.embedding import load_transformer
from rag_app.progress import Progress, silent

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "trained.safetensors"
# What a killed training may lose; a checkpoint takes about a second.
SECONDS_APART = 20
# Methods of sentence-transformers' trainer that `PairTrainer` has its own of.
CHECKPOINT_NAMES = ("_save_checkpoint", "_save", "_load_from_checkpoint", "_load_best_model")


class WholeModelTrainer(SentenceTransformerTrainer):
    """Takes CUDA-graph steps where they are faster; checkpoints are sentence-transformers' own.

    They hold the model alone: not a decoder that belongs to the loss, and of LoRA's layers, which
    a loaded model does not have, nothing that could be restored.
    """

    graph_step: CudaGraphStep | None = None
    progress: Progress = staticmethod(silent)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing is gathered: for theirs, looking for examples takes longer than an epoch."""

    def get_train_dataloader(self) -> Any:
        """Batches as they were made: steps take them to the device, each in its way."""
        placed = self.accelerator.device_placement
        self.accelerator.device_placement = False
        try:
            return super().get_train_dataloader()
        finally:
            self.accelerator.device_placement = placed

    def create_optimizer(self, model: Any = None) -> Any:
        """The optimizer, whose steps may be part of a CUDA graph."""
        optimizer = super().create_optimizer(model)
        self.graph_step = cuda_graph_step(self, optimizer, self._loss_of, progress=self.progress)
        return optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], *counts: Any) -> "torch.Tensor":
        """The loss of a step; a CUDA-graph step leaves no gradients to the optimizer."""
        loss: torch.Tensor | None = None
        if self.graph_step:
            columns, _ = self.collect_features(inputs)
            loss = self.graph_step.step(columns)
        if loss is None:
            loss = super().training_step(model, inputs, *counts)
        return loss

    def _loss_of(self, packed: dict[str, Any], counts: Any) -> "torch.Tensor":
        with self.compute_loss_context_manager():
            loss: torch.Tensor = self.loss.of_packed_columns(packed, counts)
        return loss

    def restore(self, checkpoint: str) -> None:
        """Take the weights of a checkpoint."""
        saved = load_transformer(Path(checkpoint), "cpu")
        self.model.load_state_dict(saved.state_dict())


class PairTrainer(WholeModelTrainer):
    """Checkpoints hold the weights that are trained, those of the loss included.

    A whole model would be written and read at every epoch, and loaded a second time to restore
    the best; of multilingual-e5-small four fifths never change. A decoder that belongs to the loss
    would be lost and start anew when a run goes on. After an epoch that is not the best so far
    there is one only where the last was written a while ago.
    """

    written_at = -math.inf

    def trained_weights(self) -> dict[str, "torch.Tensor"]:
        """Weights with a gradient, by name; those that two names share stand under the first."""
        parts = {"model": self.model, "loss": self.loss}
        seen: set[int] = set()
        named = {}
        for part, module in parts.items():
            for name, weights in module.named_parameters():
                if weights.requires_grad and id(weights) not in seen:
                    seen.add(id(weights))
                    named[f"{part}.{name}"] = weights
        return named

    def restore(self, checkpoint: str) -> None:
        """Take the weights of a checkpoint."""
        import torch

        saved = load_file(Path(checkpoint) / WEIGHTS_FILE)
        with torch.no_grad():
            for name, weights in self.trained_weights().items():
                weights.copy_(saved[name])

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        best = self.state.best_global_step == self.state.global_step
        long_ago = time.monotonic() - self.written_at >= SECONDS_APART
        # Several processes wait for each other here, and their clocks differ.
        if best or long_ago or world_size() > 1:
            super()._save_checkpoint(model, trial)
            self.written_at = time.monotonic()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: weights.detach().contiguous() for name, weights in self.trained_weights().items()
        }
        save_file(weights, folder / WEIGHTS_FILE)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        self.restore(checkpoint_path)

    def _load_best_model(self) -> None:
        # Theirs goes on with the last weights if the best cannot be read, and only logs it. Of
        # several processes only the one that saved it can be sure that it is there.
        if self.state.best_model_checkpoint and self.is_world_process_zero():
            self.restore(self.state.best_model_checkpoint)


def choose_trainer(progress: Progress) -> type[WholeModelTrainer]:
    """The trainer whose checkpoints the installed libraries can write and read.

    Arguments:
        progress: is told where names are missing.
    """
    known = SentenceTransformerTrainer
    missing = [f"trainer.{name}" for name in CHECKPOINT_NAMES if not hasattr(known, name)]
    if not missing:
        return PairTrainer
    tell_missing(progress, missing, "checkpoints hold whole models")
    return WholeModelTrainer


class BestCheckpoint(TrainerCallback):
    """Finds the best checkpoint where a run goes on and its folder is known by another path.

    The trainer would end with the last weights instead, and only log it.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look for it beside the others."""
        folder = Path(args.output_dir) / f"checkpoint-{state.best_global_step}"
        if state.best_global_step and folder.is_dir():
            state.best_model_checkpoint = str(folder)
