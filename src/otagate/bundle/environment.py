"""Which environment variables a build command sees: a short list, so that keys never reach what a package's script can read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from otagate._text import harmless
from otagate.errors import BuildError

_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TERM|TMPDIR|TMP|TEMP|CI|NODE_.+|XDG_.+|SOURCE_DATE_EPOCH"
    r"|SystemRoot|ComSpec|PATHEXT|USERPROFILE|APPDATA|LOCALAPPDATA|npm_config_.+",
    re.DOTALL,
)
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|AUTH|OTP$|^OTAGATE_|^CAPGO_", re.IGNORECASE)
_NEVER = re.compile(
    r"OTAGATE_.*(?:KEY|TOKEN|SECRET|DATABASE).*"
    r"|ACTIONS_ID_TOKEN_REQUEST_(?:TOKEN|URL)|.+_OIDC_TOKEN(?:_V2)?|BUILDKITE_AGENT_(?:ACCESS|JOB_API)_TOKEN|.+_ID_TOKEN"
    r"|AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|WEB_IDENTITY_TOKEN_FILE)"
    r"|AWS_CONTAINER_(?:AUTHORIZATION_TOKEN(?:_FILE)?|CREDENTIALS_(?:RELATIVE|FULL)_URI)"
    r"|AZURE_(?:CLIENT_SECRET|CLIENT_CERTIFICATE_PATH|FEDERATED_TOKEN(?:_FILE)?)"
    r"|AZURE_STORAGE_(?:KEY|ACCOUNT_KEY|SAS_TOKEN|TOKEN|CONNECTION_STRING)|IDENTITY_(?:ENDPOINT|HEADER)|MSI_(?:ENDPOINT|SECRET)"
    r"|GOOGLE_APPLICATION_CREDENTIALS|GOOGLE_(?:GHA_CREDS_PATH|CREDENTIALS|OAUTH_ACCESS_TOKEN)"
    r"|CLOUDSDK_AUTH_(?:ACCESS_TOKEN|CREDENTIAL_FILE_OVERRIDE)",
    re.IGNORECASE | re.DOTALL,
)
"""otagate's own keys, what asks a CI for a token, and what the clouds take for a key: who has these can write into the store.

**Sources:** GitHub, "OpenID Connect reference"; CircleCI, "Using OpenID Connect tokens in jobs"; Buildkite, "Environment
variables"; AWS SDKs and Tools, "Environment variables"; Azure Identity, "Environment variables"; google-auth, "User guide".
"""


def build_environment(environ: Mapping[str, str], extra: Iterable[str]) -> dict[str, str]:
    """Pick the variables that the build command may see.

    Args:
        environ: The environment to pick from.
        extra: ``build.env``: further names. ``*`` at the end matches a prefix, but never a name that looks like a secret:
            such a name must be given in full. What opens the store or signs a release cannot be given at all.

    Raises:
        BuildError: ``extra`` names what :func:`never_passes` refuses.
    """
    exact = {name for name in extra if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in extra if name.endswith("*"))
    refused = sorted(name for name in exact if never_passes(name))
    if refused:
        raise BuildError(
            "a build command never sees the keys of otagate, of the store, or what the CI gives tokens for",
            "build.env in the policy",
            found=", ".join(harmless(name) for name in refused),
            remedy="remove it from build.env; builds run the scripts of every package that they install",
        )
    return {name: value for name, value in environ.items() if _may_pass(name, exact, prefixes)}


def never_passes(name: str) -> bool:
    """Tell whether a variable's value may reach no build: a key of otagate or of a cloud, or a way to get a CI's token."""
    return _NEVER.fullmatch(name) is not None


def _may_pass(name: str, exact: set[str], prefixes: tuple[str, ...]) -> bool:
    if never_passes(name):
        return False
    if name in exact:
        return True
    if _SECRET.search(name):
        return False
    return _PASSED.fullmatch(name) is not None or (bool(prefixes) and name.startswith(prefixes))
