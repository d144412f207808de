"""Tokens from the Azure CLI: what a person logged in with, and what the ``azure/login`` action leaves.

**Source:** learn.microsoft.com, "az account get-access-token"; its answer has ``expires_on`` since version 2.54.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from otagate.errors import AccessError, UnavailableError
from otagate.identity import _words
from otagate.identity._outside import Outside
from otagate.identity.interface import Bearer

_TIMEOUT_S = 60.0
"""The program starts slowly, and may have to ask Entra first."""
_LAST_SECOND = 253402300799  # of the year 9999


def problem(environ: Mapping[str, str], outside: Outside) -> str | None:
    """Say why the Azure CLI cannot give tokens, or None when it seems logged in. Does not start it."""
    if outside.find("az", environ) is None:
        return "there is no `az` on the PATH"
    home = Path(_words.value(environ, "HOME") or Path.home())
    folder = Path(_words.value(environ, "AZURE_CONFIG_DIR") or home / ".azure")
    subscriptions = _words.table(_words.read_small(str(folder / "azureProfile.json"))).get("subscriptions")
    return None if isinstance(subscriptions, list) and subscriptions else "the Azure CLI is not logged in"


def token(scope: str, tenant: str | None, environ: Mapping[str, str], outside: Outside) -> Bearer:
    """Ask the Azure CLI for a token.

    Raises:
        AccessError: It gives none.
        UnavailableError: It does not end.
    """
    words = ["az", "account", "get-access-token", "--output", "json", "--scope", scope]
    try:
        done = outside.run([*words, "--tenant", tenant] if tenant else words, environ, _TIMEOUT_S)
    except subprocess.TimeoutExpired:  # its text holds the output, and so perhaps a token
        found = f"`az account get-access-token` did not end within {_TIMEOUT_S:g}s"
        raise UnavailableError("cannot get a token from the Azure CLI", "az", None, found, "run the command again") from None
    if done is None or done.status != 0:
        told = _words.said(done.errors) if done is not None else "it is gone"
        raise AccessError("the Azure CLI gives no token", "az", None, told, "`az login`, or `azure/login` in the workflow")
    answer = _words.table(done.output)
    text, end = _words.text_of(answer, "accessToken"), _end(answer)
    if text is None or end is None:
        remedy = "update the Azure CLI: `az upgrade`"
        raise AccessError("the Azure CLI gives no token", "az", "accessToken and expires_on", "an answer without", remedy)
    return Bearer(text, end)


def _end(found: Mapping[str, object]) -> datetime | None:
    end = found.get("expires_on")
    if isinstance(end, int) and not isinstance(end, bool) and 0 <= end <= _LAST_SECOND:
        return datetime.fromtimestamp(end, tz=UTC)
    return None
