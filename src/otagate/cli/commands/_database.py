"""Where the database of telemetry is, for verbs that work on it directly."""

from __future__ import annotations

import argparse
from pathlib import Path

from otagate.cli.commands._material import base_of, policy_if_any
from otagate.cli.output import CommandEnv
from otagate.errors import UsageError
from otagate.flow.database import DATABASE_VARIABLE as VARIABLE
from otagate.flow.database import DEFAULT_DATABASE


def add_database(parser: argparse._ActionsContainer) -> None:
    """Add ``--database``."""
    parser.add_argument(
        "--database",
        metavar="URL",
        help="the database of telemetry: a URL without a password, env:NAME or file:PATH"
        f" (default: {VARIABLE}, else telemetry.database of the policy, else what `otagate serve` makes beside the policy)",
    )


def database_of(args: argparse.Namespace, env: CommandEnv) -> tuple[str, Path]:
    """Give the address, or a reference to it, and the folder that relative paths start from.

    Raises:
        UsageError: None is named, and there is no policy.
        PolicyError: The policy is wrong.
    """
    if args.database:
        return args.database, env.cwd
    if env.environ.get(VARIABLE, "").strip():
        return f"env:{VARIABLE}", env.cwd
    policy = policy_if_any(args, env)
    if policy is None:
        raise UsageError(
            "which database?",
            expected=f"--database, the variable {VARIABLE}, or a policy with telemetry.database",
            remedy="run it where otagate.yml is, or give --database sqlite:////path/file.db",
        )
    if policy.telemetry is not None and policy.telemetry.database is not None:
        return policy.telemetry.database, base_of(policy, env)
    return f"sqlite:///{policy.file.parent / DEFAULT_DATABASE}", base_of(policy, env)
