"""Line plots over time as SVG: a few panels above one another, of a few dozen kB."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 960, 210, 70, 170, 40, 46
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
_TICKS = 9


class Line(NamedTuple):
    """Points (ms, value) in the order of time, and what they are."""

    name: str
    points: Sequence[tuple[int, float]]


class Panel(NamedTuple):
    """Lines with one scale, which begins at 0."""

    title: str
    lines: Sequence[Line]


class Moment(NamedTuple):
    """A time (ms) that is marked in every panel."""

    at: int
    name: str


def svg(title: str, panels: Sequence[Panel], moments: Sequence[Moment]) -> str:
    """The plot as a document. There has to be a point in every panel."""
    times = [at for panel in panels for line in panel.lines for at, _ in line.points]
    first, last = min(times), max(max(times), min(times) + 1)
    height = TOP + len(panels) * (HEIGHT + GAP)

    def x(at: int) -> float:
        return LEFT + (at - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    drawn = [_text(LEFT, 20, title, size=15)]
    for number, panel in enumerate(panels):
        base = TOP + number * (HEIGHT + GAP) + HEIGHT
        highest = max(max(value for line in panel.lines for _, value in line.points), 1e-9)
        drawn.append(_text(LEFT, base - HEIGHT + 2, panel.title))
        for part in (0, 0.5, 1):
            y = base - part * (HEIGHT - 20)
            drawn.append(f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
            drawn.append(_text(LEFT - 8, y + 4, f"{part * highest:,.0f}", anchor="end"))
        for tick in range(_TICKS):
            at = first + (last - first) * tick // (_TICKS - 1)
            clock = datetime.fromtimestamp(at / 1000, UTC).strftime("%d %b %H:%M")
            drawn.append(_text(x(at), base + 16, clock, anchor="middle", size=10))
        for moment, when in enumerate(moments):
            drawn.append(
                f'<path d="M{x(when.at):.1f} {base - HEIGHT + 10}V{base}" stroke="#57606a" stroke-dasharray="4 3"/>'
            )
            if not number:
                y = base - HEIGHT + 30 + 14 * moment
                drawn.append(_text(x(when.at) - 5, y, when.name, anchor="end", size=10))
        for line, colour in zip(panel.lines, COLOURS * len(panel.lines), strict=False):
            path = " ".join(f"{x(at):.1f},{base - value / highest * (HEIGHT - 20):.1f}" for at, value in line.points)
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for row, (line, colour) in enumerate(zip(panel.lines, COLOURS * len(panel.lines), strict=False)):
            drawn.append(_text(WIDTH - RIGHT + 12, base - HEIGHT + 34 + 16 * row, line.name, colour=colour))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *drawn, "</svg>\n"])


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, colour: str = "#1f2328") -> str:
    where = f'x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {where}>{escape(text)}</text>"
