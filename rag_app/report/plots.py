"""The figures of a report; scores are drawn from 0 to 1, losses from 0."""

import math
from collections.abc import Mapping, Sequence

from rag_app.chunking import Chunking
from rag_app.evaluate.figures import with_interval
from rag_app.evaluate.statistics import Estimate
from rag_app.report.blocks import Figure, Table
from rag_app.report.svg import Frame, axes, band, legend, line, mark, picture, text, whisker


def hit_plot(curves: Mapping[str, Sequence[Estimate]]) -> Figure:
    """Hit rate at 1, 2, ... of each ranking, with its 95 % band."""
    deepest = len(next(iter(curves.values())))
    frame = Frame((1, max(deepest, 2)), (0, 1))
    shown = sorted({1, *range(5, deepest + 1, 5), deepest})
    ticks = [(float(k), str(k)) for k in shown]
    parts = axes(frame, ticks, _score_ticks(), x_label="k", y_label="hit@k")
    for series, curve in enumerate(curves.values()):
        lows = [(k, one.low) for k, one in enumerate(curve, 1)]
        highs = [(k, one.high) for k, one in enumerate(curve, 1)]
        parts.append(band(frame, lows, highs, series))
    for series, curve in enumerate(curves.values()):
        points = [(float(k), one.mean) for k, one in enumerate(curve, 1)]
        parts.append(line(frame, points, series))
        parts += [mark(frame.px(x), frame.py(y), series) for x, y in points]
    at = frame.height - frame.bottom - 18 * len(curves)
    parts += legend(list(curves), x=frame.width - 230, y=at)
    rows = [
        [f"hit@{k}", *(with_interval(curve[k - 1]) for curve in curves.values())]
        for k in range(1, deepest + 1)
    ]
    return Figure(
        f"hit@k for k = 1 to {deepest}, with 95 % bands",
        picture(frame.width, frame.height, _says("hit rate at k", rows), parts),
        Table(["k", *curves], rows),
    )


def interval_plot(title: str, sides: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """Scores with their intervals, as a table beside it has them: one row a metric."""
    metrics = list(next(iter(sides.values())))
    step = 16 * len(sides) + 14
    frame = Frame((0, 1), (0, 1), height=step * len(metrics) + 60 + 18 * len(sides), left=96)
    top = 18 * len(sides) + 16
    parts = legend(list(sides), x=frame.left, y=10)
    bottom = top + step * len(metrics)
    for value, name in _score_ticks():
        x = f"{frame.px(value):.1f}"
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts.append(text(frame.px(value), bottom + 18, name, anchor="middle"))
    for row, metric in enumerate(metrics):
        middle = top + step * row + step / 2
        parts.append(text(frame.left - 10, middle + 4, metric, anchor="end"))
        for series, scores in enumerate(sides.values()):
            y = middle + 16 * (series - (len(sides) - 1) / 2)
            one = scores[metric]
            ends = f'x1="{frame.px(one.low):.1f}" x2="{frame.px(one.high):.1f}"'
            parts.append(f'<line class="whisker s{series}" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(mark(frame.px(one.mean), y, series))
    rows = [
        [metric, *(with_interval(each[metric]) for each in sides.values())] for metric in metrics
    ]
    label = _says("scores", rows)
    return Figure(title, picture(frame.width, int(bottom + 30), label, parts), None)


def training_plot(
    title: str, values: Sequence[float], *, is_score: bool, unit: str = "epoch", every: int = 1
) -> Figure:
    """Values as training goes on: a score from 0 to 1, or a loss from 0 up.

    Arguments:
        unit, every: what is counted, and how many of it lie between two values.
    """
    top = 1.0 if is_score else _round_up(max(values))
    frame = Frame((every, every * max(len(values), 2)), (0, top), height=220)
    ticks = _score_ticks() if is_score else [(top * n / 4, f"{top * n / 4:g}") for n in range(5)]
    step = max(1, math.ceil(len(values) / 10))
    places = [every * number for number in range(1, len(values) + 1)]
    x_ticks = [(float(place), str(place)) for place in places[::step]]
    parts = axes(frame, x_ticks, ticks, x_label=unit, y_label=title)
    points = [(float(place), value) for place, value in zip(places, values, strict=True)]
    parts.append(line(frame, points, 1))
    parts += [mark(frame.px(x), frame.py(y), 1) for x, y in points]
    rows = [[str(place), f"{value:.3f}"] for place, value in zip(places, values, strict=True)]
    label = _says(title, rows)
    return Figure(
        f"{title} by {unit}",
        picture(frame.width, frame.height, label, parts),
        Table([unit, title], rows),
    )


def size_plot(metric: str, curves: Mapping[str, Mapping[int, Estimate]]) -> Figure:
    """A metric by chunk size, one line a retriever, with 95 % intervals."""
    sizes = sorted({size for curve in curves.values() for size in curve})
    place = {size: number for number, size in enumerate(sizes)}
    frame = Frame((-0.4, len(sizes) - 0.6), (0, 1), height=300 + 18 * len(curves))
    parts = axes(
        frame,
        [(place[size], _size(size)) for size in sizes],
        _score_ticks(),
        x_label="chunk size, tokens",
        y_label=metric,
    )
    rows = []
    for series, (name, curve) in enumerate(curves.items()):
        shift = 0.06 * (series - (len(curves) - 1) / 2)
        points = [(place[size] + shift, curve[size].mean) for size in sorted(curve)]
        parts.append(line(frame, points, series))
        for size in sorted(curve):
            one = curve[size]
            parts.append(whisker(frame, place[size] + shift, one.low, one.high, series))
            parts.append(mark(frame.px(place[size] + shift), frame.py(one.mean), series))
            rows.append([name, _size(size), with_interval(one)])
    parts += legend(list(curves), x=frame.left + 12, y=frame.py(0) - 18 * len(curves))
    return Figure(
        f"{metric} by chunk size, with 95 % intervals",
        picture(frame.width, frame.height, _says(metric, rows), parts),
        Table(["retriever", "tokens", metric], rows),
    )


def _size(tokens: int) -> str:
    return "whole" if Chunking(tokens).is_whole else str(tokens)


def _score_ticks() -> list[tuple[float, str]]:
    return [(tenth / 10, f"{tenth / 10:g}") for tenth in range(0, 11, 2)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)


def _says(title: str, rows: Sequence[Sequence[str]]) -> str:
    """What a screen reader says: the ends; all figures stand in the table below."""
    ends = [rows[0], rows[-1]] if len(rows) > 1 else list(rows)
    return f"{title}: " + "; ".join(", ".join(row) for row in ends)
