from __future__ import annotations

from datetime import UTC, datetime

import pytest

from otagate import _canonical
from otagate.model import Context
from otagate.seal.provenance import provenance

CONTEXT = Context(
    provider="github",
    commit="a" * 40,
    branch="main",
    repository="owner/name",
    run_id="5",
    run_url="https://example.com/runs/5",
    is_dirty=True,
)


def test_it_is_a_slsa_v1_predicate() -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    assert provenance(
        CONTEXT, builder_version="0.1.0", command=("npm", "run", "build"), policy_digest="ab", started=started, finished=started
    ) == {
        "buildDefinition": {
            "buildType": "https://otagate.dev/build/v1",
            "externalParameters": {
                "command": ["npm", "run", "build"],
                "ref": "main",
                "repository": "owner/name",
                "policy": {"sha256": "ab"},
            },
            "internalParameters": {"dirty": True, "fork": False, "provider": "github"},
            "resolvedDependencies": [{"uri": "git+owner/name@main", "digest": {"gitCommit": "a" * 40}}],
        },
        "runDetails": {
            "builder": {"id": "https://otagate.dev/builder/github", "version": {"otagate": "0.1.0"}},
            "metadata": {
                "invocationId": "https://example.com/runs/5",
                "startedOn": "2026-01-01T00:00:00.000000Z",
                "finishedOn": "2026-01-01T00:00:00.000000Z",
            },
        },
    }


@pytest.mark.parametrize("context", [Context("none"), Context("git", commit="b" * 40), CONTEXT])
@pytest.mark.parametrize("command", [None, "make", ("make",)])
def test_what_is_not_known_is_left_out(context: Context, command: str | tuple[str, ...] | None) -> None:
    found = provenance(context, builder_version="0.1.0", command=command)
    assert b"null" not in _canonical.dumps(found)


def test_no_commit_is_no_dependency() -> None:
    definition = provenance(Context("none"), builder_version="1", command=None)["buildDefinition"]
    assert isinstance(definition, dict)
    assert definition["resolvedDependencies"] == []
