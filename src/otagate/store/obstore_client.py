"""How obstore reaches a service: its time limits, and who it says we are."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote

from otagate.identity.interface import Identity

if TYPE_CHECKING:
    from obstore.store import ClientConfig

CONNECT_SECONDS = 10
QUICK_SECONDS = 30
"""For everything small: a document of 16 MiB still passes at 5 Mbit/s. Ctrl-C waits as long when nobody answers."""
UPLOAD_SECONDS = 600
"""For one part: six at once still pass at 0.7 Mbit/s."""
STALL_SECONDS = 60
"""How long a download may give nothing."""
DOWNLOAD_SECONDS = 6 * 3600

_NO_PROXY, _LOCAL = "http://127.0.0.1:1", "127.0.0.1,localhost,::1"
_T = TypeVar("_T")
_NO_RETRY: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
_PART_RETRY: Any = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=10), "base": 2},
}


def retries(use: str) -> Any:
    """Give how often obstore may repeat by itself: never, since ``cloud.py`` does, but for the parts of an upload.

    A part is the same whenever it is sent, and one that was lost must not cost the others.
    """
    return _PART_RETRY if use == "upload" else _NO_RETRY


def client_options(endpoint: str) -> dict[str, ClientConfig]:
    """Give the HTTP options of each use: ``quick``, ``upload`` and ``download``.

    They are apart because obstore's limits for reading also run while a request is being sent. What matters is said here, since
    obstore takes what is not said from the environment.
    """

    def options(seconds: int, stall: int | None = None) -> ClientConfig:
        made: ClientConfig = {
            "allow_http": endpoint.startswith("http://"),
            "allow_invalid_certificates": False,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=seconds),
            "user_agent": "otagate",
        }
        if endpoint.startswith("http://"):
            # This machine: a proxy of the environment would get what is signed. obstore knows no other way to say so.
            made["proxy_url"], made["proxy_excludes"] = _NO_PROXY, _LOCAL
        if stall is not None:
            made["read_timeout"] = timedelta(seconds=stall)
        return made

    return {
        "quick": options(QUICK_SECONDS),
        "upload": options(UPLOAD_SECONDS),
        "download": options(DOWNLOAD_SECONDS, STALL_SECONDS),
    }


class Credentials(Generic[_T]):
    """Hands the credentials of an identity to obstore, and keeps what obstore would make a mere text of."""

    def __init__(self, identity: Identity[_T], shape: Callable[[_T], dict[str, Any]]) -> None:
        self._identity = identity
        self._shape = shape
        self._secrets: tuple[str, ...] = ()
        self.failure: BaseException | None = None

    def __call__(self) -> Any:
        """Give credentials in obstore's form."""
        try:
            shaped = self._shape(self._identity.get())
        except BaseException as error:
            self.failure = error
            raise
        values = [value for value in shaped.values() if isinstance(value, str) and value]
        self._secrets = tuple(dict.fromkeys(form for value in values for form in _forms(value)))
        return shaped

    def scrub(self, text: str) -> str:
        """Blank out the credentials that were last given, also where an address, XML or JSON shows them in its own form."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _forms(secret: str) -> list[str]:
    parts = [secret, unquote(secret)]
    # Of a shared access signature the signature alone is the secret, and services name it apart from the rest.
    parts += [value for name, value in parse_qsl(secret) if name == "sig"]
    forms = [form for part in parts for form in (part, quote(part), quote(part, safe=""), html.escape(part))]
    return sorted(forms, key=len, reverse=True)
