"""The places that a policy names, ready to be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from otagate.errors import AccessError, KeyMaterialError
from otagate.notify._post import Wire
from otagate.notify.interface import Notifier, NotifyError
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.seal.references import read_reference

__all__ = ["Wire", "open_notifier"]


def open_notifier(spec: NotifySpec, environ: Mapping[str, str], base: Path, *, wire: Wire | None = None) -> Notifier:
    """Open one place. Nothing is sent.

    ``base`` is where relative ``file:`` references start: the policy's folder. ``wire`` is for tests.

    Raises:
        NotifyError: Its address or secret is missing or cannot be used, or a library is not installed.
    """
    wire = wire or Wire()
    address = _read(spec.url, "address", spec, environ, base)
    match spec.kind:
        case NotifyKind.WEBHOOK:
            from otagate.notify.webhook import Webhook, read_secrets  # noqa: PLC0415 - only what the policy names is loaded

            secret = None if spec.secret is None else _read(spec.secret, "secret", spec, environ, base)
            return Webhook(spec.name, address, () if secret is None else read_secrets(spec.name, secret), wire)
        case NotifyKind.SLACK:
            from otagate.notify.slack import Slack  # noqa: PLC0415 - likewise

            return Slack(spec.name, address, wire)
        case NotifyKind.TEAMS:
            from otagate.notify.teams import Teams  # noqa: PLC0415 - likewise

            return Teams(spec.name, address, wire)
        case NotifyKind.APPRISE:
            from otagate.notify.apprise import Apprise  # noqa: PLC0415 - likewise

            return Apprise(spec.name, address)


def _remedy(subject: str) -> str:
    """Say what to do; ``subject`` is ``env:NAME``, a file, or empty where the reference itself is not to be shown."""
    kind, _, name = subject.partition(":")
    if kind == "env" and name:
        return f"set {name} as a secret of the CI, or in the shell"
    return "write env:NAME or file:PATH into the policy, and the address there"


def _read(reference: str, what: str, spec: NotifySpec, environ: Mapping[str, str], base: Path) -> str:
    try:
        return read_reference(reference, environ=environ, base=base).strip()
    except (KeyMaterialError, AccessError) as error:
        raise NotifyError(
            f"its {what} {error.subject or '(not shown)'} cannot be read",
            spec.name,
            expected="a variable or file with one in it",
            found=error.found or error.what,
            remedy=_remedy(error.subject or ""),
        ) from error
