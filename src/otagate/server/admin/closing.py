"""What the operators' side still has to say when a server ends."""

from __future__ import annotations

from otagate._clock import Clock
from otagate.server.admin.api import AdminApi


class AdminClosing:
    """See server.parts.Background: writes failed attempts that are not in the audit yet into it."""

    def __init__(self, api: AdminApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    def start(self) -> None:
        """Do nothing: it only has an end."""

    def stop(self) -> None:
        """Write what is left, while the database is still open."""
        self._api.close(self._clock.now())
