"""How figures between 0 and 1 are written: scores as .573, changes as +.012, and intervals."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_app.evaluate.statistics import Difference, Estimate


def score(value: float, *, digits: int = 3) -> str:
    """.573 for 0.573, 1.000 for 1."""
    return f"{value:.{digits}f}".removeprefix("0")


def change(value: float, write: Callable[[float], str] = score) -> str:
    """+.083 or -.012; a loss that rounds to 0 is -.000, so that an interval shows where it ends.

    Arguments:
        write: writes the number without its sign.
    """
    return ("-" if value < 0 else "+") + write(abs(value))


def with_interval(one: "Estimate") -> str:
    """A mean and its 95 % interval: .561 [.520, .602]."""
    return f"{score(one.mean)} [{score(one.low)}, {score(one.high)}]"


def change_with_interval(one: "Difference | Estimate") -> str:
    """A mean change and its 95 % interval: +.042 [+.014, +.070]."""
    return f"{change(one.mean)} [{change(one.low)}, {change(one.high)}]"


def p_value(p: float, write: Callable[[float], str] = score) -> str:
    """p with as many digits as ten thousand resamples allow."""
    return "<.001" if p < 0.001 else write(p)
