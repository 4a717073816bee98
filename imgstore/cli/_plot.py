"""Intervals between frames over time, gaps, and extra data, drawn: in the terminal, as SVG, and as PNG.

Points are thinned by minimum and maximum of each column, so that a single frame that was lost is seen at any size.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt

from imgstore.errors import ArgumentError

__all__ = ["Panel", "draw_in_terminal", "draw_to_file", "panels_of"]

Floats = npt.NDArray[np.float64]

_GAP = 1.5  # usual intervals, above which there is one
_MOST_COLUMNS = 8  # of extra data
_WIDTH, _HEIGHT, _LEFT, _TOP, _GRID = 1000, 140, 90, 26, 18  # pixels of a panel, and around it
_LINE, _MARK, _INK, _PAPER = "#1f5fa8", "#c8382b", "#222222", "#ffffff"
_ROWS = 5  # lines of a panel in the terminal
_OF_THE_FRAME = ("frame_index", "frame_number", "frame_time", "sample_delay")


class Panel(NamedTuple):
    """Values over time.

    Attributes
    ----------
    title : str
        What they are, with their unit.
    seconds : numpy.ndarray
        When, from the first frame, float64 ``(n,)``.
    values : numpy.ndarray
        float64 ``(n,)``, none of them NaN.
    gaps : numpy.ndarray
        Begin and end of each gap, float64 ``(m, 2)``, in seconds.
    span : float
        Seconds that are drawn.
    """

    title: str
    seconds: Floats
    values: Floats
    gaps: Floats
    span: float

    def columns(self, count: int) -> tuple[Floats, Floats]:
        """Return the lowest and the highest value in each of so many columns, NaN where there is none."""
        at = _column(self.seconds, self.span, count)
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, at, self.values)
        np.maximum.at(high, at, self.values)
        none = low > high
        low[none] = high[none] = np.nan
        return low, high

    def gap_columns(self, count: int) -> list[tuple[int, int]]:
        """Return the first and the last column of each gap: at least one, however short it is."""
        found = _column(self.gaps, self.span, count)
        return [(int(first), int(last)) for first, last in found]

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest value, apart from each other."""
        low, high = (float(self.values.min()), float(self.values.max())) if len(self.values) else (0.0, 1.0)
        return (low, high) if high > low else (low - 0.5, low + 0.5)


def _column(seconds: Floats, span: float, count: int) -> npt.NDArray[np.int64]:
    columns: npt.NDArray[np.int64] = (seconds / span * count).astype(np.int64).clip(0, count - 1)
    return columns


def panels_of(store: Any) -> list[Panel]:
    """Gather what is drawn of a store.

    Raises
    ------
    ArgumentError
        There are fewer than two frames, or they have no times.
    """
    times = np.asarray(store.frame_times, np.float64)
    if len(times) < 2 or not np.isfinite(times).all():
        raise ArgumentError(f"{store.filename}: there is nothing to draw: two frames with times are wanted")
    start, span = float(times.min()), float(np.ptp(times)) or 1.0
    since, intervals = times - start, np.diff(times)
    forward = intervals[intervals > 0]
    usual = float(np.median(forward)) if len(forward) else np.inf
    after = np.flatnonzero(intervals > _GAP * usual)
    gaps = np.stack([since[after], since[after + 1]], axis=1)
    panels = [Panel("interval between frames, ms", since[1:], intervals * 1000, gaps, span)]
    table = store.get_extra_data(ignore_corrupt_chunks=True) if store.has_extra_data else None
    if table is None:
        return panels
    moments = table["frame_time"].to_numpy(np.float64, na_value=np.nan) - start
    for name in [name for name in table.columns if name not in _OF_THE_FRAME][:_MOST_COLUMNS]:
        if table[name].dtype.kind not in "iuf":
            continue
        values = table[name].to_numpy(np.float64, na_value=np.nan)
        there = np.isfinite(values) & np.isfinite(moments)
        if there.any():
            panels.append(Panel(str(name), moments[there], values[there], gaps, span))
    return panels


def draw_in_terminal(panels: Sequence[Panel]) -> None:
    """Print panels, as wide as the terminal; a triangle under it marks a gap."""
    from rich.console import Console

    width = max(20, min(Console().width, 200) - 12)
    for panel in panels:
        low, high = panel.columns(width)
        least, most = panel.limits
        bottom, top = ((side - least) / (most - least) * (_ROWS - 1) for side in (low, high))
        click.echo(panel.title)
        for row in range(_ROWS - 1, -1, -1):
            label = f"{most:.4g}" if row == _ROWS - 1 else f"{least:.4g}" if not row else ""
            drawn = (np.round(bottom) <= row) & (row <= np.round(top))  # NaN is neither
            click.echo(f"{label:>10} {''.join('█' if there else ' ' for there in drawn)}".rstrip())
        marks = [" "] * width
        for first, last in panel.gap_columns(width):
            marks[first : last + 1] = "▲" * (last + 1 - first)
        click.echo(f"{'gaps':>10} {''.join(marks)}".rstrip() if len(panel.gaps) else f"{'no gap':>10}")
    click.echo(f"{'0 s':>10} {_seconds(panels[0].span):>{width}}")


