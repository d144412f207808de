"""``otagate init``: write a first policy and keys for the app in this folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result, blocks

if TYPE_CHECKING:
    from otagate.flow.init_done import Initialised
    from otagate.flow.init_fleet import Fitted

STORAGE = "file:.otagate/store"
"""As otagate.flow.init has it, which is not imported for help."""
_UNFITTED = (
    "this rollout is for some 12,000 phones and more: with fewer, `otagate init --force --devices N` (so many open the app"
    " within a week) writes one that they can pass"
)
HELP = "write a first policy and keys for this app"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("--app-id", metavar="ID", help="the app's id (default: appId of the Capacitor configuration)")
    parser.add_argument(
        "--storage",
        metavar="URL",
        default=STORAGE,
        help=f"where releases and channels are kept: file:FOLDER, s3://…, gs://… or az://… (default: {STORAGE})",
    )
    parser.add_argument(
        "--devices",
        metavar="N",
        type=int,
        help="how many phones open the app within a week: weights and gates of the rollout are fitted to them",
    )
    parser.add_argument("--force", action="store_true", help="write a new policy over the one that is there; keys are kept")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Set the app up; a second call says what is there and changes nothing.

    Raises:
        UsageError: There are no so many phones.
        UsageError, ConflictError, AccessError, UnavailableError: See otagate.flow.init.initialise.
    """
    from otagate.cli.commands._rehearsed_fleet import MOST_DEVICES, within  # noqa: PLC0415 - not for help
    from otagate.flow.init import initialise  # noqa: PLC0415 - only this verb needs it

    devices = None if args.devices is None else within("--devices", args.devices, MOST_DEVICES)
    policy = env.cwd / (args.policy or "otagate.yml")
    tried = None if args.dry_run else _tried(policy, args, env)
    done = initialise(
        policy,
        env.environ,
        app_id=args.app_id,
        force=args.force,
        dry_run=args.dry_run,
        storage=args.storage,
        devices=devices,
    )
    for warning in done.found.app.warnings:
        env.warn(warning)
    return init_result(done, tried, dry_run=args.dry_run)


def _tried(policy: Path, args: argparse.Namespace, env: CommandEnv) -> str | None:
    """Try a bucket before anything is written that names it; say what came of it."""
    if args.storage.startswith("file:"):
        return None
    from otagate.flow.init import initialise  # noqa: PLC0415 - see run
    from otagate.flow.init_probe import try_storage  # noqa: PLC0415 - only for a bucket

    planned = initialise(policy, env.environ, app_id=args.app_id, force=args.force, dry_run=True, storage=args.storage)
    return try_storage(args.storage, env.environ) if planned.changes else None


def init_result(done: Initialised, tried: str | None = None, *, dry_run: bool) -> Result:
    """Show what was written, what a person has to add, and what comes next."""
    view: list[blocks.Block] = [blocks.Heading(_title(done, dry_run=dry_run))]
    view.append(blocks.Facts(_facts(done)))
    view.append(blocks.Table(("file", "action", "what"), tuple((item.path, str(item.deed), item.note) for item in done.items)))
    if done.by_hand and done.found.app.config:
        view += [blocks.Line(f"Add this to {done.found.app.config.name}:"), blocks.Code(done.by_hand, "ts")]
    if tried:
        view.append(blocks.Line(tried))
    if done.changes and not dry_run:
        view.append(blocks.Items(next_steps(done), numbered=True))
        if done.fitted is None:
            view.append(blocks.Line(_UNFITTED, blocks.Tone.DIM))
    elif not dry_run:
        view.append(blocks.Line("next: otagate doctor says what is left to do", blocks.Tone.DIM))
    data = {
        "folder": str(done.folder),
        "app": done.app_id,
        "storage": done.storage,
        "devices": done.fitted.devices if done.fitted else None,
        "tried": tried,
        "dry_run": dry_run,
        "changed": done.changes and not dry_run,
        "files": [{"path": item.path, "action": str(item.deed), "note": item.note} for item in done.items],
        "branches": list(done.found.branches),
        "ci": list(done.found.ci),
        "plugin_version": done.found.app.plugin_version.value if done.found.app.plugin_version else None,
        "by_hand": done.by_hand,
    }
    return Result("otagate/init/v1", data, view)


def _title(done: Initialised, *, dry_run: bool) -> str:
    if not done.changes:
        return "There is a policy already; nothing was changed"
    return "This would be written" if dry_run else "The app is set up"


def _facts(done: Initialised) -> tuple[tuple[str, str], ...]:
    app = done.found.app
    pairs = (
        ("app", done.app_id),
        ("configuration", app.config.name if app.config else ""),
        ("web folder", app.web_dir.value if app.web_dir else ""),
        ("plugin", app.plugin_version.value if app.plugin_version else "not found: npm install @capgo/capacitor-updater"),
        ("storage", done.storage or ""),
        ("phones", _phones(done.fitted) if done.fitted else ""),
        ("branches", ", ".join(done.found.branches[:10])),
        ("CI", ", ".join(done.found.ci)),
    )
    return tuple((name, value) for name, value in pairs if value)


def _phones(fitted: Fitted) -> str:
    weights = ", ".join(f"{weight}%" for weight in fitted.weights)
    few = [name for name in fitted.shares if not fitted.is_judged(name)]
    told = f"; perhaps too few to judge a share: {', '.join(few)}" if few else ""
    return f"{fitted.devices:,}; stable {weights}{told}"


def next_steps(done: Initialised) -> tuple[str, ...]:
    """Say what a person does next."""
    from otagate.flow.init import KEYS  # noqa: PLC0415 - see run
    from otagate.flow.init_done import Deed  # noqa: PLC0415 - likewise

    written = " ".join(item.path for item in done.items if item.path != KEYS and item.deed in {Deed.CREATE, Deed.UPDATE})
    rehearsal = [f"otagate rehearse --devices {done.fitted.devices}"] if done.fitted else []
    steps = [f"git add {written}, and commit", *rehearsal, "otagate plan", "otagate run"]
    if done.found.ci:
        steps.append(f"put the keys of .otagate/keys into the secrets of {', '.join(done.found.ci)}: see docs/ci.md")
    return tuple(steps)
