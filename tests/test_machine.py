"""What errors of the machine mean for a training, and how it goes on with less memory."""

import errno
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from rag_app.disk import disk_is_full
from rag_app.errors import StorageError, TrainingError
from rag_app.finetune.options import TrainingOptions
from rag_app.finetune.train.memory import (
    explain,
    free_memory,
    peak_memory_mb,
    ran_out_of_memory,
    resident_memory,
    trim_heap,
)
from rag_app.finetune.train.run import SMALLEST_PIECE, _smaller

FOLDER = Path("/data/models")
SHORT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("std::bad_alloc"),
]
OTHER = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    OSError(errno.EACCES, "Permission denied"),
    ValueError("memory of elephants"),
]
FULL_DISK = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    sqlite3.OperationalError("database or disk is full"),
    # torch.save, on a disk that was filled in the middle of a file.
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 8576 vs 8468"),
]


@pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=repr)
def test_short_memory_is_told_from_its_words(error: Exception) -> None:
    assert ran_out_of_memory(error)


@pytest.mark.parametrize("error", [*OTHER, *FULL_DISK], ids=repr)
def test_other_errors_are_not_short_memory(error: Exception) -> None:
    assert not ran_out_of_memory(error)


@pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=repr)
def test_short_memory_is_explained(error: Exception) -> None:
    found = explain(error, folder=FOLDER, batch_size=64, piece=4, can_fall=False)
    assert isinstance(found, TrainingError)
    assert str(found) == (
        "the memory does not hold a training with batches of 64 in pieces of 4; run again with "
        "--batch-size auto, which takes what the memory holds, a smaller --max-tokens, or --method "
        "adapter, which needs the least"
    )


def test_who_has_smaller_batches_already_is_not_told_of_them() -> None:
    found = explain(MemoryError(), folder=FOLDER, batch_size=4, piece=None, can_fall=True)
    assert str(found) == (
        "the memory does not hold a training with batches of 4; run again with a smaller "
        "--max-tokens, or --method adapter, which needs the least"
    )


@pytest.mark.parametrize("error", FULL_DISK, ids=repr)
def test_a_full_disk_is_explained(error: Exception) -> None:
    assert disk_is_full(error)
    found = explain(error, folder=FOLDER, batch_size=64, piece=16, can_fall=False)
    assert isinstance(found, StorageError)
    assert str(found) == (
        "the disk of /data/models is full; make room, or name another folder with --storage. The "
        "same command then goes on from the last checkpoint"
    )


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_another_error_is_left_as_it_is(error: Exception) -> None:
    assert not disk_is_full(error)
    assert explain(error, folder=FOLDER, batch_size=64, piece=16, can_fall=False) is None


PIECES = TrainingOptions(batch_size=32, mini_batch=32)


def sizes(options: TrainingOptions) -> list[tuple[int, int]]:
    """Batch and piece, each time that memory is short, until there is no way."""
    found = []
    smaller = _smaller(options)
    while smaller is not None:
        found.append((smaller.batch_size, smaller.mini_batch))
        assert replace(smaller, batch_size=32, mini_batch=32) == replace(
            options, batch_size=32, mini_batch=32
        )
        smaller = _smaller(smaller)
    return found


def test_pieces_are_halved_down_to_the_smallest() -> None:
    assert SMALLEST_PIECE == 4
    assert sizes(PIECES) == [(32, 16), (32, 8), (32, 4)]


def test_a_piece_is_never_larger_than_its_batch() -> None:
    # Half of 8, not of 32, which would change nothing.
    assert sizes(replace(PIECES, batch_size=8)) == [(8, 4)]
    assert sizes(replace(PIECES, batch_size=7)) == []


def test_then_batches_fall_where_they_may() -> None:
    options = replace(PIECES, batch_can_fall=True)
    assert sizes(options) == [(32, 16), (32, 8), (32, 4), (16, 4), (8, 4), (4, 4)]


@pytest.mark.parametrize("loss", ["triplet", "dae"])
def test_a_loss_that_cannot_be_taken_in_pieces(loss: str) -> None:
    options = replace(PIECES, loss=loss)
    assert sizes(options) == []
    assert sizes(replace(options, batch_can_fall=True)) == [(16, 32), (8, 32), (4, 32)]


def test_memory_is_counted_in_megabytes() -> None:
    # With torch it is some hundreds; counted in the wrong unit a thousand times more or less.
    assert 20 < peak_memory_mb("cpu") < 20_000
    free_memory()
    # The largest there was, whatever has been given back.
    assert peak_memory_mb("cpu") > 20


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
