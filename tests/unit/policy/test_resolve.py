from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import PolicyError
from otagate.model import Context
from otagate.policy import load_policy
from otagate.policy.model.policy import Policy
from otagate.policy.resolve import Target, resolve

TEXT = """\
version: 1
app: {id: com.example.app}
branches:
  main: {track: production}
  "release/*": {track: production, start_at: stable}
  develop: {channel: development}
  "feature/**": {channel: "preview-{branch}"}
  "wild/*": {channel: "{branch}"}
  "tags/v*": {track: production, start_at: beta}
  "pulls/*": {channel: "pr-{number}"}
tracks:
  production:
    - {phase: internal, channel: internal}
    - {phase: beta, channel: beta}
    - {phase: stable, channel: stable}
gates: {}
"""


@pytest.fixture(name="policy")
def load(tmp_path: Path) -> Policy:
    path = tmp_path / "otagate.yml"
    path.write_text(TEXT)
    return load_policy(path)


def shown(target: Target | None) -> str:
    if target is None:
        return "nothing"
    if target.track is not None:
        return f"{target.rule.pattern}: {' '.join(phase.name for phase in target.track.phases)}"
    return f"{target.rule.pattern}: {target.channel}"


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (Context("git", branch="main"), "main: internal beta stable"),
        (Context("git", branch="release/1.2"), "release/*: stable"),
        (Context("git", branch="release/1/2"), "nothing"),
        (Context("git", branch="develop"), "develop: development"),
        (Context("git", branch="Develop"), "nothing"),
        (Context("git", branch="feature/login"), "feature/**: preview-feature-login-e9e2f1"),
        (Context("git", tag="v1.2.3"), "tags/v*: beta stable"),
        (Context("git", tag="x1"), "nothing"),
        (Context("git", branch="tags/v1.2.3"), "nothing"),
        (Context("git", branch="pulls/7"), "nothing"),
        (Context("github", pull_request=7, source_branch="x", target_branch="main"), "pulls/*: pr-7"),
        (Context("github", pull_request=7, branch="main", source_branch="main"), "pulls/*: pr-7"),
        (Context("none"), "nothing"),
        (Context("git", commit="0" * 40), "nothing"),
    ],
)
def test_the_first_rule_that_matches_decides(context: Context, expected: str, policy: Policy) -> None:
    found = shown(resolve(policy, context))
    assert found.split("-e9e2f1")[0].startswith(expected.split("-e9e2f1", maxsplit=1)[0])


def test_a_target_says_what_it_matched(policy: Policy) -> None:
    target = resolve(policy, Context("git", tag="v1.0.0"))
    assert target is not None
    assert target.ref == "tags/v1.0.0"
    assert target.rule.pattern == "tags/v*"
    assert target.channel is None


def test_two_branches_never_share_a_preview_channel(policy: Policy) -> None:
    names = {
        str(getattr(resolve(policy, Context("git", branch=name)), "channel", None)) for name in ("feature/a/b", "feature/a-b")
    }
    assert len(names) == 2


@pytest.mark.parametrize("branch", ["wild/\x1b[31m", "wild/$(id)", "wild/../../etc"])
def test_hostile_names_become_channel_names(branch: str, policy: Policy) -> None:
    target = resolve(policy, Context("git", branch=branch))
    if target is not None:
        assert str(target.channel).replace("-", "").isalnum()


def test_a_branch_cannot_name_itself_into_another_channel(tmp_path: Path) -> None:
    path = tmp_path / "otagate.yml"
    path.write_text(TEXT.replace('"wild/*"', '"*"'))
    policy = load_policy(path)
    with pytest.raises(PolicyError, match="a branch rule's channel cannot be used") as caught:
        resolve(policy, Context("git", branch="stable"))
    assert "a branch name must not lead there" in str(caught.value)
    with pytest.raises(PolicyError):
        resolve(policy, Context("git", branch="development"))


def test_a_pull_request_without_a_known_branch_gets_no_channel(tmp_path: Path) -> None:
    path = tmp_path / "otagate.yml"
    path.write_text(TEXT.replace("pr-{number}", "pr-{branch}"))
    policy = load_policy(path)
    with pytest.raises(PolicyError, match="not known here"):
        resolve(policy, Context("github", pull_request=7))
    target = resolve(policy, Context("github", pull_request=7, source_branch="fix"))
    assert shown(target) == "pulls/*: pr-fix"
