"""What the machine can do and has used, and what its errors mean for a training."""

import ctypes
import gc
import resource
import sys
from pathlib import Path

from rag_app.disk import disk_is_full
from rag_app.errors import RagAppError, StorageError, TrainingError

_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


def peak_memory_mb(device: str) -> int:
    """Largest resident size of this process, or largest allocation on the GPU."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated() / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6) if sys.platform == "darwin" else int(peak * 1024 / 1e6)


def resident_memory() -> int:
    """Bytes of this process in memory, 0 where the system is not Linux."""
    if sys.platform != "linux":
        return 0
    pages = Path("/proc/self/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize()


def free_memory() -> None:
    """Give back to the system what Python and glibc hold but nobody uses."""
    gc.collect()
    trim_heap()


def trim_heap() -> None:
    """Give back to the system what glibc holds but nobody uses."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory is short."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def explain(
    error: Exception, *, folder: Path, batch_size: int, piece: int | None, can_fall: bool
) -> RagAppError | None:
    """What a user can do about an error of the machine; None if it is something else.

    Arguments:
        piece: what passes through the model at once; None where that is the whole batch.
        can_fall: batches have been made as small as they may be.
    """
    if ran_out_of_memory(error):
        pieces = f" in pieces of {piece}" if piece else ""
        smaller = "" if can_fall else "--batch-size auto, which takes what the memory holds, "
        return TrainingError(
            f"the memory does not hold a training with batches of {batch_size}{pieces}; run again "
            f"with {smaller}a smaller --max-tokens, or --method adapter, which needs the least"
        )
    if disk_is_full(error):
        return StorageError(
            f"the disk of {folder} is full; make room, or name another folder with --storage. The "
            "same command then goes on from the last checkpoint"
        )
    return None
