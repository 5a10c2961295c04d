"""What every step of a tuning needs, in one small object."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rag_app.finetune.curves import UNLOGGED, Curves
from rag_app.index import OpenIndex, VectorCache, Workspace
from rag_app.models import EmbeddingModel
from rag_app.progress import Progress, silent

# An index whose model has weights to be tuned.
TunableIndex: TypeAlias = OpenIndex[EmbeddingModel]


@dataclass(frozen=True)
class TrainingContext:
    """Where models and vectors are kept, where models run, and who is told of what.

    Fields:
        progress: of long work.
        tell: called with a sentence for the user.
        curves: where numbers of the trainings go.
    """

    workspace: Workspace
    progress: Progress = silent
    tell: Callable[[str], None] = lambda _: None
    curves: Curves = UNLOGGED

    @property
    def models(self) -> Path:
        """Folder that models are written to."""
        return self.workspace.models

    @property
    def curves_folder(self) -> Path:
        """Folder of training curves."""
        return self.workspace.storage / "curves"

    @property
    def cache(self) -> VectorCache:
        """Vectors that are known already."""
        return self.workspace.cache

    @property
    def device(self) -> str:
        """Where models run."""
        return self.workspace.device
