"""``otagate verify``: check a release offline, and say what was checked."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from otagate._fs import scratch_folder, translate
from otagate.cli.commands._material import policy_if_any, public_text, trusted_keys
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Line, Table, Tone
from otagate.errors import ExitCode, NotFoundError, OtagateError, UsageError
from otagate.flow.verify import CheckResult, Opening, Report, verify_envelope_file, verify_files, verify_release
from otagate.model import AppId, Digest, Version
from otagate.seal.references import read_reference
from otagate.seal.statement import PAYLOAD_TYPE
from otagate.store.interface import Store

if TYPE_CHECKING:
    from otagate.policy.model.policy import Policy

HELP = "check a release offline: signature, digests, files"
_CHUNK = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("release", help="file with a release statement, or a version in the policy's store")
    parser.add_argument("--bundle", metavar="FILE", help="the sealed or the clear zip (of a version: the one in the store)")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="KEY", help="a trusted key; repeatable (default: the policy's)"
    )
    parser.add_argument("--app", metavar="ID", help="the app it must be of (default: the policy's)")
    parser.add_argument(
        "--public-key", metavar="FILE", help="the app's public key, to look into a capgo seal; a file, or env:NAME"
    )
    parser.add_argument(
        "--key", metavar="REF", help="env: or file: of a recipient's private key, to look into an aes-256-gcm seal"
    )
    parser.add_argument(
        "--type", default=PAYLOAD_TYPE, metavar="TYPE", help="what a signed file is that is no release statement"
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Make every check that can be made.

    Raises:
        NotFoundError: There is no such file and no such version.
        KeyMaterialError: Nobody is trusted, or a key is not usable.
    """
    path, policy = env.cwd / args.release, policy_if_any(args, env)
    app = AppId(args.app) if args.app else policy.app if policy else None
    trusted = trusted_keys(args.trust, policy, env)
    opening = Opening(
        public_text(args.public_key, env) if args.public_key else None,
        read_reference(args.key, environ=env.environ, base=env.cwd) if args.key else None,
    )
    bundle = env.cwd / args.bundle if args.bundle else None
    if args.type != PAYLOAD_TYPE:
        return _result(verify_envelope_file(path, args.type, trusted=trusted))
    if path.is_file():
        return _result(verify_files(path, bundle, trusted=trusted, now=env.clock.now(), app=app, opening=opening))
    store, key = _in_store(args.release, policy, env)
    document = store.documents.read(key)
    if document is None:
        raise NotFoundError("this version was never published", key, remedy="see what there is: otagate status")
    verify = partial(verify_release, document.body, subject=key, trusted=trusted, now=env.clock.now(), app=app, opening=opening)
    report = verify(bundle)
    if bundle is None and report.release is not None:
        with _downloaded(store, report.release.sealed.blob) as blob:
            report = verify(blob)
    return _result(report)


def _in_store(text: str, policy: Policy | None, env: CommandEnv) -> tuple[Store, str]:
    from otagate.store.registry import open_store  # noqa: PLC0415 - only for a version

    try:
        version = Version(text)
    except OtagateError as error:
        expected = "a file with a release statement, or a version"
        raise NotFoundError("there is no such file", repr(text[:200]), expected=expected, remedy="check the path") from error
    if policy is None:
        raise UsageError("a version needs a policy that names the store", str(version), remedy="give --policy, or a file")
    store = open_store(policy.storage, env.environ)
    if policy.documents is not None:
        store = Store(store.url, store.blobs, open_store(policy.documents, env.environ).documents)
    return store, f"apps/{policy.app}/releases/{version}.json"


@contextmanager
def _downloaded(store: Store, digest: Digest) -> Iterator[Path]:
    with scratch_folder() as folder:
        path = folder / "sealed"
        with store.blobs.open(digest) as blob:
            _copy(blob, path)
        yield path


def _copy(blob: BinaryIO, path: Path) -> None:
    try:
        with path.open("xb") as target:
            while chunk := blob.read(_CHUNK):
                target.write(chunk)
    except OSError as error:
        raise translate(error, "the blob cannot be fetched", path) from error


def _result(report: Report) -> Result:
    rows = tuple((check.name, check.result.value, check.detail) for check in report.checks)
    words = "everything that was checked holds" if report.holds else "this release does not hold: do not use it"
    view: list[Block] = [
        Heading(f"verify {report.subject}"),
        Table(("check", "result", "detail"), rows),
        Line(words, Tone.GOOD if report.holds else Tone.BAD),
    ]
    skipped = [check.name for check in report.checks if check.result is CheckResult.NOT_MADE]
    if skipped and report.holds:
        view.append(Line(f"not checked: {', '.join(skipped)}", Tone.WARN))
    data = {
        "subject": report.subject,
        "holds": report.holds,
        "checks": [{"name": check.name, "result": check.result.value, "detail": check.detail} for check in report.checks],
        "release": None if report.release is None else {"app": str(report.release.app), "version": str(report.release.version)},
    }
    return Result("otagate/verify/v1", data, view, ExitCode.DONE if report.holds else ExitCode.VERIFICATION)
