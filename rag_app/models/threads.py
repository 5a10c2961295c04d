"""How linear algebra is done: by how many threads, and which matrices it multiplies at once."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_AVX512 = ("SkylakeX", "Cooperlake", "SapphireRapids")


@cache
def _threads() -> ThreadpoolController:
    """The libraries of linear algebra that are loaded."""
    return ThreadpoolController()


@cache
def multiplies_small_at_once() -> bool:
    """Whether products of up to 100³ multiplications are computed without copies of the matrices.

    OpenBLAS has such kernels for processors with AVX-512.
    """
    found = {(one["internal_api"], one.get("architecture")) for one in _threads().info()}
    return bool(found & {("openblas", name) for name in _AVX512})


def one_thread() -> AbstractContextManager[object]:
    """One thread: two wait for each other where the machine is busy.

    Seen once, before this limit, on two cores at a load of some ten: 148 ms a question with one
    thread, 817 with two. On an idle machine they take the same.
    """
    limited: AbstractContextManager[object] = _threads().limit(limits=1, user_api="blas")
    return limited
