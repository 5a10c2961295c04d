"""What is looked at while a model trains."""

from typing import Any

import pytest

from rag_app.finetune.train import callbacks as watch
from rag_app.finetune.train.callbacks import Trim


def test_memory_is_given_back_above_what_training_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [500, 400, 699, 701, 400, 701]
    trimmed: list[int] = []
    trim = Trim()
    monkeypatch.setattr(watch, "resident_memory", lambda: held.pop(0))
    monkeypatch.setattr(watch, "trim_heap", lambda: trimmed.append(len(held)))
    nothing: Any = None
    while held:
        trim.on_step_end(nothing, nothing, nothing)
    assert trimmed == [2, 0]
