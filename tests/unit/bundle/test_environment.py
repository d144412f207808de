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


@pytest.mark.parametrize("name", ["OTAGATE_SIGNING_KEY", "OTAGATE_ENCRYPTION_KEY", "otagate_signing_key", "OTAGATE_KEY_B64"])
def test_our_own_keys_cannot_even_be_named(name: str) -> None:
    with pytest.raises(BuildError) as caught:
        build_environment({name: "hunter2"}, (name,))
    assert name in (caught.value.found or "")
    assert "hunter2" not in str(caught.value)


def test_values_are_passed_as_they_are() -> None:
    assert build_environment({"PATH": "/a:/b", "X": "1"}, ("X",)) == {"PATH": "/a:/b", "X": "1"}
