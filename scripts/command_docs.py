"""Write docs/commands.md from the parsers themselves. `--check` only compares; a test does that."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from otagate.cli.main import VERBS, build_parser, overview, sub_parsers

TARGET = Path(__file__).parent.parent / "docs" / "commands.md"
COMMON = ("--policy", "--format", "--quiet", "--help")


def render() -> str:
    parts = [
        "# Commands\n",
        "Generated from the command line itself by `scripts/command_docs.py`. Exit codes: [README](../README.md#exit-codes).\n",
        f"```\n{overview().rstrip()}\n```\n",
        "Every command also takes:\n",
        _table(a for a in _options(_leaf("plan")) if a.option_strings[-1] in COMMON),
    ]
    for verb, text in VERBS.items():
        parser = build_parser(verb)
        parts.append(f"## otagate {verb}\n")
        leaves = sub_parsers(parser)
        if not leaves:
            parts += _command(parser, verb, text)
        else:
            parts.append(f"{_sentence(text)}\n")
        for name, leaf in leaves.items():
            parts.append(f"### otagate {verb} {name}\n")
            parts += _command(leaf, f"{verb} {name}", leaf.description or "")
    return "\n".join(parts)


def _leaf(verb: str) -> argparse.ArgumentParser:
    return build_parser(verb)


def _command(parser: argparse.ArgumentParser, name: str, text: str) -> list[str]:
    own = [a for a in _options(parser) if not a.option_strings or a.option_strings[-1] not in COMMON]
    usage = " ".join(["otagate", name, *(_usage(a) for a in own if a.required), *(["[OPTION ...]"] if own else [])])
    lines = [f"{_sentence(text)}\n", f"    {usage}\n"]
    return [*lines, _table(own)] if own else lines


def _options(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]


def _usage(action: argparse.Action) -> str:
    name = action.option_strings[-1] if action.option_strings else ""
    return " ".join(part for part in (name, _value(action)) if part)


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    value = str(action.metavar or action.dest.upper())
    return f"[{value}]" if action.nargs == "?" and action.option_strings else value


def _table(actions: object) -> str:
    rows = ["| option | what it does |", "| --- | --- |"]
    for action in actions:  # type: ignore[attr-defined]
        names = (
            ", ".join(f"`{name} {_value(action)}`".replace(" `", "`") for name in action.option_strings)
            or f"`{_value(action)}`"
        )
        text = (action.help or "").replace("%%", "%").replace("|", "\\|")
        rows.append(f"| {names.replace('|', chr(92) + '|')} | {text}{' (required)' if action.required else ''} |")
    return "\n".join(rows) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def main() -> None:
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.read_text() == render() else "docs/commands.md is out of date: run scripts/command_docs.py")
    TARGET.write_text(render())


if __name__ == "__main__":
    main()