def _seconds(span: float) -> str:
    return f"{span:.4g} s"


def draw_to_file(panels: Sequence[Panel], path: Path) -> None:
    """Draw panels into an .svg or a .png; a file that is there is replaced, in one step."""
    from imgstore.exporting import writing

    with writing(overwrite=True) as outputs:
        temporary = outputs.add(path)
        temporary.write_bytes(_svg(panels).encode() if path.suffix.lower() == ".svg" else _png(panels))


def _shapes(panel: Panel, top: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """Return the line of each column of pixels (x, from y, to y), and the gaps (from x, to x)."""
    low, high = panel.columns(_WIDTH)
    least, most = panel.limits
    lines = [
        (x, top + round((most - high[x]) / (most - least) * _HEIGHT), top + round((most - low[x]) / (most - least) * _HEIGHT))
        for x in np.flatnonzero(~np.isnan(low)).tolist()
    ]
    return lines, panel.gap_columns(_WIDTH)


def _tops(panels: Sequence[Panel]) -> list[int]:
    return [_TOP + k * (_HEIGHT + _TOP + _GRID) for k in range(len(panels))]


def _size(panels: Sequence[Panel]) -> tuple[int, int]:
    return _LEFT + _WIDTH + 20, _tops(panels)[-1] + _HEIGHT + _GRID + 10


def _svg(panels: Sequence[Panel]) -> str:
    width, height = _size(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' font-family="sans-serif" font-size="12" fill="{_INK}">',
        f'<rect width="{width}" height="{height}" fill="{_PAPER}"/>',
    ]
    for panel, top in zip(panels, _tops(panels), strict=True):
        lines, gaps = _shapes(panel, top)
        least, most = panel.limits
        path = "".join(f"M{_LEFT + x}.5 {upper}V{lower + 1}" for x, upper, lower in lines)
        parts += [f'<g><title>{html.escape(panel.title)}</title>', *(
            f'<rect class="gap" x="{_LEFT + first}" y="{top}" width="{last + 1 - first}" height="{_HEIGHT}" fill="{_MARK}"'
            ' fill-opacity="0.35"/>' for first, last in gaps
        ), f'<path d="{path}" stroke="{_LINE}" fill="none"/>',
            f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="{_INK}"/>',
            f'<text x="{_LEFT}" y="{top - 8}">{html.escape(panel.title)}</text>',
            f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.4g}</text>',
            f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">{least:.4g}</text>',
            f'<text x="{_LEFT}" y="{top + _HEIGHT + 14}">0 s</text>',
            f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 14}" text-anchor="end">{_seconds(panel.span)}</text></g>',
        ]  # fmt: skip
    return "\n".join([*parts, "</svg>", ""])


def _png(panels: Sequence[Panel]) -> bytes:
    import cv2

    def color(text: str) -> tuple[int, int, int]:
        return int(text[5:7], 16), int(text[3:5], 16), int(text[1:3], 16)

    width, height = _size(panels)
    img = np.full((height, width, 3), color(_PAPER), np.uint8)

    def write(text: str, x: int, y: int, at_right: bool = False) -> None:
        text = text.encode("ascii", "replace").decode()
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
        place = (x - length if at_right else x, y)
        cv2.putText(img, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, color(_INK), 1, cv2.LINE_AA)

    for panel, top in zip(panels, _tops(panels), strict=True):
        lines, gaps = _shapes(panel, top)
        least, most = panel.limits
        for first, last in gaps:
            area = img[top : top + _HEIGHT, _LEFT + first : _LEFT + last + 1]
            area[:] = (area * 0.65 + np.array(color(_MARK)) * 0.35).astype(np.uint8)
        for x, upper, lower in lines:
            img[upper : lower + 1, _LEFT + x] = color(_LINE)
        cv2.rectangle(img, (_LEFT, top), (_LEFT + _WIDTH, top + _HEIGHT), color(_INK), 1)
        write(panel.title, _LEFT, top - 8)
        write(f"{most:.4g}", _LEFT - 6, top + 10, at_right=True)
        write(f"{least:.4g}", _LEFT - 6, top + _HEIGHT, at_right=True)
        write("0 s", _LEFT, top + _HEIGHT + 14)
        write(_seconds(panel.span), _LEFT + _WIDTH, top + _HEIGHT + 14, at_right=True)
    encoded, data = cv2.imencode(".png", img)
    assert encoded
    return data.tobytes()
