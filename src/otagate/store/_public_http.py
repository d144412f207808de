"""One request to the public address, as an anonymous device would send it: bounds on everything, no cookies, no passwords.

A lane is one connection. The reader keeps idle lanes for the next object, so that a thousand small objects cost one handshake.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from otagate._client import open_client
from otagate._retry import Patience
from otagate._text import harmless
from otagate.errors import OtagateError, UnavailableError

if TYPE_CHECKING:
    import httpx

MAX_REDIRECTS = 3
_CONNECT_S = 10.0
_STALL_S = 30.0
_POLL_S = 0.2
_LOOPBACK = re.compile(r"127\.0\.0\.1|localhost|::1", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading one object may cost.

    Attributes:
        answer: Seconds until an answer begins, and until each further piece of it.
        slowest: Bytes a second, over ``window`` seconds of waiting for the network; less counts as broken off.
        window: Seconds.
        total: Seconds of waiting for the network for one object, with all that is tried again.
        missing: Seconds for which an object that is said not to be there is asked for again.
        size: Bytes; a larger object is refused.
        patience: How long failures that may pass are tried again without a byte coming.
    """

    answer: float = 30.0
    slowest: int = 4096
    window: float = 30.0
    total: float = 3600.0
    missing: float = 20.0
    size: int = 4 * 1024**3
    patience: Patience = field(default_factory=Patience)


class PassingError(Exception):
    """A request failed in a way that another may not; ``found`` is for people, ``after`` what ``Retry-After`` said."""

    def __init__(self, found: str, after: float | None = None) -> None:
        super().__init__(found)
        self.found = found
        self.after = after


class RefusedRedirectError(Exception):
    """A redirect that is not followed; the text says why."""


class Lane:
    """One connection, used by one reader at a time."""

    def __init__(self, *, is_local: bool, verify: ssl.SSLContext | None, transport: httpx.BaseTransport | None) -> None:
        """Make a lane; nothing is sent.

        Args:
            is_local: The public address is on this machine: plain HTTP is fine, and no proxy stands in between.
            verify: The authorities to believe.
            transport: Replaces the network.
        """
        import httpx  # noqa: PLC0415 - only who reads over HTTP pays for it

        self._is_local = is_local
        self._socket: socket.socket | None = None
        self._client = open_client(
            headers={"User-Agent": "otagate", "Accept": "*/*", "Accept-Encoding": "identity"},
            # A device that comes for the first time has no cookie, and gets what everybody gets.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(_STALL_S, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=1),
            verify=True if verify is None else verify,
            trust_env=not is_local,
            transport=transport,
        )

    def ask(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        """Send GET, follow redirects, and give the answer with its body unread.

        Raises:
            PassingError: No answer.
            RefusedRedirectError: Too many redirects, or one to another place than https.
            UnavailableError: The certificate is not right, or there is no such host.
        """
        import httpx  # noqa: PLC0415 - likewise

        try:
            with saying(url):
                request = self._client.build_request("GET", url, headers=dict(headers), extensions={"trace": self._trace})
                for _ in range(MAX_REDIRECTS + 1):
                    response = self._client.send(request, stream=True)
                    if response.next_request is None:
                        return response
                    response.close()
                    request = self._checked(response.next_request)
        except httpx.InvalidURL as error:
            remedy = "mend public= in the storage URL"
            raise UnavailableError("the public address is not one", url, found=harmless(str(error)), remedy=remedy) from error
        raise RefusedRedirectError(f"more than {MAX_REDIRECTS} redirects")

    def _checked(self, request: httpx.Request) -> httpx.Request:
        url = request.url
        is_local = self._is_local and url.scheme == "http" and bool(_LOOPBACK.fullmatch(url.host))
        if url.scheme != "https" and not is_local:
            raise RefusedRedirectError(f"a redirect to {harmless(url.scheme, 20)}://{harmless(url.host, 200)}")
        request.extensions["trace"] = self._trace
        return request

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")

    def cut(self) -> None:
        """End what the connection is doing, from another thread."""
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def saying(url: str) -> Iterator[None]:
    """Turn what httpx raises in the ``with`` body into an error of ours.

    Raises:
        PassingError: Another try may help.
        RefusedRedirectError: The answer leads to what is no address.
        UnavailableError: No other try will help.
    """
    import httpx  # noqa: PLC0415 - likewise

    try:
        yield
    except httpx.TimeoutException as error:
        raise PassingError(f"no answer in time ({type(error).__name__})") from error
    except httpx.TransportError as error:
        if "location header" in str(error):
            raise RefusedRedirectError(f"a redirect to no address: {harmless(str(error))}") from error
        lasting = _lasting(error, url)
        if lasting is not None:
            raise lasting from error
        raise PassingError(harmless(str(error)) or type(error).__name__) from error


def _lasting(error: BaseException, url: str) -> OtagateError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UnavailableError(
                "the certificate of the public address is not right, so devices refuse it, too",
                url,
                found=harmless(cause.verify_message or str(cause)),
                remedy="put a valid certificate for this host name on the CDN; for a private authority set SSL_CERT_FILE",
            )
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            remedy = "check public= in the storage URL, and the DNS record of the CDN"
            return UnavailableError("the public address has no such host", url, found=harmless(str(cause)), remedy=remedy)
        cause = cause.__cause__ or cause.__context__
    return None


class Watch:
    """Cuts a connection that drips: a server that sends a byte now and then never runs into a read's own timeout."""

    def __init__(self, lane: Lane) -> None:
        self.has_cut = False
        self._lane = lane
        self._until: float | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the ``with`` body takes longer than that.

        Raises:
            PassingError: It was cut. Without a length an answer that was cut looks like a whole one.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="otagate-watch", daemon=True)
            self._thread.start()
        self._until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._until = None
        if self.has_cut:
            raise PassingError(f"no answer within {seconds:g}s")

    def close(self) -> None:
        """End the thread, which starts with the first :meth:`within`."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_POLL_S):
            until = self._until
            if until is not None and time.monotonic() > until:
                self._until = None
                self.has_cut = True
                self._lane.cut()
