"""``otagate decrypt``: open a sealed zip and check it."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate.cli.commands._material import digest_of, policy_if_any, public_text, trusted_keys, would_write
from otagate.cli.commands._out import output_path
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Facts, Heading
from otagate.errors import UsageError, VerificationError
from otagate.flow.verify import CheckResult, Opening, Report, verify_files
from otagate.flow.verify_seal import opened
from otagate.model import Digest
from otagate.seal.references import read_reference

HELP = "open a sealed zip and check it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("file", help="the sealed zip")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="where the clear zip goes, for your eyes only")
    parser.add_argument("--session-key", metavar="TEXT", help="capgo: <iv>:<wrapped key>, as the device gets it")
    parser.add_argument("--checksum", metavar="TEXT", help="capgo: the checksum in either encoding, as the device gets it")
    parser.add_argument("--public-key", metavar="FILE", help="capgo: the app's public key; a file, or env:NAME")
    parser.add_argument(
        "--statement", metavar="FILE", help="take all of it from this release statement, once its signature holds"
    )
    parser.add_argument(
        "--trust", action="append", default=[], metavar="KEY", help="with --statement: a trusted key (default: the policy's)"
    )
    parser.add_argument("--key", metavar="REF", help="aes-256-gcm: env: or file: of a recipient's private key")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Open one file; nothing is written unless everything holds.

    Raises:
        VerificationError: Something does not hold.
        UsageError: Not enough is given to open it.
    """
    source, target = env.cwd / args.file, output_path(args.out, env)
    if args.dry_run:
        return would_write(f"open {args.file}", [target])
    found = _by_statement(args, env, source, target) if args.statement else _by_parts(args, env, source, target)
    facts = (("file", str(target)), ("digest", str(found)))
    data = {"file": str(target), "clear": str(found)}
    return Result("otagate/decrypt/v1", data, [Heading("opened, and the checksum holds"), Facts(facts)])


def _by_parts(args: argparse.Namespace, env: CommandEnv, source: Path, target: Path) -> Digest:
    from otagate.seal.capgo_open import open_capgo  # noqa: PLC0415 - heavy

    missing = [name for name in ("session_key", "checksum", "public_key") if not getattr(args, name)]
    if missing:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise UsageError("not enough is given to open the zip", found=f"{names} missing", remedy="name them, or --statement")
    public = public_text(args.public_key, env)
    return open_capgo(source, target, public_pem=public, session_key=args.session_key, checksum=args.checksum)


def _by_statement(args: argparse.Namespace, env: CommandEnv, source: Path, target: Path) -> Digest:
    policy = None if args.trust and not args.policy else policy_if_any(args, env)
    opening = Opening(
        public_text(args.public_key, env) if args.public_key else None,
        read_reference(args.key, environ=env.environ, base=env.cwd) if args.key else None,
    )
    report = verify_files(
        env.cwd / args.statement,
        None,
        trusted=trusted_keys(args.trust, policy, env),
        now=env.clock.now(),
        app=policy.app if policy else None,
        opening=opening,
    )
    release = report.release
    if release is None or not report.holds:
        raise _does_not_hold(report)
    if release.sealed.format == "none":
        raise UsageError("this release is not sealed", args.statement, found="a clear zip: there is nothing to open")
    blob = digest_of(source)
    if blob != release.sealed.blob:
        expected, remedy = str(release.sealed.blob), "download it again; do not use this file"
        raise VerificationError("this is not the zip of the statement", args.file, expected, str(blob), remedy)
    if opened(source, target, release, opening) is None:
        option = "--public-key" if release.sealed.format == "capgo" else "--key"
        raise UsageError("the key that opens this seal is missing", release.sealed.format, expected=option)
    return release.bundle.archive


def _does_not_hold(report: Report) -> VerificationError:
    details = tuple(f"{check.name}: {check.detail}" for check in report.checks if check.result is CheckResult.FAILS)
    return VerificationError("the release does not hold, so nothing was opened", report.subject, details=details)
