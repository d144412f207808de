"""``otagate bundle``: the deterministic zip of a folder, and in one go the sealed zip for devices."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._text import size
from otagate.cli.commands._out import output_path
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Facts, Heading
from otagate.errors import UsageError
from otagate.model import AppId, Bundle, Sealed, Version
from otagate.policy.find import find_policy
from otagate.policy.model.bundles import BundleSpec, SealSpec

if TYPE_CHECKING:
    from otagate.policy.model.policy import Policy

HELP = "make the deterministic zip"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("folder", nargs="?", help="the built files (default: build.output of the policy)")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="where the zip goes")
    parser.add_argument("--manifest", metavar="FILE", help="also write the list of files with sizes and SHA-256, as JSON")
    parser.add_argument("--sealed", metavar="FILE", help="also seal the zip for devices, as `encrypt` does, into this file")
    parser.add_argument("--key", metavar="REF", help="env: or file: of the key for --sealed (default: as the policy says)")
    parser.add_argument("--version", metavar="V", help="version that an aes-256-gcm seal binds")
    parser.add_argument("--workers", type=int, metavar="N", help="threads that compress (default: one a core, at most 8)")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Vet, pack and seal. Needs no policy when a folder is given, and the key for what is to be sealed.

    Raises:
        BundleError: The files cannot be shipped as they are.
        UsageError: Something is not named.
    """
    policy, folder = _what(args, env)
    out = output_path(args.out, env)
    listing = output_path(args.manifest, env) if args.manifest else None
    target = output_path(args.sealed, env) if args.sealed else None
    if args.dry_run:
        return _plan(folder, out, target)
    from otagate._fs import atomic_write, translate  # noqa: PLC0415 - a dry run needs none of this
    from otagate.bundle.archive import write_archive  # noqa: PLC0415 - likewise
    from otagate.bundle.collect import collect  # noqa: PLC0415 - likewise
    from otagate.bundle.listing import listing_json  # noqa: PLC0415 - likewise

    files = collect(folder, policy.bundle if policy else BundleSpec())
    bundle = write_archive(
        files, out, workers=args.workers, on_progress=lambda done, total: env.progress("packing", done, total)
    )
    if listing is not None:
        try:
            atomic_write(listing, listing_json(bundle))
        except OSError as error:
            raise translate(error, "cannot write the list of files", listing) from error
    if target is None:
        return _result(bundle, out, {}, [])
    from otagate.cli.commands._sealing import sealed_data, sealed_facts  # noqa: PLC0415 - only who seals pays for it

    sealed = _seal(args, env, policy, bundle, (out, target))
    data = {"sealed": sealed_data(sealed, target, bundle.archive)}
    return _result(bundle, out, data, [Heading(f"sealed with {sealed.format}"), sealed_facts(sealed, target, bundle.archive)])


def _seal(args: argparse.Namespace, env: CommandEnv, policy: Policy | None, bundle: Bundle, where: tuple[Path, Path]) -> Sealed:
    from otagate.cli.commands._sealing import DEFAULT_KEY  # noqa: PLC0415 - see run
    from otagate.seal.dispatch import seal_bundle  # noqa: PLC0415 - see run

    spec = policy.seal if policy else SealSpec()
    if spec.format.value == "aes-256-gcm" and args.version is None:
        raise UsageError("aes-256-gcm binds the version", expected="--version V", remedy="name it")
    return seal_bundle(
        *where,
        format=spec.format.value,
        encryption_key=args.key or spec.encryption_key or DEFAULT_KEY,
        recipients=spec.recipients,
        bundle=bundle,
        app=policy.app if policy else AppId("not.bound"),
        version=Version(args.version or "0.0.0"),
        environ=env.environ,
        # A reference on the command line starts where the command does, one in the policy where the policy stands.
        base=env.cwd if args.key or policy is None else policy.file.parent,
    )


def _plan(folder: Path, out: Path, target: Path | None) -> Result:
    from otagate.cli.render.plans import plan_data, plan_view  # noqa: PLC0415 - only for a dry run
    from otagate.plan.steps import Plan, Step, StepKind  # noqa: PLC0415 - likewise

    seal = (Step(StepKind.SEAL, f"write {target}"),) if target else ()
    plan = Plan("make the zip", (Step(StepKind.VET, f"vet {folder}"), Step(StepKind.BUNDLE, f"write {out}"), *seal))
    return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))


def _result(bundle: Bundle, out: Path, more: dict[str, Any], shown: list[Block]) -> Result:
    data = {
        "file": str(out),
        "archive": str(bundle.archive),
        "size": bundle.archive_size,
        "content": str(bundle.content),
        "compressor": bundle.compressor,
        "files": len(bundle.files),
        **more,
    }
    facts = (
        ("file", str(out)),
        ("size", size(bundle.archive_size)),
        ("archive", str(bundle.archive)),
        ("content", str(bundle.content)),
        ("compressor", bundle.compressor),
    )
    return Result("otagate/bundle/v1", data, [Heading(f"packed {len(bundle.files)} files"), Facts(facts), *shown])


def _what(args: argparse.Namespace, env: CommandEnv) -> tuple[Policy | None, Path]:
    """Give the policy, if there is one, and the folder."""
    if args.folder is not None and args.policy is None:
        try:
            find_policy(env.cwd)
        except UsageError:
            return None, env.cwd / args.folder
    from otagate.cli.commands._open import open_policy  # noqa: PLC0415 - a folder of its own needs no policy

    policy = open_policy(args, env)
    if args.folder is not None:
        return policy, env.cwd / args.folder
    if policy.build.output is None:
        raise UsageError("the web output folder is not known", policy.file.name, expected="build.output", remedy="give FOLDER")
    return policy, policy.root / policy.build.output
