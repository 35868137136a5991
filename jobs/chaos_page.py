"""A run of chaos as one page: a table, and a timeline of faults over what was acknowledged meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from jobs.chaos_report import ChaosReport

WIDTH, LEFT, RIGHT, ROW, PLOT = 1180, 150, 20, 20, 140
COLOURS = {"acknowledged": "#1a7f37", "refused": "#9a6700", "unanswered": "#d1242f"}
_FAULT, _RECOVERY, _MISSED = "#d1242f", "#f0c0a0", "#57606a"
_STYLE = """
body { font: 14px/1.5 sans-serif; color: #1f2328; margin: 2em auto; max-width: 1200px; }
table { border-collapse: collapse; } td, th { padding: 2px 12px; border-bottom: 1px solid #d0d7de; text-align: right; }
td:first-child, th:first-child, td.text { text-align: left; } .bad { color: #d1242f; } .well { color: #1a7f37; }
"""


def page(report: ChaosReport, ticks: Sequence[tuple[float, str]]) -> str:
    """The page, on its own. ``ticks`` says when (s) what became of a deed: see ``chaos_load``."""
    problems = report.problems()
    verdict = "".join(f'<p class="bad">{escape(one)}</p>' for one in problems) or '<p class="well">All as promised.</p>'
    figures = {
        "acknowledged": report.acknowledged,
        "refused": sum(report.refused.values()),
        "not answered": sum(report.unanswered.values()),
        "lost": len(report.lost),
        "done twice": len(report.doubled),
        "stale reads": len(report.stale),
        "differences": "unknown" if report.differences is None else report.differences,
        "events verified": report.events,
    }
    title = f"Chaos: {report.minutes:g} minutes, seed {report.seed}"
    parts = [
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>",
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
        verdict,
        _table(["what", "count"], [[name, f"{value}"] for name, value in figures.items()]),
        "<h2>Timeline</h2>",
        timeline(report, ticks),
        "<h2>Faults</h2>",
        _table(
            ["fault", "planned", "fired", "skipped", "median recovery, s", "worst, s"],
            [[name, *(_shown(value) for value in kind.values())] for name, kind in report.by_fault().items()],
        ),
        "<h2>One by one</h2>",
        _table(
            ["fault", "began, s", "lasted, s", "recovered after, s", "what shows it"],
            [
                [
                    one.fault.name,
                    _shown(one.began),
                    _shown(None if one.began is None or one.lifted is None else one.lifted - one.began),
                    _shown(one.recovery_seconds),
                    ("" if one.fired else "skipped: " if one.skipped else "NOT FIRED: ") + one.proof,
                ]
                for one in report.faults
            ],
        ),
        "<h2>Views</h2>",
        _table(
            ["view", "checked", "differences"],
            [[name, _shown(view["checked"]), _shown(view["differences"])] for name, view in report.views.items()],
        ),
        *(
            f"<p class='bad'>{escape(line)}</p>"
            for line in [*report.lost, *report.doubled, *report.stale, *report.lines][:200]
        ),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def timeline(report: ChaosReport, ticks: Sequence[tuple[float, str]]) -> str:
    """Each kind of fault in a row: dark while it lasts, light until everything worked again; below, deeds a second."""
    names = list(report.by_fault())
    length = max([report.seconds, 1.0, *(at for at, _ in ticks)])
    height = ROW * len(names) + PLOT + 60

    def x(seconds: float) -> float:
        return LEFT + seconds / length * (WIDTH - LEFT - RIGHT)

    drawn = []
    for row, name in enumerate(names):
        y = 10 + row * ROW
        drawn.append(f'<path d="M{LEFT} {y + ROW - 2}H{WIDTH - RIGHT}" stroke="#eaeef2"/>')
        drawn.append(_text(LEFT - 8, y + ROW - 7, name, anchor="end"))
    for one in report.faults:
        if one.began is None:
            continue
        y = 12 + names.index(one.fault.name) * ROW
        lifted = one.lifted if one.lifted is not None else length
        recovered = one.recovered if one.recovered is not None else min(lifted + 1, length)
        hover = f"<title>{escape(f'{one.fault.name} at {one.began:.1f} s: {one.proof}')}</title>"
        light = _RECOVERY if one.recovered is not None else _MISSED
        bars = ((lifted, recovered, light), (one.began, lifted, _FAULT if one.fired else _MISSED))
        for start, end, colour in bars:
            wide = max(x(end) - x(start), 1.5)
            drawn.append(
                f'<rect x="{x(start):.1f}" y="{y}" width="{wide:.1f}" height="{ROW - 6}" fill="{colour}">{hover}</rect>'
            )
    base = 10 + ROW * len(names) + PLOT
    counted = Counter((int(at), what) for at, what in ticks if what in COLOURS)
    highest = max(counted.values(), default=1)
    for row, (what, colour) in enumerate(COLOURS.items()):
        points = " ".join(
            f"{x(second):.1f},{base - counted[second, what] / highest * (PLOT - 20):.1f}"
            for second in range(int(length) + 1)
        )
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        drawn.append(_text(LEFT - 8, base - PLOT + 40 + 16 * row, f"{what}/s", anchor="end", colour=colour))
    drawn.append(_text(LEFT - 8, base - PLOT + 24, f"at most {highest}", anchor="end"))
    step = max(10, round(length / 10 / 10) * 10)
    for second in range(0, int(length) + 1, step):
        drawn.append(f'<path d="M{x(second):.1f} 10V{base}" stroke="#d0d7de" stroke-dasharray="2 4"/>')
        drawn.append(_text(x(second), base + 16, f"{second} s", anchor="middle"))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, *drawn, "</svg>"])


def _text(x: float, y: float, text: str, *, anchor: str, colour: str = "#1f2328") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="11" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(one)}</th>" for one in head) + "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td{_class(one)}>{escape(one)}</td>" for one in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _class(cell: str) -> str:
    return ' class="text"' if len(cell) > 24 else ""


def _shown(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.1f}" if isinstance(value, float) else f"{value}"
