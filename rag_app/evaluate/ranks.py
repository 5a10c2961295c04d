"""The place of the first right passage, and its reciprocal."""

from collections.abc import Collection, Iterable


def first_rank(found: Iterable[object], right: Collection[object]) -> int | None:
    """Place of the first that is right, from 1; None where there is none."""
    return next((rank for rank, one in enumerate(found, start=1) if one in right), None)


def reciprocal(rank: int | None) -> float:
    """1 / rank, 0 where nothing right was found."""
    return 1 / rank if rank else 0.0


def reciprocal_rank(found: Iterable[object], right: Collection[object]) -> float:
    """1 / place of the first that is right, 0 where there is none."""
    return reciprocal(first_rank(found, right))
