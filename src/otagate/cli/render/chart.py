"""A rehearsal as a picture: exposure, devices and verdicts over time, as SVG by hand and as a few lines of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from html import escape
from textwrap import wrap

from otagate._text import span
from otagate.flow.rehearse.model import Rehearsed, Sample

WIDTH, HEIGHT = 920, 560
_LEFT, _RIGHT = 74, 26
_TITLE = 92
"""Letters of 15 px that fit into a line, mostly."""
_COLUMNS = 48
"""With names, numbers and an indent within 80."""
_BARS = " ▁▂▃▄▅▆▇█"
_FULL = 10_000
_LETTERS = {
    "pass": "p",
    "warn": "w",
    "fail": "F",
    "inconclusive": "·",
    "insufficient": "i",
    "no_data": "n",
    "stale": "s",
    "error": "E",
    "": " ",
}
_LOUDEST = ("fail", "error", "no_data", "stale", "insufficient", "warn", "pass", "inconclusive")
_COLOURS = {
    "pass": "#2e9e5b",
    "warn": "#d9a514",
    "fail": "#c62f2f",
    "inconclusive": "#b9c4d0",
    "insufficient": "#8fa3c7",
    "no_data": "#e8a87c",
    "stale": "#cfa98a",
    "error": "#9b59b6",
    "": "#f0f2f5",
}
_ALERT = "gate failed"
"""Alone, without a pause or a rollback at the same look, the failure of a gate that only alerts."""
_MARKS = {
    "gate.failed": ("#c62f2f", _ALERT),
    "rollout.paused": ("#d07a00", "paused"),
    "rollout.resumed": ("#66727f", "resumed"),
    "rollout.rolled_back": ("#c62f2f", "rolled back"),
    "rollout.completed": ("#2e9e5b", "completed"),
}


def drawn(run: Rehearsed) -> str:
    """Draw a rehearsal with letters and bars, for a terminal."""
    samples = _columns(_served(run))
    if not samples:
        return "no look was made"
    most = max(1, *(sample.exposed for sample in samples))
    met = max(1, *(sample.met for sample in samples))
    rows = (
        ("weight", _bars(samples, lambda one: one.weight_bps / _FULL), "100%"),
        ("exposed", _bars(samples, lambda one: one.exposed / most), f"{samples[-1].exposed} devices"),
        ("met fault", _bars(samples, lambda one: one.met / met), f"{samples[-1].met} devices"),
        ("verdict", "".join(_LETTERS.get(one.verdict, "?") for one in samples), ""),
    )
    lines = [f"{name:<9} |{bars:<{_COLUMNS}}| {text}".rstrip() for name, bars, text in rows]
    end = span(samples[-1].at)
    lines.append(f"{'':<9}  0{end:>{len(samples) - 1}}")
    lines.append("p pass, w warn, F fail, · nothing against it yet, i too few devices,")
    lines.append("n no data, s stale, E source failed")
    return "\n".join(lines)


def _served(run: Rehearsed) -> list[Sample]:
    """Give the samples with the weight that phones are served: none after a rollback, where a rollout remembers its last."""
    back = min((moment.at for moment in run.moments if moment.kind == "rollout.rolled_back"), default=timedelta.max)
    return [replace(one, weight_bps=0) if one.at >= back else one for one in run.samples]


def _columns(samples: Sequence[Sample]) -> list[Sample]:
    """Give as many samples as there are columns: of each stretch the last, with its worst verdict."""
    if len(samples) <= _COLUMNS:
        return list(samples)
    found = []
    for column in range(_COLUMNS):
        stretch = samples[column * len(samples) // _COLUMNS : (column + 1) * len(samples) // _COLUMNS]
        last, verdicts = stretch[-1], {one.verdict for one in stretch}
        verdict = next((word for word in _LOUDEST if word in verdicts), last.verdict)
        found.append(Sample(last.at, last.phase, last.weight_bps, last.exposed, last.met, verdict))
    return found


def _bars(samples: Sequence[Sample], share: Callable[[Sample], float]) -> str:
    top = len(_BARS) - 1
    # Whatever is not nothing is seen.
    return "".join(_BARS[max(1, round(share(one) * top)) if share(one) > 0 else 0] for one in samples)


# --- SVG --------------------------------------------------------------------------------------------------------------


def svg(run: Rehearsed, title: str) -> str:
    """Draw a rehearsal as an SVG file, for any browser."""
    if not run.samples:
        return _page([_text(WIDTH / 2, HEIGHT / 2, "no look was made", anchor="middle")], title)
    whole = max(run.samples[-1].at, timedelta(seconds=1))

    def x(at: timedelta) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, at / whole)

    parts = [*_time_axis(whole, x), *_weights(run, x), *_devices(run, x), *_verdicts(run, x), *_moments(run, x)]
    return _page(parts, title)


def _page(parts: Sequence[str], title: str) -> str:
    words = "font:12px system-ui,sans-serif;fill:#26313d;paint-order:stroke;stroke:#fff;stroke-width:3px"
    style = f"text{{{words}}}.t{{font-size:15px;font-weight:600}}.d{{fill:#66727f}}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f"<title>{escape(title)}</title><style>{style}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    )
    lines = wrap(title, _TITLE, max_lines=2, placeholder=" …", break_on_hyphens=False)
    first = 26 if len(lines) == 1 else 18
    titles = [f'<text class="t" x="{_LEFT}" y="{first + 18 * at}">{escape(line)}</text>' for at, line in enumerate(lines)]
    return "\n".join([head, *titles, *parts, "</svg>", ""])


_TOP = {"weight": 64, "devices": 236, "verdicts": 438}
_TALL = {"weight": 120, "devices": 150, "verdicts": 26}


def _time_axis(whole: timedelta, x: Callable[[timedelta], float]) -> list[str]:
    step = next((step for step in _STEPS if whole / step <= 10), _STEPS[-1])  # noqa: PLR2004 - ticks that fit
    parts, at, bottom = [], timedelta(0), _TOP["verdicts"] + _TALL["verdicts"]
    while at <= whole:
        parts.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP["weight"]}" y2="{bottom}" stroke="#eef1f4"/>')
        parts.append(_text(x(at), bottom + 18, span(at) if at else "0", anchor="middle", css="d"))
        at += step
    return parts


_MINUTES = (1, 2, 5, 15, 30, 60, 180, 360, 720, 1440, 2880, 5760, 10080, 20160, 40320)
_STEPS = tuple(timedelta(minutes=minutes) for minutes in _MINUTES)


def _weights(run: Rehearsed, x: Callable[[timedelta], float]) -> list[str]:
    top, tall = _TOP["weight"], _TALL["weight"]

    def y(sample: Sample) -> float:
        return top + tall * (1 - sample.weight_bps / _FULL)

    samples = _served(run)
    before = samples[0]
    points = [f"{_LEFT},{top + tall}", f"{_LEFT},{y(before):.1f}"]
    for sample in samples:
        points += [f"{x(sample.at):.1f},{y(before):.1f}", f"{x(sample.at):.1f},{y(sample):.1f}"]
        before = sample
    points.append(f"{x(before.at):.1f},{top + tall}")
    parts = [*_scale("weight", top, tall, ("0%", "100%"))]
    parts.append(f'<polygon points="{" ".join(points)}" fill="#4c7bd9" fill-opacity=".3" stroke="#3565c4"/>')
    phase, ends = "", -1000.0
    for sample in run.samples:
        if sample.phase != phase and sample.phase:
            phase = sample.phase
            at = _LEFT if sample is run.samples[0] else x(sample.at)
            if at - ends > 8 * len(phase):
                parts.append(_text(at + 4, top - 8, phase))
                ends = at
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top - 18}" y2="{top + tall}" stroke="#3565c4" stroke-dasharray="2 3"/>'
            )
    return parts


def _devices(run: Rehearsed, x: Callable[[timedelta], float]) -> list[str]:
    top, tall = _TOP["devices"], _TALL["devices"]
    most = max(1, *(sample.exposed for sample in run.samples))

    def y(count: int) -> float:
        return top + tall * (1 - count / most)

    def line(value: Callable[[Sample], int], colour: str) -> str:
        points = " ".join(f"{x(one.at):.1f},{y(value(one)):.1f}" for one in run.samples)
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'

    last, right = run.samples[-1], WIDTH - _RIGHT - 8
    return [
        *_scale("devices", top, tall, ("0", str(most))),
        line(lambda one: one.exposed, "#3565c4"),
        line(lambda one: one.met, "#c62f2f"),
        _text(right, top + 16, f"ran the release: {last.exposed}", anchor="end", fill="#3565c4"),
        _text(right, max(y(last.met) - 8, top + 34), f"met the fault: {last.met}", anchor="end", fill="#c62f2f"),
    ]


def _verdicts(run: Rehearsed, x: Callable[[timedelta], float]) -> list[str]:
    top, tall = _TOP["verdicts"], _TALL["verdicts"]
    parts, begin = [_text(_LEFT - 8, top + 17, "verdict", anchor="end")], timedelta(0)
    for sample in run.samples:
        left, colour = x(begin), _COLOURS.get(sample.verdict, "#fff")
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{x(sample.at) - left + 0.3:.1f}" height="{tall}" fill="{colour}"/>'
        )
        begin = sample.at
    shown = list(dict.fromkeys(sample.verdict for sample in run.samples if sample.verdict))
    at = float(_LEFT)
    for verdict in shown:
        parts.append(f'<rect x="{at:.0f}" y="{HEIGHT - 46}" width="12" height="12" fill="{_COLOURS.get(verdict, "#fff")}"/>')
        parts.append(_text(at + 17, HEIGHT - 36, verdict.replace("_", " "), css="d"))
        at += 34 + 7 * len(verdict)
    return parts


def _moments(run: Rehearsed, x: Callable[[timedelta], float]) -> list[str]:
    words: dict[timedelta, dict[str, str]] = {}
    for moment in run.moments:
        if moment.kind in _MARKS and timedelta(0) <= moment.at <= run.samples[-1].at:
            colour, word = _MARKS[moment.kind]
            words.setdefault(moment.at, {})[word] = colour
    parts, taken = [], list[tuple[float, float]]()
    # What changed the rollout gets its word first: beside a pause there is no room for the alert of an hour before.
    for at, found in sorted(words.items(), key=lambda one: (set(one[1]) == {_ALERT}, one[0])):
        here, ends = x(at), f'y1="{_TOP["weight"]}" y2="{_TOP["verdicts"] + _TALL["verdicts"]}" stroke-width="1.5"'
        colour, dashes = ("#d07a00", "4 3") if set(found) == {_ALERT} else (next(iter(found.values())), "none")
        parts.append(f'<line x1="{here:.1f}" x2="{here:.1f}" {ends} stroke="{colour}" stroke-dasharray="{dashes}"/>')
        text, is_left = ", ".join(found), here > WIDTH / 2
        begin, end = (here - 5 - 7 * len(text), here - 5) if is_left else (here + 5, here + 5 + 7 * len(text))
        if all(end < left or begin > right for left, right in taken):
            place, anchor = (end, "end") if is_left else (begin, "start")
            parts.append(_text(place, _TOP["devices"] - 12, text, anchor=anchor, fill=colour))
            taken.append((begin, end))
    return parts


def _scale(name: str, top: float, tall: float, ends: tuple[str, str]) -> list[str]:
    return [
        f'<rect x="{_LEFT}" y="{top}" width="{WIDTH - _LEFT - _RIGHT}" height="{tall}" fill="none" stroke="#d5dbe1"/>',
        _text(_LEFT - 8, top + tall, ends[0], anchor="end", css="d"),
        _text(_LEFT - 8, top + 10, ends[1], anchor="end", css="d"),
        _text(_LEFT - 8, top + tall / 2 + 4, name, anchor="end"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", css: str = "", fill: str = "") -> str:
    more = (f' class="{css}"' if css else "") + (f' style="fill:{fill}"' if fill else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'
