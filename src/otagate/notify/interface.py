"""The port of places that are told: one message, sent now or an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from otagate.errors import ExitCode, OtagateError
from otagate.notify.message import Message


@dataclass
class NotifyError(OtagateError):
    """A place could not be told.

    ``subject`` is the name of the place in the policy, never its address: addresses of chats hold their token.

    Attributes:
        retryable: The same message may go through later without anybody mending anything.
    """

    retryable: bool = False

    exit_code = ExitCode.UNAVAILABLE

    # See OtagateError.
    __hash__ = OtagateError.__hash__


class Notifier(Protocol):
    """One place that is told."""

    def send(self, message: Message) -> None:
        """Send one message. The same message may come again, with the same id: nobody knows whether a lost answer was a yes.

        Raises:
            NotifyError: It did not get through within some 25 seconds. No address, token or secret stands in the error.
        """
        ...
