"""``otagate prune``: remove the bundles that nothing needs any more."""

from __future__ import annotations

import argparse
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from otagate._fs import translate
from otagate._text import harmless
from otagate._text import size as size_text
from otagate.cli.commands._open import open_workspace
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import UsageError
from otagate.flow.prune import Pruned, Pruning, prune
from otagate.flow.prune_devices import ask_devices
from otagate.flow.prune_plan import Request
from otagate.model import Version
from otagate.policy.values import duration
from otagate.release.pruning import DEFAULT_WAIT

HELP = "remove the bundles that no release, channel, rollout or device needs any more"
_MAX_LIST_BYTES = 16 * 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--in-use", metavar="FILE", help="versions that devices run, which stay: one a line, or a JSON list")
    parser.add_argument(
        "--ignore-telemetry",
        action="store_true",
        help="do not ask the policy's telemetry what devices run (default: ask, and remove nothing when it does not answer)",
    )
    parser.add_argument("--grace", metavar="D", help="what was written within this time stays (default: keep.grace, 1d)")
    parser.add_argument(
        "--wait",
        metavar="D",
        help="between announcing and deleting (default: 3m); shorter only while nothing else works on the store",
    )
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Prune, or with ``--dry-run`` show what would go."""
    workspace = open_workspace(args, env)
    grace, wait = _span("--grace", args.grace, workspace.policy.keep.grace), _span("--wait", args.wait, DEFAULT_WAIT)
    listed = _versions(env.cwd / args.in_use) if args.in_use else frozenset()
    heard = None if args.ignore_telemetry else ask_devices(workspace)
    request = Request(grace, listed | (heard.versions if heard else frozenset()), heard, wait)
    pruning = prune(workspace, request)
    if args.dry_run:
        return Result("otagate/plan/v1", plan_data(pruning.plan), plan_view(pruning.plan, dry_run=True))
    return _result(pruning, pruning.carry_out())


def _result(pruning: Pruning, done: Pruned) -> Result:
    total = sum(item.size for item in done.removed)
    goal = f"{len(done.removed)} bundles removed, {size_text(total)}"
    view: list[Block] = [Heading(f"done: {goal}"), Facts(pruning.plan.facts)]
    if done.removed:
        rows = tuple(
            (str(item.digest), ", ".join(map(str, item.versions)), size_text(item.size), item.why) for item in done.removed
        )
        view.append(Table(("bundle", "releases", "size", "why"), rows))
    also = [
        (done.spared, "were needed again when it looked a second time, and stay"),
        (done.uploads, "unfinished uploads were taken back"),
        (done.probes, "documents that probes left were removed"),
    ]
    view += [Line(f"{count} {what}") for count, what in also if count]
    view += [Line(f"note: {note}", Tone.WARN) for note in pruning.plan.notes]
    data: dict[str, Any] = {
        "goal": goal,
        "removed": [
            {"blob": str(item.digest), "releases": [str(one) for one in item.versions], "bytes": item.size, "why": item.why}
            for item in done.removed
        ],
        "bytes": total,
        "spared": done.spared,
        "unfinished_uploads": done.uploads,
        "probe_documents": done.probes,
        "notes": list(pruning.plan.notes),
    }
    return Result("otagate/prune/v1", data, view)


def _span(option: str, text: str | None, default: timedelta) -> timedelta:
    if text is None:
        return default
    try:
        length = duration(text)
    except ValueError as error:
        raise UsageError(
            "this is not a length of time", option, expected="such as 30m, 12h or 7d", found=repr(text[:40])
        ) from error
    return length


def _versions(path: Path) -> frozenset[Version]:
    """Read the versions that devices run.

    Raises:
        UsageError: The file is no list of versions; the message names the line.
        NotFoundError, AccessError: It cannot be read.
    """
    try:
        with path.open("rb") as stream:
            body = stream.read(_MAX_LIST_BYTES + 1)
    except OSError as error:
        raise translate(error, "cannot read the list of versions", path) from error
    subject = harmless(str(path), 400)
    if len(body) > _MAX_LIST_BYTES:
        raise UsageError("this list of versions is too long", subject, expected=f"at most {_MAX_LIST_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
        items = json.loads(text) if text.lstrip().startswith("[") else [line.strip() for line in text.splitlines()]
    except (ValueError, RecursionError) as error:
        raise _no_list(subject, "something else") from error
    found = set()
    for at, item in enumerate(items, 1):
        if item == "":
            continue
        try:
            found.add(Version(item if isinstance(item, str) else ""))
        except UsageError as error:
            raise _no_list(f"{subject}, entry {at}", harmless(repr(item), 80)) from error
    return frozenset(found)


def _no_list(subject: str, found: str) -> UsageError:
    return UsageError(
        "this is not a list of versions, so nothing is removed",
        subject,
        expected="one version a line, or a JSON list of them",
        found=found,
        remedy="write only versions that devices run into it, such as 1.4.2; an empty file says that there are none",
    )
