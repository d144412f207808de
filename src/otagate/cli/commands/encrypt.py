"""``otagate encrypt``: seal a zip for devices."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate.cli.commands._material import base_of, digest_of, policy_if_any, would_write
from otagate.cli.commands._out import output_path
from otagate.cli.commands._sealing import DEFAULT_KEY, sealed_data, sealed_facts
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading
from otagate.errors import UsageError
from otagate.model import AppId, Bundle, Version
from otagate.seal.dispatch import seal_bundle

HELP = "seal a zip for devices"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("file", help="the clear zip, such as `otagate bundle` makes")
    parser.add_argument("-o", "--out", metavar="FILE", help="where the sealed zip goes (default: FILE with .sealed added)")
    parser.add_argument("--seal", choices=("capgo", "aes-256-gcm"), help="the format (default: the policy's, else capgo)")
    parser.add_argument(
        "--key", metavar="REF", help=f"env: or file: of the RSA-2048 key (default: the policy's, else {DEFAULT_KEY})"
    )
    parser.add_argument(
        "--recipient",
        action="append",
        default=[],
        metavar="REF",
        help="env: or file: of a public key, for aes-256-gcm; repeatable",
    )
    parser.add_argument("--app", metavar="ID", help="app id that aes-256-gcm binds (default: the policy's)")
    parser.add_argument("--version", metavar="VERSION", help="version that aes-256-gcm binds")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Seal one file. Needs no policy when the key is named.

    Raises:
        KeyMaterialError: A key is missing or of another kind.
        UsageError: Something that the format binds is not named.
    """
    policy = None if (args.key or args.recipient) and not args.policy else policy_if_any(args, env)
    source, kind = env.cwd / args.file, args.seal or (policy.seal.format.value if policy else "capgo")
    target = output_path(args.out or f"{args.file}.sealed", env)
    if args.dry_run:
        return would_write(f"seal {args.file}", [target])
    app, version, bundle = _bound(args, env, source, kind)
    sealed = seal_bundle(
        source,
        target,
        format=kind,
        encryption_key=args.key or (policy.seal.encryption_key if policy else None) or DEFAULT_KEY,
        recipients=args.recipient or (policy.seal.recipients if policy else ()),
        bundle=bundle,
        app=app,
        version=version,
        environ=env.environ,
        base=base_of(None if args.key or args.recipient else policy, env),
    )
    clear = bundle.archive
    view: list[Block] = [Heading(f"sealed with {sealed.format}"), sealed_facts(sealed, target, clear)]
    return Result("otagate/encrypt/v1", sealed_data(sealed, target, clear), view)


def _bound(args: argparse.Namespace, env: CommandEnv, source: Path, kind: str) -> tuple[AppId, Version, Bundle]:
    """Give what the seal binds; only aes-256-gcm binds app, version and files."""
    archive = digest_of(source)
    length = source.stat().st_size
    if kind != "aes-256-gcm":
        return AppId("not.bound"), Version("0.0.0"), Bundle(archive, length, (), archive, "")
    policy = None if args.app else policy_if_any(args, env)
    app = AppId(args.app) if args.app else policy.app if policy else None
    if app is None or args.version is None:
        raise UsageError("aes-256-gcm binds app and version", expected="--app and --version", remedy="name both")
    from otagate.bundle.inspect import read_archive  # noqa: PLC0415 - only this format looks inside
    from otagate.bundle.listing import content_digest  # noqa: PLC0415 - likewise

    files = read_archive(source)
    content = content_digest(files)
    return app, Version(args.version), Bundle(archive, length, files, content, "")
