"""Who we are to a cloud, found out once for all sources of a look.

Ten gates on one cloud are one job with one identity: ten exchanges of the CI's token, or ten starts of a cloud's program at the
same time, would be slow at best. botocore's sessions and the clouds' programs are not made for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from otagate.errors import OtagateError


class Identities:
    """Identities by what they are for. Safe for threads."""

    def __init__(self) -> None:
        """Know none yet."""
        self._lock = threading.Lock()
        self._known: dict[Hashable, _Shared] = {}

    def get(self, key: Hashable, find: Callable[[], Callable[[], Any]]) -> Any:
        """Give credentials.

        Args:
            key: What they are for; of one key all get the same.
            find: Finds the identity, and gives what gets credentials of it: the same as long as they hold.

        Raises:
            OtagateError: What ``find`` or the identity raised. Those that waited for it meanwhile get the same error: a
                service that does not answer is not asked by each of them. Who comes later asks again.
        """
        with self._lock:
            shared = self._known.setdefault(key, _Shared())
        return shared.get(find)


class _Shared:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._get: Callable[[], Any] | None = None
        self._failures: list[OtagateError] = []

    def get(self, find: Callable[[], Callable[[], Any]]) -> Any:
        known = len(self._failures)
        with self._lock:
            if len(self._failures) > known:
                raise self._failures[-1]
            try:
                self._get = self._get or find()
                return self._get()
            except OtagateError as error:
                self._failures.append(error)
                raise
