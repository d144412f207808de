from __future__ import annotations

import pytest

from otagate.bundle.environment import build_environment
from otagate.errors import BuildError

_NEVER = [
    "NODE_AUTH_TOKEN", "npm_config__auth", "npm_config_//registry/:_authToken", "npm_config_otp", "AWS_SECRET_ACCESS_KEY",
    "GITHUB_TOKEN", "DB_PASSWORD", "SSH_AUTH_SOCK", "CAPGO_PRIVATE_KEY", "CAPGO_URL", "OTAGATE_SIGNING_KEY", "OTAGATE_STORE",
    "GITHUB_ACTIONS", "LD_PRELOAD", "VITE_API", "VITE_API_KEY",
]  # fmt: skip
_ALWAYS = {
    "PATH", "HOME", "LANG", "LC_ALL", "LC_TIME", "TZ", "TERM", "TMPDIR", "CI", "SOURCE_DATE_EPOCH", "NODE_ENV", "NODE_OPTIONS",
    "XDG_CACHE_HOME", "npm_config_cache", "npm_config_registry",
}  # fmt: skip
_ENVIRON = dict.fromkeys([*_ALWAYS, *_NEVER], "value")


def test_only_the_short_list_passes() -> None:
    assert set(build_environment(_ENVIRON, ())) == _ALWAYS


@pytest.mark.parametrize(
    ("extra", "more"),
    [
        (("VITE_API",), {"VITE_API"}),
        (("VITE_API_KEY",), {"VITE_API_KEY"}),
        (("VITE_*",), {"VITE_API"}),
        (("GITHUB_*",), {"GITHUB_ACTIONS"}),
        (("*",), {"VITE_API", "GITHUB_ACTIONS", "LD_PRELOAD"}),
        (("NODE_AUTH_TOKEN", "CAPGO_PRIVATE_KEY"), {"NODE_AUTH_TOKEN", "CAPGO_PRIVATE_KEY"}),
        (("OTAGATE_STORE",), {"OTAGATE_STORE"}),
        (("OTAGATE_*",), set()),
        (("ABSENT",), set()),
    ],
)
def test_named_variables_pass_too_and_secrets_only_when_named_in_full(extra: tuple[str, ...], more: set[str]) -> None:
    assert set(build_environment(_ENVIRON, extra)) == _ALWAYS | more


_REFUSED = [
    "OTAGATE_SIGNING_KEY", "OTAGATE_ENCRYPTION_KEY", "otagate_signing_key", "OTAGATE_KEY_B64", "OTAGATE_OIDC_TOKEN",
    "OTAGATE_GITLAB_TOKEN", "OTAGATE_SERVER_TOKEN", "OTAGATE_DATABASE", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2", "BUILDKITE_AGENT_ACCESS_TOKEN", "AWS_ID_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING", "IDENTITY_HEADER", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GHA_CREDS_PATH",
]  # fmt: skip


@pytest.mark.parametrize("extra", ["AWS_*", "AZURE_*", "GOOGLE_*", "IDENTITY_*", "ACTIONS_*", "OTAGATE_*", "*"])
def test_a_prefix_brings_no_key_of_a_store(extra: str) -> None:
    plain = {"AWS_REGION": "eu-west-1", "AWS_ROLE_ARN": "arn", "AZURE_TENANT_ID": "t"}
    passed = build_environment(dict.fromkeys(_REFUSED, "hunter2") | plain, (extra,))
    assert "hunter2" not in passed.values()
    assert passed == {name: value for name, value in plain.items() if name.startswith(extra[:-1])}


@pytest.mark.parametrize("name", _REFUSED)
def test_keys_of_ours_and_of_stores_cannot_even_be_named(name: str) -> None:
    with pytest.raises(BuildError) as caught:
        build_environment({name: "hunter2"}, (name,))
    assert name in (caught.value.found or "")
    assert "hunter2" not in str(caught.value)


def test_values_are_passed_as_they_are() -> None:
    assert build_environment({"PATH": "/a:/b", "X": "1"}, ("X",)) == {"PATH": "/a:/b", "X": "1"}
