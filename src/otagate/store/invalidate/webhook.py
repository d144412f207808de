"""Any other CDN, by an address that somebody who knows it listens at."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import UsageError
from otagate.identity.interface import Link
from otagate.store.invalidate._post import Request, Target, Wire, is_web, post
from otagate.store.invalidate.interface import check_paths

EVENT = "otagate.invalidate"
_MAX_CHARS = 4096


class Webhook:
    """See Invalidator. POSTs ``{"event": "otagate.invalidate", "paths": […], "urls": […]}`` with an ``Idempotency-Key``."""

    def __init__(self, reference: str, environ: Mapping[str, str], folder: Path, origin: str, wire: Wire) -> None:
        """Tell the address that ``reference`` names; it is a secret, and is read when it is needed.

        Args:
            reference: ``env:NAME`` or ``file:PATH``.
            environ: The environment of the process.
            folder: Where relative paths start.
            origin: What stands before each path to make the address that devices ask for: ``https://HOST``; may be empty.
            wire: Time and network.
        """
        self.where = f"webhook {harmless(reference, 200)}"
        self._reference, self._environ, self._folder = reference, environ, folder
        self._origin, self._wire = origin, wire

    def links(self) -> tuple[Link, ...]:
        """See Invalidator.links: the address itself is all that is needed."""
        return ()

    def invalidate(self, paths: Sequence[str]) -> str:
        """See Invalidator.invalidate. The name of the request is its ``Idempotency-Key``."""
        check_paths(paths)
        address, key = self._address(), secrets.token_hex(16)
        urls = [f"{self._origin}{path}" for path in paths] if self._origin else []
        body = json.dumps({"event": EVENT, "paths": list(paths), "urls": urls}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "otagate"}
        target = Target(self.where, "what the address asks for", is_quiet=True)
        post(lambda: Request(address, headers, body, (address,)), target, self._wire)
        return key

    def _address(self) -> str:
        text = self._read().strip()
        if len(text) > _MAX_CHARS or not is_web(text):
            raise UsageError(
                "the webhook's address cannot be used",
                self.where,
                expected="one https address (http on this machine only)",
                found="nothing" if not text else "something else (not shown)",
                remedy="set it as a secret of the CI",
            )
        return text

    def _read(self) -> str:
        scheme, _, rest = self._reference.partition(":")
        if scheme == "env":
            return self._environ.get(rest, "")
        if scheme != "file":
            raise UsageError("this is no reference to an address", "cdn.webhook", expected="env:NAME or file:PATH")
        path = self._folder / rest
        try:
            with path.open("rb") as stream:
                return stream.read(_MAX_CHARS * 4).decode("utf-8", errors="replace")
        except OSError as error:
            raise translate(error, "the webhook's address cannot be read", path, missing=UsageError) from error
