"""What a tuning is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from rag_app.documents import Columns
from rag_app.errors import ConfigError, refuse_unknown
from rag_app.evaluate.canary import CanaryOptions
from rag_app.finetune.options import TRAIN_ON, TrainingOptions, TrainOn
from rag_app.finetune.presets import DEFAULT, PRESETS
from rag_app.llm.choose import LanguageModelOptions
from rag_app.pairs import AUTO, SplitOptions, test_qrels
from rag_app.retrieve import RetrievalOptions


@dataclass(frozen=True)
class FinetuneRequest:
    """What to tune on and how.

    Fields:
        test: a file of labelled questions that give the verdict, in place of a share of the pairs.
        train_on: None: the labelled pairs, or without any what is written.
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
    test: Path | None = None
    train_on: TrainOn | None = None
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

    def __post_init__(self) -> None:
        """Refuse what would be passed over, or end badly after the training.

        Raises:
            ConfigError: an unknown name, a value out of range, or settings that exclude each other.
        """
        refuse_unknown("--train-on", self.trained_on, TRAIN_ON)
        if self.pairs is None and self.trained_on != "synthetic":
            raise ConfigError(
                f"--train-on is {self.trained_on!r}, but there are no labelled pairs; name them "
                "with --pairs, or leave it out"
            )
        if self.preset is not None:
            refuse_unknown("--preset", self.preset, PRESETS)
        if not 0 < self.split.test_share < 1:
            raise ConfigError(
                f"--test-share is {self.split.test_share:g}; the verdict needs held-out questions: "
                "name a share between 0 and 1, such as .3"
            )
        self.options.check()
        self._check_test()

    def _check_test(self) -> None:
        """Refuse what says another test than the file that is named."""
        usual, split = SplitOptions(), self.split
        asked = {
            "--held-out": split.held_out != usual.held_out,
            "--folds": split.folds is not None,
            "--test-share": split.test_share != usual.test_share,
        }
        if self.test is not None and any(asked.values()):
            others = ", ".join(flag for flag, is_asked in asked.items() if is_asked)
            raise ConfigError(f"--test {self.test} is the test, so leave out {others}")

    @property
    def judged_by(self) -> Path | None:
        """The file of the test questions: the one named, or a BEIR folder's own; None: a share."""
        own = test_qrels(self.pairs) if self.pairs is not None else None
        is_left_open = self.split.folds is None and self.split.held_out == AUTO
        return self.test or (own if is_left_open else None)

    @property
    def trained_on(self) -> TrainOn:
        """Which pairs train."""
        return self.train_on or ("synthetic" if self.pairs is None else "labelled")
