"""Who may come in: reads the token of a request, asks the database, and counts who fails."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from otagate import _clock
from otagate.errors import OtagateError
from otagate.server.admin.failures import Failures
from otagate.server.admin.refusals import too_many, unauthorized
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.tokens import Token, digest_of, id_in

_MOST_KNOWN = 1_000


class Door:
    """See the module. Safe from several threads."""

    def __init__(self, tokens: TokenStore) -> None:
        self._tokens = tokens
        self._failures = Failures()
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def admit(self, headers: Mapping[str, str], peer: str, now: datetime) -> Token:
        """Give the valid token that a request brings.

        An address that failed too often is turned away before the database is asked; but not with a token that was valid
        before: otherwise whoever shares an address with an operator, or a proxy, could lock that operator out.

        Raises:
            RefusedError: There is none, or the address has to wait.
            UnavailableError, VerificationError: The database.
        """
        text = _token_in(headers)
        if text is None or id_in(text) is None:
            self.refuse_if_blocked(peer, now)
            raise self.failed(peer, now)
        digest = digest_of(text)
        if digest not in self._known:
            self.refuse_if_blocked(peer, now)
        token = self._tokens.authenticate(text, now)
        self._remember(digest, is_valid=token is not None)
        if token is None:
            raise self.failed(peer, now)
        return token

    def refuse_if_blocked(self, peer: str, now: datetime) -> None:
        """Turn an address away that failed too often."""
        wait = self._failures.wait_s(peer, now)
        if wait:
            raise too_many(wait)

    def failed(self, peer: str, now: datetime) -> Exception:
        """Count a failed attempt, tell the audit of all of them once a minute, and give the refusal."""
        self._failures.add(peer, now)
        self.tell(now)
        return unauthorized()

    def tell(self, now: datetime, *, at_once: bool = False) -> None:
        """Write failed attempts that are not in the audit yet into it.

        Raises:
            UnavailableError: The database.
        """
        found = self._failures.take(now, at_once=at_once)
        if found is not None:
            data = {"count": found.count, "addresses": found.addresses, "since": _clock.to_text(found.since)}
            self._tokens.audit.append("auth.failed", "server", data, now)

    def close(self, now: datetime) -> None:
        """Write what is left, when the database takes it."""
        try:
            self.tell(now, at_once=True)
        except OtagateError:
            return  # the server ends; there is nobody left to tell, and the attempts failed anyway

    def _remember(self, digest: bytes, *, is_valid: bool) -> None:
        with self._lock:
            self._known.pop(digest, None)
            if is_valid:
                self._known[digest] = None
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


def token_of(authorization: str) -> str:
    """Give the token in an ``Authorization`` header: alone, as Capgo's clients send it, or after ``Bearer``."""
    scheme, blank, rest = authorization.strip().partition(" ")
    return rest.strip() if blank and scheme.lower() == "bearer" else authorization.strip()


def _token_in(headers: Mapping[str, str]) -> str | None:
    """Give the token of a request; None when there is none, or two that differ."""
    found = {token_of(headers["authorization"])} if "authorization" in headers else set()
    if "capgkey" in headers:
        found.add(headers["capgkey"].strip())
    return found.pop() if len(found) == 1 else None
