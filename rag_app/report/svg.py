"""Pictures by hand: a frame with axes, lines, bands and marks, as SVG that a page's styles colour.

Series are told apart by colour (Okabe and Ito's, safe for colour-blind readers), by dashes and by
the shape of their marks. Texts are escaped here; numbers are all that else goes in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
SERIES = 5
# Corners of the marks that are polygons, in pixels from their middle.
SHAPES: dict[int, list[Point]] = {
    2: [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)],
    3: [(0, -5), (5, 4), (-5, 4)],
    4: [(0, 5), (5, -4), (-5, -4)],
}


@dataclass(frozen=True)
class Frame:
    """A picture's inside, and what its edges mean.

    Fields:
        x, y: values at the left and right edge, at the bottom and top edge.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 640
    height: int = 320
    left: int = 52
    right: int = 16
    top: int = 28
    bottom: int = 44

    def px(self, value: float) -> float:
        """Where a value of x stands."""
        low, high = self.x
        inside = self.width - self.left - self.right
        return self.left + inside * (value - low) / ((high - low) or 1.0)

    def py(self, value: float) -> float:
        """Where a value of y stands."""
        low, high = self.y
        inside = self.height - self.top - self.bottom
        return self.height - self.bottom - inside * (value - low) / ((high - low) or 1.0)

    def place(self, point: Point) -> str:
        """A point as SVG writes it."""
        return f"{self.px(point[0]):.1f},{self.py(point[1]):.1f}"


def axes(
    frame: Frame,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
    *,
    x_label: str,
    y_label: str,
) -> list[str]:
    """Grid lines with their values, and what the axes mean."""
    right, bottom = frame.width - frame.right, frame.height - frame.bottom
    parts = []
    for value, name in y_ticks:
        y = f"{frame.py(value):.1f}"
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(text(frame.left - 6, frame.py(value) + 4, name, anchor="end"))
    for value, name in x_ticks:
        parts.append(text(frame.px(value), bottom + 18, name, anchor="middle"))
    parts.append(f'<line class="axis" x1="{frame.left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (frame.left + right) / 2
    parts.append(text(middle, frame.height - 6, x_label, anchor="middle"))
    parts.append(text(4, 14, y_label))
    return parts


def line(frame: Frame, points: Sequence[Point], series: int) -> str:
    """A line through points."""
    places = " ".join(map(frame.place, points))
    return f'<polyline class="line s{series % SERIES}" points="{places}"/>'


def band(frame: Frame, lows: Sequence[Point], highs: Sequence[Point], series: int) -> str:
    """What lies between two lines."""
    places = " ".join(map(frame.place, [*lows, *reversed(highs)]))
    return f'<polygon class="band s{series % SERIES}" points="{places}"/>'


def whisker(frame: Frame, x: float, low: float, high: float, series: int) -> str:
    """An upright interval."""
    at = f"{frame.px(x):.1f}"
    ends = f'y1="{frame.py(low):.1f}" y2="{frame.py(high):.1f}"'
    return f'<line class="whisker s{series % SERIES}" x1="{at}" x2="{at}" {ends}/>'


def mark(x: float, y: float, series: int) -> str:
    """A circle, square, diamond, triangle or cross, in pixels."""
    kind = series % SERIES
    css = f'class="mark s{kind}"'
    if kind == 0:
        return f'<circle {css} cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if kind == 1:
        return f'<rect {css} x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in SHAPES[kind])
    return f'<polygon {css} points="{points}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "start", css: str = "") -> str:
    """Words at a place in pixels; anchor: start, middle or end."""
    given = f' class="{css}"' if css else ""
    return f'<text{given} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def legend(names: Sequence[str], *, x: float, y: float) -> list[str]:
    """Which mark and line belong to which series, one below the other."""
    parts = []
    for series, name in enumerate(names):
        at = y + 18 * series
        ends = f'x1="{x:.1f}" x2="{x + 28:.1f}" y1="{at:.1f}" y2="{at:.1f}"'
        parts.append(f'<line class="line s{series % SERIES}" {ends}/>')
        parts.append(mark(x + 14, at, series))
        parts.append(text(x + 36, at + 4, name))
    return parts


def picture(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    """The whole picture; the label is what a screen reader says."""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )
