"""``otagate history``: everything that happened, from the ledger, with its chain checked."""

from __future__ import annotations

import argparse

from otagate._bucket_url import place_of
from otagate._clock import to_text
from otagate._text import harmless
from otagate.cli.commands._open import open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Line, Table, Tone
from otagate.errors import UsageError, VerificationError
from otagate.notify.message import Happening, compose
from otagate.rollout.ledger_entry import LedgerEntry

HELP = "everything that happened, from the ledger"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="only the newest N entries; 0 for all (default: 50)")
    parser.add_argument("--kind", metavar="PREFIX", help="only entries whose kind begins so, such as rollout. or gate.")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Read the whole ledger and check its chain; write nothing.

    Raises:
        VerificationError: The chain is broken: an entry was changed, or is missing.
    """
    if args.limit < 0:
        raise UsageError("this is not a number of entries", "--limit", expected="0 or more", found=str(args.limit))
    workspace = open_workspace(args, env)
    report = workspace.ledger.verify_chain()
    if not report.is_whole:
        raise VerificationError(
            "the ledger's chain is broken",
            f"{workspace.policy.app} in {place_of(workspace.policy.storage)}",
            details=report.problems,
            remedy="compare the store with a backup: an entry was changed or removed",
        )
    entries = [entry for entry in workspace.ledger.entries() if not args.kind or entry.kind.startswith(args.kind)]
    shown = entries[-args.limit :] if args.limit else entries
    view: list[Block] = [Heading(f"history of {workspace.policy.app}")]
    view.append(_table(str(workspace.policy.app), shown) if shown else Line(_nothing(args.kind, report.entries)))
    view.append(Line(f"the chain of {report.entries} entries is whole", Tone.GOOD))
    data = {
        "app": str(workspace.policy.app),
        "chain": {"count": report.entries, "whole": True},
        "entries": [
            {"seq": entry.seq, "at": to_text(entry.at), "kind": entry.kind, "id": entry.id, "data": dict(entry.data)}
            for entry in shown
        ],
    }
    return Result("otagate/history/v1", data, view)


def _nothing(kind: str | None, count: int) -> str:
    if not kind or not count:
        return "nothing has happened yet"
    return f"no entry is of a kind that begins with '{harmless(kind, 60)}', such as rollout.paused, gate.failed or channel."


def _table(app: str, entries: list[LedgerEntry]) -> Table:
    """Give entries in the words that people are told them in."""
    rows = tuple(
        (
            str(entry.seq),
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.kind,
            compose(Happening(app, entry.seq, entry.at, entry.kind, entry.data)).sentence,
        )
        for entry in entries
    )
    return Table(("seq", "at (UTC)", "kind", "what"), rows)
