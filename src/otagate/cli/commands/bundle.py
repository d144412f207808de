"""``otagate bundle``: the deterministic zip of a folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate._text import size
from otagate.cli.commands._out import output_path
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Facts, Heading
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import UsageError
from otagate.plan.steps import Plan, Step, StepKind
from otagate.policy.load import find_policy
from otagate.policy.model import BundleSpec

HELP = "make the deterministic zip"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("folder", nargs="?", help="the built files (default: build.output of the policy)")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="where the zip goes")
    parser.add_argument("--manifest", metavar="FILE", help="also write the list of files with sizes and SHA-256, as JSON")
    parser.add_argument("--workers", type=int, metavar="N", help="threads that compress (default: one a core, at most 4)")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Vet and pack. Needs no policy when a folder is given."""
    spec, folder = _what(args, env)
    out = output_path(args.out, env)
    listing = output_path(args.manifest, env) if args.manifest else None
    if args.dry_run:
        plan = Plan("make the zip", (Step(StepKind.VET, f"vet {folder}"), Step(StepKind.BUNDLE, f"write {out}")))
        return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))
    from otagate._fs import atomic_write  # noqa: PLC0415 - a dry run needs none of this
    from otagate.bundle.archive import write_archive  # noqa: PLC0415 - likewise
    from otagate.bundle.collect import collect  # noqa: PLC0415 - likewise
    from otagate.bundle.listing import listing_json  # noqa: PLC0415 - likewise

    files = collect(folder, spec)
    bundle = write_archive(
        files, out, workers=args.workers, on_progress=lambda done, total: env.progress("packing", done, total)
    )
    if listing is not None:
        atomic_write(listing, listing_json(bundle))
    data = {
        "file": str(out),
        "archive": str(bundle.archive),
        "size": bundle.archive_size,
        "content": str(bundle.content),
        "compressor": bundle.compressor,
        "files": len(bundle.files),
    }
    facts = (
        ("file", str(out)),
        ("size", size(bundle.archive_size)),
        ("archive", str(bundle.archive)),
        ("content", str(bundle.content)),
        ("compressor", bundle.compressor),
    )
    return Result("otagate/bundle/v1", data, [Heading(f"packed {len(bundle.files)} files"), Facts(facts)])


def _what(args: argparse.Namespace, env: CommandEnv) -> tuple[BundleSpec, Path]:
    if args.folder is not None and args.policy is None:
        try:
            find_policy(env.cwd)
        except UsageError:
            return BundleSpec(), env.cwd / args.folder
    from otagate.cli.commands._open import open_policy  # noqa: PLC0415 - a folder of its own needs no policy

    policy = open_policy(args, env)
    if args.folder is not None:
        return policy.bundle, env.cwd / args.folder
    if policy.build.output is None:
        raise UsageError("the web output folder is not known", policy.file.name, expected="build.output", remedy="give FOLDER")
    return policy.bundle, policy.root / policy.build.output
