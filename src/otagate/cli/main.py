"""Parse, call one verb, print its result, end the process. The only module that exits."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import IO, NoReturn

from otagate import __version__
from otagate._fs import translate
from otagate._text import nearest
from otagate.cli.hosts import folding, tell_failure_to_ci, tell_result_to_ci
from otagate.cli.options import Parser, add_common, refuse_secrets
from otagate.cli.output import CommandEnv, Result
from otagate.cli.terminal import Terminal, standard_streams
from otagate.errors import ExitCode, OtagateError, UsageError

# Verb -> help, in the order of the flow. Modules are imported only when their verb is called.
VERBS: dict[str, str] = {
    "init": "write a first policy and keys for this app",
    "policy": "check, explain or print the schema of the policy",
    "keys": "create keys, or show their public parts",
    "plan": "show what `run` would do here, and do nothing",
    "build": "run the app's build command and vet what it made",
    "bundle": "make the deterministic zip",
    "encrypt": "seal a zip for devices",
    "decrypt": "open a sealed zip and check it",
    "sign": "sign a statement or file",
    "verify": "check a release offline: signature, digests, files",
    "upload": "build, bundle, seal and publish a release; move no channel",
    "run": "ship this commit along its track",
    "reconcile": "bring every active rollout one step nearer its goal; sign pointers anew before they expire",
    "promote": "move a channel to a release, or to a higher weight",
    "approve": "let a rollout enter a phase that waits for approval",
    "pause": "expose no further devices",
    "resume": "go on after a pause",
    "abort": "end a rollout where it stands; channels that it settled keep the release",
    "amend": "have a rollout go on by the policy as it is now, or from an earlier weight",
    "rollback": "serve the previous release again, now",
    "status": "where channels and rollouts stand",
    "history": "everything that happened, from the ledger",
    "mirror": "bring the mirrors up to the first store",
    "prune": "remove the bundles that no release, channel, rollout or device needs any more",
    "token": "make, list and revoke tokens of the update server, and read its audit",
    "device": "see a single device, and give it a channel of its own",
    "fleet": "let virtual devices ask a server for updates, install them and report",
    "serve": "answer phones: which release, from the channels; take in what they tell",
    "metrics": "counts of devices by release: installs, failures, crashes, adoption",
    "gate": "judge metrics and show the evidence",
    "notify": "send a test to the places that are told what happens",
    "rehearse": "see what a policy does with a bad release, on virtual phones: weeks in seconds",
    "demo": "watch a good and a bad release on a small app, with a real server and virtual phones",
    "doctor": "find out what is wrong here, and what mends it",
}

_LOOKS = frozenset({"policy", "plan", "status", "history", "verify", "fleet", "metrics", "gate", "rehearse", "demo", "doctor"})
"""Verbs that keep nothing, so that the same command begins anew."""


def main() -> NoReturn:
    """Run with the process's own arguments, streams and environment, and exit.

    A CI host that cancels a job sends SIGTERM: it ends the build and us as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    stdout, stderr = standard_streams()
    try:
        here = Path.cwd()
    except OSError as error:
        gone = translate(error, "the current folder cannot be used", os.environ.get("PWD", "."))
        Terminal(os.environ, stdout, stderr).failure(gone)
        sys.exit(gone.exit_code)
    sys.exit(run_command(sys.argv[1:], os.environ, here, stdout, stderr))


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def run_command(argv: Sequence[str], environ: Mapping[str, str], cwd: Path, stdout: IO[str], stderr: IO[str]) -> int:
    """Run one command line and give its exit code; prints, but never raises and never exits.

    A failure is one message on stderr; with ``--format json`` also a JSON object ``otagate/error/v1`` on stdout.
    """
    terminal = Terminal(environ, stdout, stderr)
    try:
        code = _dispatch(list(argv), environ, cwd, terminal)
    except OtagateError as error:
        terminal.failure(error)
        tell_failure_to_ci(error, environ, terminal)
        return error.exit_code
    except KeyboardInterrupt:
        is_look = bool(argv) and argv[0] in _LOOKS
        terminal.warn(
            "interrupted" if is_look else "interrupted; what was done is kept, and the same command goes on from there"
        )
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a bug must not look like a gate's verdict, nor print secrets from frames
        terminal.bug(error)
        return ExitCode.BUG
    return code


def _dispatch(argv: list[str], environ: Mapping[str, str], cwd: Path, terminal: Terminal) -> int:
    refuse_secrets(argv)
    if not argv or argv[0] in {"-h", "--help", "help"}:
        terminal.write(overview())
        return ExitCode.DONE if argv else ExitCode.USAGE
    if argv[0] == "--version":
        terminal.write(f"otagate {__version__}\n")
        return ExitCode.DONE
    verb, rest = argv[0], argv[1:]
    parser = build_parser(verb)
    if {"-h", "--help"} & set(rest[: rest.index("--")] if "--" in rest else rest):
        terminal.write(_help_for(parser, rest))
        return ExitCode.DONE
    args = parser.parse_args(rest)
    terminal.configure(args.format, quiet=args.quiet)
    env = CommandEnv(
        environ=environ,
        cwd=cwd,
        note=terminal.note,
        warn=terminal.warn,
        stream=terminal.stream,
        fold=folding(environ),
        progress=terminal.progress,
    )
    result: Result = _module(verb).run(args, env)
    try:
        terminal.result(result)
    finally:
        tell_result_to_ci(verb, result, environ, terminal)
    return result.exit_code


def _help_for(parser: Parser, rest: list[str]) -> str:
    """Give the help of the verb, or of its sub-verb when one is named."""
    leaves = sub_parsers(parser)
    named = next((leaves[word] for word in rest if word in leaves), parser)
    return named.format_help()


def sub_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Give a verb's sub-verbs, such as ``check`` of ``policy``; empty for most."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to find sub-parsers
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - likewise
            return dict(action.choices)
    return {}


def build_parser(verb: str) -> Parser:
    """Give the parser of one verb.

    Raises:
        UsageError: There is no such verb; the message names the nearest.
    """
    if verb not in VERBS:
        near = nearest(verb, VERBS)
        raise UsageError(
            "there is no such command",
            subject=repr(verb[:80]),
            expected=f"one of {', '.join(VERBS)}",
            remedy=f"did you mean `otagate {near}`?" if near else "see `otagate --help`",
        )
    parser = Parser(prog=f"otagate {verb}", description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.")
    _module(verb).configure(parser)
    leaves = sub_parsers(parser)
    for leaf in leaves.values() or (parser,):
        add_common(leaf)
    return parser


def _module(verb: str) -> ModuleType:
    return importlib.import_module(f"otagate.cli.commands.{verb}")


def overview() -> str:
    """Give the text of ``otagate --help``."""
    width = max(map(len, VERBS))
    lines = [
        "usage: otagate COMMAND [OPTION ...]",
        "",
        "Ship Capacitor over-the-air updates from a commit to every phone.",
        "",
        "commands:",
        *(f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()),
        "",
        "`otagate COMMAND --help` shows a command's options; `otagate --version` the version.",
        "",
    ]
    return "\n".join(lines)
