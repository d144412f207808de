"""IAM policies as AWS reads them, as far as ours go: Allow statements, wildcards, and conditions on texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "iam"


@dataclass(frozen=True)
class Grant:
    """One action on one resource, of a statement that allows several."""

    action: str
    resource: str

    def covers(self, action: str, arn: str) -> bool:
        return self.action == action and matches(self.resource, arn)


@dataclass(frozen=True)
class PolicyFile:
    """A policy of examples/iam."""

    name: str
    statements: Sequence[Mapping[str, Any]] = field(repr=False)

    @property
    def text(self) -> str:
        return (FOLDER / f"{self.name}.json").read_text("utf-8")

    def grants(self) -> Iterator[Grant]:
        for statement in self.statements:
            for action in many(statement["Action"]):
                for resource in many(statement["Resource"]):
                    yield Grant(action, resource)

    def trusts(self, action: str, issuer: str, claims: Mapping[str, object]) -> bool:
        """Tell whether a trust policy lets a token's claims take the role; ``issuer`` is without its scheme."""
        return any(_trusts(statement, action, issuer, claims) for statement in self.statements)


def policy(name: str) -> PolicyFile:
    """Read a policy; it may hold nothing that this module does not understand."""
    found = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    known = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
    for statement in found["Statement"]:
        if statement["Effect"] != "Allow" or not set(statement) <= known:
            raise ValueError(statement)
    return PolicyFile(name, found["Statement"])


def many(value: str | Sequence[str]) -> Sequence[str]:
    """Give a list where IAM also takes a single text."""
    return [value] if isinstance(value, str) else value


def matches(pattern: str, text: str) -> bool:
    """Compare as IAM does: ``*`` is any text, slashes and all, and ``?`` one character."""
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _trusts(statement: Mapping[str, Any], action: str, issuer: str, claims: Mapping[str, object]) -> bool:
    if statement["Action"] != action or statement["Principal"]["Federated"].partition("oidc-provider/")[2] != issuer:
        return False
    for operator, wanted in statement["Condition"].items():
        compare = {"StringEquals": str.__eq__, "StringLike": matches}[operator]
        for key, patterns in wanted.items():
            provider, _, claim = key.rpartition(":")
            value = claims.get(claim)
            if provider != issuer or not isinstance(value, str) or not any(compare(one, value) for one in many(patterns)):
                return False
    return True
