"""``otagate keys create|show``: make keys, and show their public parts."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate.cli.commands._material import base_of, policy_if_any, would_write
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Code, Facts, Heading, Line, Tone
from otagate.errors import KeyMaterialError
from otagate.seal.keys import FILE_NAMES, create_keys
from otagate.seal.loading import key_id, load_rsa_private, rsa_public_pem_pkcs1
from otagate.seal.references import read_reference
from otagate.seal.registry import open_signer
from otagate.seal.trust import public_pem, trust_line

HELP = "create keys, or show their public parts"
FOLDER = ".otagate/keys"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="create|show")
    create = verbs.add_parser("create", help="make a pair of keys for encryption and one for signing")
    create.add_argument("--out", default=FOLDER, metavar="FOLDER", help=f"where they go (default: {FOLDER})")
    create.add_argument("--force", action="store_true", help="replace keys that are there: apps with the old one stop updating")
    add_dry_run(create)
    show = verbs.add_parser("show", help="print public parts and ids of the policy's keys, or of those in a folder")
    show.add_argument("--from", dest="folder", metavar="FOLDER", help=f"look there (default: the policy's keys, else {FOLDER})")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Carry out one sub-verb.

    Raises:
        ConflictError: Keys are there already.
        KeyMaterialError: A key is missing or not usable.
    """
    if args.action == "create":
        return _create(env.cwd / args.out, force=args.force, dry_run=args.dry_run)
    return _show(args, env)


def _create(folder: Path, *, force: bool, dry_run: bool) -> Result:
    if dry_run:
        return would_write("make keys", [folder / name for name in FILE_NAMES])
    made = create_keys(folder, force=force)
    data = {
        "folder": str(folder),
        "encryption": {"file": str(made.encryption), "key_id": made.key_id, "public": made.encryption_public_pem},
        "signing": {"file": str(made.signing), "public": made.signing_public_pem, "trust": made.trust},
    }
    view: list[Block] = [
        Heading(f"made keys in {folder}"),
        Facts((("encryption key", str(made.encryption)), ("signing key", str(made.signing)), ("trust", made.trust))),
        Line("The .pem files without .pub are secret: put them into your CI's secret store, never into git.", Tone.WARN),
        *_advice(made.encryption_public_pem, made.trust),
    ]
    return Result("otagate/keys/v1", data, view)


def _advice(public: str, trust: str) -> list[Block]:
    return [
        Line("In otagate.yml:"),
        Code(f"trust:\n  keys: [{trust}]", "yaml"),
        Line("In the app's capacitor.config, plugins.CapacitorUpdater.publicKey:"),
        Code(public),
    ]


def _show(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Show what is there; a role without a key is said, and none at all is an error."""
    policy = None if args.folder else policy_if_any(args, env)
    folder = env.cwd / (args.folder or FOLDER)
    encryption, signing = f"file:{folder / FILE_NAMES[0]}", f"file:{folder / FILE_NAMES[2]}"
    if policy:
        encryption, signing = policy.seal.encryption_key or "", policy.seal.signing_key or ""
    base, problems = base_of(policy, env), []
    data: dict[str, object] = {}
    view: list[Block] = [Heading("public parts of the keys")]
    for role, reference, read in (("encryption", encryption, device_key), ("signing", signing, _signing)):
        try:
            facts = read(reference, env, base) if reference else {}
        except KeyMaterialError as error:
            problems.append(error)
            view.append(Line(f"{role}: {error.what}: {error.subject}", Tone.WARN))
            continue
        data[role] = {"reference": reference, **facts} if facts else None
        pairs = tuple((name.replace("_", " "), text) for name, text in facts.items() if name != "public")
        view += [Facts(((f"{role} key", reference or "none"), *pairs)), *([Code(facts["public"])] if facts else [])]
    if not data and problems:
        raise problems[0]
    return Result("otagate/keys/v1", data, view)


def device_key(reference: str, env: CommandEnv, base: Path) -> dict[str, str]:
    """Give the public part of an encryption key, as it is built into an app: ``key_id`` and ``public`` (PEM).

    Raises:
        KeyMaterialError: It is missing or unusable.
    """
    text = read_reference(reference, environ=env.environ, base=base)
    public = rsa_public_pem_pkcs1(load_rsa_private(text, reference))
    return {"key_id": key_id(public), "public": public}


def _signing(reference: str, env: CommandEnv, base: Path) -> dict[str, str]:
    public = open_signer(reference, environ=env.environ, base=base).public_key()
    return {"key_id": public.key_id, "trust": trust_line(public), "public": public_pem(public)}
