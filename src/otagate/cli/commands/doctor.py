"""``otagate doctor``: what is wrong with machine, policy, keys, identity and stores, and what mends it."""

from __future__ import annotations

import argparse
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Code, Heading, Line, Tone

if TYPE_CHECKING:
    from otagate.flow.doctor.model import Check, CheckUp, Trouble

HELP = "find out what is wrong here, and what mends it"
WIDTH = 100
_INDENT = " " * 14


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--read-only", action="store_true", help="write nothing, not even to try the stores")
    parser.add_argument("--json", dest="format", action="store_const", const="json", default="text", help="as --format json")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Look at everything; problems are its result, not a failure of its own."""
    from otagate.flow.doctor.patient import Patient  # noqa: PLC0415 - only this verb needs it
    from otagate.flow.doctor.run import examine  # noqa: PLC0415 - likewise
    from otagate.flow.workspace import Listener  # noqa: PLC0415 - likewise

    file = env.cwd / args.policy if args.policy else None
    listener = Listener(note=env.note, warn=env.warn)
    found = examine(Patient(file, env.cwd, env.environ, env.clock, args.read_only, listener))
    return doctor_result(found)


def doctor_result(found: CheckUp) -> Result:
    """Show a check-up."""
    counts = Counter(check.status.value for check in found.checks)
    data = {
        "ok": not found.exit_code,
        "counts": {name: counts[name] for name in ("ok", "note", "warning", "error", "not checked")},
        "checks": [_data(check) for check in found.checks],
    }
    return Result("otagate/doctor/v1", data, list(_view(found, counts)), found.exit_code)


def _data(check: Check) -> dict[str, Any]:
    return {
        "group": check.group,
        "name": check.name,
        "status": check.status.value,
        "detail": check.detail,
        "more": list(check.more),
        "problems": [
            {
                "code": trouble.code,
                "severity": trouble.severity.value,
                "what": trouble.what,
                "subject": trouble.subject,
                "fix": trouble.fix,
                "commands": list(trouble.commands),
            }
            for trouble in check.troubles
        ],
    }


def _view(found: CheckUp, counts: Counter[str]) -> Iterator[Block]:
    group = ""
    for check in found.checks:
        if check.group != group:
            group = check.group
            yield Heading(group)
        yield from _check(check)
    yield Heading("result")
    words = [f"{counts[name]} {name}{'s' if name != 'not checked' and counts[name] != 1 else ''}" for name in _COUNTED]
    tone = Tone.BAD if counts["error"] else Tone.WARN if counts["warning"] else Tone.GOOD
    yield Line(f"{counts['ok']} ok, {', '.join(words)}", tone)


_COUNTED = ("error", "warning", "note", "not checked")
_TONES = {"ok": Tone.GOOD, "note": Tone.PLAIN, "warning": Tone.WARN, "error": Tone.BAD, "not checked": Tone.DIM}


def _check(check: Check) -> Iterator[Block]:
    status = check.status.value
    shown = check.detail if not check.troubles else ""
    yield Line(_wrapped(status, f"{check.name}: {shown}" if shown else check.name), _TONES[status])
    for line in check.more:
        yield Line(_wrapped("", line), Tone.DIM)
    for trouble in check.troubles:
        yield from _trouble(trouble)


def _trouble(trouble: Trouble) -> Iterator[Block]:
    yield Line(_wrapped("", f"{trouble.severity.value} {trouble.code}: {trouble.what} ({trouble.subject})"))
    yield Line(_wrapped("", f"mend it: {trouble.fix}"))
    if trouble.commands:
        yield Code("\n".join(trouble.commands), "sh")


def _wrapped(first: str, text: str) -> str:
    """Break a text into lines that fit a terminal; the second and later ones stand below the first one's text."""
    start = f"  {first:<12}"
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)
