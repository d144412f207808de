"""Where a release comes from, as SLSA v1 provenance. Pure.

**Source:** https://slsa.dev/spec/v1.0/provenance (buildDefinition, runDetails).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from otagate import _clock
from otagate.model import Context

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://otagate.dev/build/v1"
_BUILDER = "https://otagate.dev/builder"


def provenance(
    context: Context,
    *,
    builder_version: str,
    command: str | Sequence[str] | None,
    policy_digest: str | None = None,
    started: datetime | None = None,
    finished: datetime | None = None,
) -> dict[str, object]:
    """Describe a build.

    Args:
        context: Commit, repository and run. Its texts come from the CI; they are recorded, not believed.
        builder_version: otagate's version.
        command: The build command as the policy says it, or None when the output was there already.
        policy_digest: SHA-256 hex of the policy file, or None.
        started: When the build began, or None.
        finished: When it ended, or None.

    Returns:
        The predicate as plain JSON. What is not known is left out.
    """
    parameters = {
        "command": command if isinstance(command, str) or command is None else list(command),
        "ref": context.ref,
        "repository": context.repository,
        "policy": None if policy_digest is None else {"sha256": policy_digest},
    }
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _known(parameters),
            "internalParameters": {"dirty": context.is_dirty, "fork": context.is_fork, "provider": context.provider},
            "resolvedDependencies": _sources(context),
        },
        "runDetails": {
            "builder": {"id": f"{_BUILDER}/{context.provider}", "version": {"otagate": builder_version}},
            "metadata": _known(
                {
                    "invocationId": context.run_url or context.run_id,
                    "startedOn": None if started is None else _clock.to_text(started),
                    "finishedOn": None if finished is None else _clock.to_text(finished),
                }
            ),
        },
    }


def _sources(context: Context) -> list[dict[str, Any]]:
    if context.commit is None:
        return []
    where = context.repository or "local"
    return [{"uri": f"git+{where}@{context.ref or context.commit}", "digest": {"gitCommit": context.commit}}]


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
