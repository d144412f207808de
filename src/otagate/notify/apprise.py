"""Anything else that the library Apprise reaches: mail, Telegram, Discord, ntfy and a hundred more (ADR 15)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from otagate.notify.interface import NotifyError
from otagate.notify.message import Level, Message

if TYPE_CHECKING:
    import apprise

_TYPES = {Level.INFO: "info", Level.GOOD: "success", Level.WARNING: "warning", Level.BAD: "failure"}


class Apprise:
    """See Notifier."""

    def __init__(self, name: str, address: str) -> None:
        """Send to what Apprise finds behind ``address``, such as ``ntfys://TOPIC``.

        Raises:
            NotifyError: The library is not installed, or knows no such address.
        """
        self._name = name
        self._place = _open(name, address.strip())

    def send(self, message: Message) -> None:
        """See Notifier.send. The library says no more than whether it worked."""
        try:
            done = self._place.notify(
                body=message.text, title=message.title, notify_type=_TYPES[message.level], body_format="text"
            )
        except Exception as error:
            # A hundred plugins by as many authors: none of them may end a rollout, nor say the address in its words.
            raise _failed(self._name, type(error).__name__) from error
        if not done:
            raise _failed(self._name, "the library says that it did not get through")


def _open(name: str, address: str) -> apprise.Apprise:
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise NotifyError(
            "a library is missing", name, expected="the extra `notify`", remedy="pip install 'otagate[notify]'"
        ) from error
    # It logs addresses, and what services answer.
    logger = logging.getLogger("apprise")
    logger.handlers[:] = [logging.NullHandler()]
    logger.propagate = False
    place = apprise.Apprise()
    try:
        is_known = bool(address) and "\n" not in address and place.add(address)
    except Exception as error:
        raise _unknown(name) from error  # likewise
    if not is_known or len(place) != 1:
        raise _unknown(name)
    return place


def _unknown(name: str) -> NotifyError:
    return NotifyError(
        "the address of a notification cannot be used",
        name,
        expected="one address that Apprise knows, such as ntfys://TOPIC",
        found="something else (not shown)",
        remedy="set the variable or file that `notify` names to the whole address",
    )


def _failed(name: str, found: str) -> NotifyError:
    remedy = "try the address with the command `apprise`; it is sent again at the next reconcile"
    return NotifyError("a place could not be told", name, found=found, remedy=remedy, retryable=True)
