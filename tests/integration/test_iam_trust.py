"""The trust policies of examples/iam let in the job that they are for, and nobody else: the whole way, from the token to AWS's answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from otagate.errors import AccessError
from otagate.identity.aws import aws_identity
from support.iam import PolicyFile, policy
from support.issuer import Clouds, Issuer, Trust, clouds_that_trust, issuing

pytestmark = pytest.mark.integration
ACTION = "sts:AssumeRoleWithWebIdentity"
AUDIENCE = "sts.amazonaws.com"
GITHUB, GITLAB = "token.actions.githubusercontent.com", "gitlab.com"


@dataclass(frozen=True)
class ByPolicy(Trust):
    """A cloud that verifies a token as always, and then asks a trust policy about it."""

    policy: PolicyFile | None = None
    host: str = ""

    def refusal(self, token: str) -> str | None:
        """See Trust.refusal. Signature, issuer and times count before the policy does."""
        from jwcrypto.jwt import JWT

        claims = self._claims(JWT(jwt=token))
        checked = Trust(self.issuer, str(claims["aud"]), str(claims["sub"])).refusal(token)
        if checked is not None or self.policy is None:
            return checked or "sub"
        return None if self.policy.trusts(ACTION, self.host, claims) else "sub"

    @staticmethod
    def _claims(token: object) -> dict[str, object]:
        import json

        found: dict[str, object] = json.loads(token.token.objects["payload"])  # type: ignore[attr-defined]
        return found


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


def environ(issuer: Issuer, clouds: Clouds, subject: str, audience: str = AUDIENCE) -> dict[str, str]:
    return {
        **clouds.environ(),
        "AWS_ROLE_ARN": clouds.role,
        "OTAGATE_OIDC_TOKEN": issuer.token(audience, sub=subject),
        "CI": "true",
        "GITLAB_CI": "true",
    }


LET_IN = [
    ("aws-trust-github", GITHUB, "repo:acme/app:environment:production"),
    ("aws-trust-github-branches", GITHUB, "repo:acme/app:ref:refs/heads/main"),
    ("aws-trust-github-branches", GITHUB, "repo:acme/app:ref:refs/heads/release/2026.11"),
    ("aws-trust-gitlab", GITLAB, "project_path:acme/app:ref_type:branch:ref:main"),
    ("aws-trust-gitlab", GITLAB, "project_path:acme/app:ref_type:tag:ref:v1.2.0"),
]
KEPT_OUT = [
    ("aws-trust-github", GITHUB, "repo:acme/app:environment:staging"),
    ("aws-trust-github", GITHUB, "repo:acme/app:ref:refs/heads/main"),
    ("aws-trust-github", GITHUB, "repo:acme/app:pull_request"),
    ("aws-trust-github", GITHUB, "repo:acme/other:environment:production"),
    ("aws-trust-github", GITHUB, "repo:mallory/app:environment:production"),
    ("aws-trust-github", GITHUB, "repo:acme/app:environment:production:x"),
    ("aws-trust-github-branches", GITHUB, "repo:acme/app:ref:refs/heads/main2"),
    ("aws-trust-github-branches", GITHUB, "repo:acme/app:ref:refs/tags/main"),
    ("aws-trust-github-branches", GITHUB, "repo:acme/app:pull_request"),
    ("aws-trust-github-branches", GITHUB, "repo:mallory/app:ref:refs/heads/main"),
    ("aws-trust-gitlab", GITLAB, "project_path:acme/app:ref_type:branch:ref:feature"),
    ("aws-trust-gitlab", GITLAB, "project_path:acme/app:ref_type:branch:ref:v1.2.0"),
    ("aws-trust-gitlab", GITLAB, "project_path:mallory/app:ref_type:branch:ref:main"),
    ("aws-trust-gitlab", GITLAB, "project_path:acme/app/fork:ref_type:branch:ref:main"),
]


@pytest.mark.parametrize(("name", "host", "subject"), LET_IN)
def test_the_right_job_gets_keys(issuer: Issuer, name: str, host: str, subject: str) -> None:
    with clouds_that_trust(ByPolicy(issuer.url, AUDIENCE, policy=policy(name), host=host)) as clouds:
        keys = aws_identity(None, None, None, environ(issuer, clouds, subject)).get()
        assert keys.session_token in clouds.secrets


@pytest.mark.parametrize(("name", "host", "subject"), KEPT_OUT)
def test_another_job_gets_none(issuer: Issuer, name: str, host: str, subject: str) -> None:
    with clouds_that_trust(ByPolicy(issuer.url, AUDIENCE, policy=policy(name), host=host)) as clouds:
        identity = aws_identity(None, None, None, environ(issuer, clouds, subject))
        with pytest.raises(AccessError) as caught:
            identity.get()
        assert clouds.secrets == []
        assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in str(caught.value.found)
        # What the trust policy would have to say stands in the message.
        assert subject in str(caught.value.expected)


@pytest.mark.parametrize(("name", "host", "subject"), LET_IN)
def test_a_token_for_somebody_else_is_no_key(issuer: Issuer, name: str, host: str, subject: str) -> None:
    trusted = policy(name)
    claims = issuer.claims("https://storage.example.com", sub=subject)
    assert trusted.trusts(ACTION, host, {**claims, "aud": AUDIENCE})
    assert not trusted.trusts(ACTION, host, claims)
    assert not trusted.trusts(ACTION, "evil.example.com", {**claims, "aud": AUDIENCE})
    assert not trusted.trusts("sts:AssumeRole", host, {**claims, "aud": AUDIENCE})
