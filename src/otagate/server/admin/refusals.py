"""How the operators' side says no. What a caller must not learn has one answer for all its reasons."""

from __future__ import annotations

from otagate.server.interface import Reply

UNAUTHORIZED = 401
TOO_MANY = 429
_BAD, _MISSING, _WRONG_METHOD, _BUG, _AWAY = 400, 404, 405, 500, 503
_AWAY_S = 5


class RefusedError(Exception):
    """A request is answered with an error. Never leaves the package."""

    def __init__(self, reply: Reply, error: str) -> None:
        super().__init__(error)
        self.reply = reply
        self.error = error


def refused(status: int, error: str, message: str, note: str = "admin_refused") -> RefusedError:
    """Make a refusal; texts are ours, never what the client sent."""
    return RefusedError(Reply(status, {"error": error, "message": message}, note=note), error)


def bad(error: str, message: str) -> RefusedError:
    """Refuse a request that says something wrong."""
    return refused(_BAD, error, message)


def missing(error: str, message: str) -> RefusedError:
    """Refuse a request for something that is not there."""
    return refused(_MISSING, error, message)


def unauthorized() -> RefusedError:
    """Refuse without saying why.

    No token, a wrong, expired or revoked one, one without the verb, an app outside its limit and an app that is not served
    here: one status and one body (CVE-2026-56316, CVE-2026-56319: differing errors told what exists).
    """
    return refused(UNAUTHORIZED, "invalid_apikey", "no valid token for this", "admin_unauthorized")


def no_channel() -> RefusedError:
    """Refuse a channel that is not there, or that the token's limit hides (CVE-2026-56323)."""
    return missing("channel_not_found", "there is no such channel")


def no_device() -> RefusedError:
    """Refuse a device that is not known, or that the token's limit hides."""
    return missing("device_not_found", "there is no such device")


def too_many(wait_s: int) -> RefusedError:
    """Refuse an address that failed too often."""
    body = {
        "error": "too_many_requests",
        "message": "too many failed attempts from this address",
        "moreInfo": {"retryAfterSeconds": wait_s},
    }
    return RefusedError(Reply(TOO_MANY, body, retry_after_s=wait_s, note="admin_limited"), "too_many_requests")


def no_route() -> Reply:
    """Answer a path that is not there."""
    return Reply(_MISSING, {"error": "not_found", "message": "there is nothing at this address"}, note="admin_not_found")


def wrong_method() -> Reply:
    """Answer a method that a path does not have."""
    body = {"error": "method_not_allowed", "message": "this address has no such method"}
    return Reply(_WRONG_METHOD, body, note="admin_method")


def away() -> Reply:
    """Answer while the database does not."""
    body = {"error": "unavailable", "message": "the database does not answer; try again"}
    return Reply(_AWAY, body, retry_after_s=_AWAY_S, note="admin_unavailable")


def damaged() -> Reply:
    """Answer when something in the database cannot be."""
    body = {"error": "internal", "message": "something in the database cannot be read; the server's operator must look at it"}
    return Reply(_BUG, body, note="admin_damaged")
