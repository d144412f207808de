"""``otagate policy check|explain|schema``: judge the policy file, trace its values, print its schema."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from otagate.cli.output import CommandEnv, Result, blocks

if TYPE_CHECKING:
    from otagate.policy.model.policy import Policy

HELP = "check, explain or print the schema of the policy"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verbs."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="check|explain|schema")
    verbs.add_parser("check", help="list everything that is wrong or unwise in the policy, each with its place")
    verbs.add_parser("explain", help="show every value in effect and where it comes from")
    verbs.add_parser("schema", help="print the JSON Schema (draft 2020-12) of the policy, for editors")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Carry out one sub-verb.

    Raises:
        PolicyError: The policy is not valid (``check`` and ``explain``); its details list every problem.
        UsageError: There is no policy.
    """
    if args.action == "schema":
        return schema_result()
    from otagate.policy import find_policy, load_policy  # noqa: PLC0415 - `schema` needs no policy

    policy = load_policy(env.cwd / args.policy if args.policy else find_policy(env.cwd))
    return check_result(policy) if args.action == "check" else explain_result(policy)


def check_result(policy: Policy) -> Result:
    """Say that a policy is valid, what it holds in short, and what is unwise in it."""
    counts = (
        ("app", str(policy.app)),
        ("branch rules", str(len(policy.branches))),
        ("tracks", ", ".join(policy.tracks) or "none"),
        ("gates", ", ".join(gate.metric for gate in policy.gates) or "none"),
        ("digest", f"sha256:{policy.digest}"),
    )
    warned = [blocks.Line(f"warning: {warning}", blocks.Tone.WARN) for warning in policy.warnings]
    view: list[blocks.Block] = [blocks.Line(f"{policy.file.name} is valid", blocks.Tone.GOOD), blocks.Facts(counts), *warned]
    data: dict[str, Any] = {
        "file": str(policy.file),
        "digest": policy.digest,
        "app": str(policy.app),
        "valid": True,
        "warnings": list(policy.warnings),
    }
    return Result("otagate/policy-check/v1", data, view)


def explain_result(policy: Policy) -> Result:
    """Show every effective value with its origin."""
    from otagate.policy.explain import rows_of  # noqa: PLC0415 - brings the YAML reader

    rows = tuple((origin.path, origin.value, origin.source) for origin in policy.origins)
    view = [blocks.Table(("key", "value", "from"), rows)]
    data = {"file": str(policy.file), "digest": policy.digest, "values": rows_of(policy), "warnings": list(policy.warnings)}
    return Result("otagate/policy-explain/v1", data, view)


def schema_result() -> Result:
    """Print the published schema, byte for byte; as JSON the same schema within our envelope."""
    from otagate.policy.validate import schema, schema_text  # noqa: PLC0415 - brings the YAML reader

    text = schema_text()
    return Result("otagate/policy-schema/v1", {"policy_schema": schema()}, [blocks.Code(text, "json")], raw=text)
