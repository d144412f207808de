"""Asking an update server's operators' side, with a token that never stands on a command line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from otagate._text import harmless
from otagate.cli.commands._material import base_of, policy_if_any
from otagate.cli.output import CommandEnv
from otagate.errors import AccessError, NotFoundError, UnavailableError, UsageError, VerificationError
from otagate.identity import _words
from otagate.identity._outside import Outside
from otagate.identity._wire import Answer, Ask, send
from otagate.model import AppId
from otagate.seal.references import read_reference

TOKEN_VARIABLE = "OTAGATE_SERVER_TOKEN"  # noqa: S105 - the name of a variable
_UNAUTHORIZED, _MISSING, _BUG = 401, 404, 500
_URL = "check the address of the server"
_HOW = f"set {TOKEN_VARIABLE}, or telemetry.token in the policy; `otagate token create` makes a token"


@dataclass(frozen=True, slots=True)
class Server:
    """An update server.

    Attributes:
        url: Its address, without a slash at its end.
        app: The app that is asked about.
        token: Proves who asks.
        outside: Network and time.
    """

    url: str
    app: str
    token: str = field(repr=False)
    outside: Outside = field(default_factory=Outside, repr=False)

    def call(self, method: str, path: str, values: Mapping[str, str], doing: str) -> dict[str, Any]:
        """Ask, and give the JSON object that comes back.

        Raises:
            AccessError: The token does not allow it.
            NotFoundError, UsageError: As the server says.
            UnavailableError: No usable answer.
        """
        answer = send(self._ask(method, path, values, doing), self.outside)
        found = _words.table(answer.body)
        if answer.is_fine and found:
            return found
        raise _refusal(answer, found, f"{self.url}{path}", doing, self.token)

    def _ask(self, method: str, path: str, values: Mapping[str, str], doing: str) -> Ask:
        headers = {"Authorization": f"Bearer {self.token}"}
        if method != "POST":
            return Ask(doing, method, f"{self.url}{path}?{urlencode(values)}", headers)
        body = json.dumps(dict(values)).encode()
        return Ask(doing, method, f"{self.url}{path}", {**headers, "Content-Type": "application/json"}, body=body)


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add ``--server`` and ``--app``."""
    text = f"address of the update server (default: telemetry.server of the policy); its token is taken from {TOKEN_VARIABLE}"
    parser.add_argument("--server", metavar="URL", help=text)
    parser.add_argument("--app", metavar="ID", help="the app (default: that of the policy)")


def server_of(args: argparse.Namespace, env: CommandEnv) -> Server:
    """Read address, app and token from options, environment and policy.

    A token of the policy goes to the policy's server only: ``--server`` needs the variable.

    Raises:
        UsageError: One of them is missing, or the address is not one that a token may be sent to.
        KeyMaterialError: The policy's reference to the token leads nowhere.
    """
    policy = policy_if_any(args, env)
    spec = policy.telemetry if policy else None
    url = args.server or (spec.server if spec else None)
    if not url:
        raise UsageError(
            "which update server?", expected="--server, or telemetry.server in the policy", remedy="add --server URL"
        )
    app = args.app or (str(policy.app) if policy else None)
    if not app:
        raise UsageError("which app?", expected="--app, or a policy", remedy="add --app ID, or run it where otagate.yml is")
    token = env.environ.get(TOKEN_VARIABLE, "").strip()
    if not token and spec and spec.token and not args.server:
        token = read_reference(spec.token, environ=env.environ, base=base_of(policy, env)).strip()
    if not token:
        raise UsageError("a token is missing", expected=f"a token in {TOKEN_VARIABLE}", remedy=_HOW)
    where = "--server" if args.server else "telemetry.server"
    return Server(_words.address(where, url), AppId(app).value, token)


def _refusal(answer: Answer, found: Mapping[str, Any], subject: str, doing: str, token: str) -> Exception:
    what, said = f"cannot {doing}", _words.said(str(found.get("message") or ""), (token,))
    code = harmless(str(found.get("error") or ""), 60)
    if answer.status == _UNAUTHORIZED:
        remedy = "check the token's app, channels, verbs and end with `otagate token list`, and that the server serves the app"
        return AccessError(what, subject, found="no valid token for this (HTTP 401)", remedy=remedy)
    if not code:
        return UnavailableError(
            what, subject, expected="an answer of an otagate server", found=f"HTTP {answer.status}", remedy=_URL
        )
    shown = f"{code}: {said}" if said else code
    if answer.status == _MISSING and code != "not_found":
        return NotFoundError(what, subject, found=shown)
    if answer.status < _BUG:
        return UsageError(what, subject, found=f"{shown} (HTTP {answer.status})")
    return VerificationError(what, subject, found=f"{shown} (HTTP {answer.status})", remedy="see the server's log")
