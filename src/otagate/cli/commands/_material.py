"""Key references and files as the verbs ``encrypt``, ``decrypt``, ``sign``, ``verify`` and ``keys`` take them."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import translate
from otagate.cli.output import CommandEnv, Result
from otagate.errors import UsageError
from otagate.model import Digest
from otagate.seal.pem import holds_private
from otagate.seal.references import read_reference
from otagate.seal.trust import TrustedKeys, parse_public_key

if TYPE_CHECKING:
    from otagate.policy.model.policy import Policy

_CHUNK = 1024 * 1024


def policy_if_any(args: argparse.Namespace, env: CommandEnv) -> Policy | None:
    """Load the policy that ``--policy`` names or that is near; None when none is. One that is wrong is still an error.

    Raises:
        PolicyError: It says something invalid.
        UsageError: ``--policy`` names a file that is not there.
    """
    from otagate.policy import find_policy, load_policy  # noqa: PLC0415 - these verbs work without a policy, and then faster

    if args.policy:
        return load_policy(env.cwd / args.policy)
    try:
        path = find_policy(env.cwd)
    except UsageError:
        return None
    return load_policy(path)


def base_of(policy: Policy | None, env: CommandEnv) -> Path:
    """Give the folder that key references of the policy start from."""
    return policy.file.parent if policy else env.cwd


def public_text(text: str, env: CommandEnv) -> str:
    """Read a public key that stands on the command line as a path, as a reference, or itself.

    Raises:
        UsageError: It is a private key; the message does not repeat it.
        KeyMaterialError, AccessError: It cannot be read.
    """
    if not text.startswith(("env:", "file:")) and "-----BEGIN" not in text:
        text = f"file:{text}"
    found = text if "-----BEGIN" in text else read_reference(text, environ=env.environ, base=env.cwd)
    if holds_private(found):
        raise UsageError(
            "--public-key names a private key",
            expected="the public part, such as encryption.pub.pem",
            remedy="`otagate keys show` prints it",
        )
    return found


def trusted_keys(texts: Sequence[str], policy: Policy | None, env: CommandEnv) -> TrustedKeys:
    """Give the keys of ``--trust``, or else those of the policy.

    Raises:
        KeyMaterialError: None at all, or one that is not usable.
    """
    if texts:
        return TrustedKeys(tuple(parse_public_key(text, environ=env.environ, base=env.cwd) for text in texts))
    keys, base = (policy.trust.keys if policy else ()), base_of(policy, env)
    return TrustedKeys(tuple(parse_public_key(text, environ=env.environ, base=base) for text in keys))


def digest_of(path: Path) -> Digest:
    """Hash a file in pieces.

    Raises:
        NotFoundError, AccessError, UsageError, UnavailableError: It cannot be read.
    """
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise translate(error, "the file cannot be read", path) from error
    return Digest(hasher.hexdigest())


def would_write(goal: str, paths: Sequence[Path]) -> Result:
    """Give the plan of a verb that only writes files."""
    from otagate.cli.render.plans import plan_data, plan_view  # noqa: PLC0415 - only for a dry run
    from otagate.plan.steps import Plan, Step, StepKind  # noqa: PLC0415 - likewise

    plan = Plan(goal, tuple(Step(StepKind.SEAL, f"write {path}") for path in paths))
    return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))
