"""What a tuning is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from rag_app.documents import Columns
from rag_app.evaluate.canary import CanaryOptions
from rag_app.finetune.data.material import TrainOn
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.presets import DEFAULT
from rag_app.llm.choose import LanguageModelOptions
from rag_app.pairs import SplitOptions
from rag_app.retrieve import RetrievalOptions


@dataclass(frozen=True)
class FinetuneRequest:
    """What to tune on and how.

    Fields:
        model: what to tune, where the pairs bring their own passages; without one, that of the
            index in service.
        usual_model: the same, where none is named.
        preset: "quick" instead of what the options say of epochs.
        canary: out-of-domain questions with their passages, and what for.
        retrieval: of the tuned model, which the verdict is about; the base's is vector search.
        refit: what is promoted is trained again on all pairs.
        columns: of a table of pairs.
        llm: writes questions where there are no pairs.
        report_to: tracker of training curves, of `rag_app.finetune.curves.TRACKERS`; None: none.
        results: folder for what is measured.
    """

    pairs: Path | None = None
    train_on: TrainOn = "labelled"
    index: str | None = None
    model: str | None = None
    usual_model: str | None = None
    options: TrainingOptions = field(default_factory=lambda: TrainingOptions(**DEFAULT))
    split: SplitOptions = field(default_factory=SplitOptions)
    preset: str | None = None
    canary: CanaryOptions = field(default_factory=CanaryOptions)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    promote: bool = True
    refit: bool = True
    columns: Columns = Columns()
    llm: LanguageModelOptions = LanguageModelOptions()
    report_to: str | None = None
    results: Path = Path("storage/results")
