"""Several processes under torchrun or `accelerate launch`: one leads, the others train with it.

The leader reads, splits, scores and writes; a follower is sent each training job, takes its share
of the batches, and ends when the leader does. Nothing but the training knows of them.
"""

import os
from typing import Any


def world_size() -> int:
    """Processes that train together; 1 unless a launcher says otherwise."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_follower() -> bool:
    """Whether another process leads this one."""
    return int(os.environ.get("RANK", "0")) > 0


def send(job: Any) -> None:
    """Tell the followers what to train next; None ends them. Does nothing where there are none."""
    if world_size() > 1:
        _exchange(job)


def receive() -> Any:
    """Wait for what the leader sends."""
    return _exchange(None)


def _exchange(job: Any) -> Any:
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    box = [job]
    distributed.broadcast_object_list(box, src=0)
    if box[0] is None:
        # Its threads, still running when Python ends, may abort the process.
        distributed.destroy_process_group()
    return box[0]
