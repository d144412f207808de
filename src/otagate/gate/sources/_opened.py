"""How the sources of other makers are opened: all alike."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from otagate.gate.interface import Independent
from otagate.gate.sources._door import Wire
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources._identities import Identities

if TYPE_CHECKING:
    import httpx

    from otagate.identity._outside import Outside

Spec = TypeVar("Spec")


class Opened(Independent, Generic[Spec]):
    """A source that asks another maker's store. Nothing is read before it is asked, and it shares nothing but identities."""

    def __init__(
        self,
        spec: Spec,
        root: Path,
        environ: Mapping[str, str],
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
        outside: Outside | None = None,
        identities: Identities | None = None,
    ) -> None:
        """Ask as the policy says; credentials are read and identities are looked for when it is asked.

        Args:
            spec: As the policy says.
            root: Where relative paths start: the app's folder.
            environ: Where ``env:`` references are looked up.
            pace: Time and chance; None: the real ones.
            transport: Replaces the network.
            outside: Replaces that of the identity.
            identities: Who we are to the clouds, shared with other sources; None: its own.
        """
        self._spec = spec
        self._wire = Wire(root, environ, pace, transport, outside, identities or Identities())
