"""``otagate sign``: put a file into a signed envelope."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate import _canonical
from otagate._fs import atomic_write, translate
from otagate._text import harmless, size
from otagate.cli.commands._material import base_of, policy_if_any, would_write
from otagate.cli.commands._out import output_path
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Facts, Heading
from otagate.errors import UsageError
from otagate.model import Digest
from otagate.seal.dsse import sign_envelope
from otagate.seal.registry import open_signer
from otagate.seal.statement import PAYLOAD_TYPE

HELP = "sign a statement or file"
DEFAULT_KEY = "env:OTAGATE_SIGNING_KEY"
MAX_BYTES = 8 * 1024 * 1024
"""Largest file that is signed: its envelope is a third larger and must stay readable as a document."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("file", help="what is signed")
    parser.add_argument("-o", "--out", metavar="FILE", help="where the envelope goes (default: FILE with .dsse.json added)")
    parser.add_argument(
        "--key", metavar="REF", help=f"env: or file: of the ed25519 key (default: the policy's, else {DEFAULT_KEY})"
    )
    parser.add_argument(
        "--type", default=PAYLOAD_TYPE, metavar="TYPE", help=f"media type, signed too (default: {PAYLOAD_TYPE})"
    )
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Sign one file.

    Raises:
        KeyMaterialError: The key is missing or of another kind.
        UsageError: The file is too large, or is no statement although the type says so.
    """
    source, target = env.cwd / args.file, output_path(args.out or f"{args.file}.dsse.json", env)
    if args.dry_run:
        return would_write(f"sign {args.file}", [target])
    policy = None if args.key and not args.policy else policy_if_any(args, env)
    reference = args.key or (policy.seal.signing_key if policy else None) or DEFAULT_KEY
    signer = open_signer(reference, environ=env.environ, base=base_of(None if args.key else policy, env))
    payload = _payload(source, args.type)
    envelope = sign_envelope(args.type, payload, signer)
    try:
        atomic_write(target, envelope)
    except OSError as error:
        raise translate(error, "the envelope cannot be written", target) from error
    key = signer.public_key().key_id
    digest = Digest.of(envelope)
    data = {"file": str(target), "type": args.type, "digest": str(digest), "payload": str(Digest.of(payload)), "key_id": key}
    facts = (("file", str(target)), ("type", harmless(args.type)), ("digest", str(digest)), ("key", key))
    return Result("otagate/sign/v1", data, [Heading("signed"), Facts(facts)])


def _payload(path: Path, kind: str) -> bytes:
    try:
        with path.open("rb") as stream:
            payload = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise translate(error, "the file cannot be read", path) from error
    shown = harmless(str(path), 400)
    if len(payload) > MAX_BYTES:
        remedy = "sign a statement that names the file's digest"
        raise UsageError("this is too large to sign", shown, expected=f"at most {size(MAX_BYTES)}", remedy=remedy)
    if kind == PAYLOAD_TYPE and not _is_statement(payload):
        remedy = "name what it is with --type, such as text/plain"
        raise UsageError("this is no in-toto statement", shown, expected="JSON with _type and predicateType", remedy=remedy)
    return payload


def _is_statement(payload: bytes) -> bool:
    try:
        value = _canonical.loads(payload)
    except ValueError:
        return False
    return isinstance(value, dict) and {"_type", "predicateType", "subject"} <= value.keys()
