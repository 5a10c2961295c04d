"""What is looked at while a model trains."""

import sys
from typing import Any

import pytest
import torch

from rag_app.finetune import watch
from rag_app.finetune.machine import resident_memory, trim_heap
from rag_app.finetune.watch import Trim


def test_memory_is_given_back_when_twice_the_least_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [500, 400, 799, 801, 400, 801]
    trimmed: list[int] = []
    trim = Trim()
    monkeypatch.setattr(watch, "resident_memory", lambda: held.pop(0))
    monkeypatch.setattr(watch, "trim_heap", lambda: trimmed.append(len(held)))
    nothing: Any = None
    while held:
        trim.on_step_end(nothing, nothing, nothing)
    assert trimmed == [2, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and trims the heap of glibc")
def test_what_is_held_is_seen_and_given_back() -> None:
    size = 60_000  # Small enough for the heap, where what lies below a piece in use stays.
    pieces = [torch.ones(size // 4) for _ in range(2_000)]
    full = resident_memory()
    last = pieces[-1]
    del pieces
    trim_heap()
    assert last.numel() == size // 4
    assert resident_memory() < full - 1_000 * size
