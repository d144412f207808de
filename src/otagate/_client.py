"""A client for HTTP that believes the environment's proxies and certificates, or says what is wrong with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from otagate.errors import UsageError

if TYPE_CHECKING:
    import httpx

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


def open_client(**options: Any) -> httpx.Client:
    """Open a client; nothing is sent.

    Args:
        options: As of ``httpx.Client``, which reads the process's environment unless ``trust_env`` is false.

    Raises:
        UsageError: A proxy or certificate file of the environment cannot be used. A proxy's address may hold a password: it is
            not shown.
    """
    import httpx  # noqa: PLC0415 - only who speaks HTTP pays for it

    try:
        return httpx.Client(**options)
    except OSError as error:  # also what is wrong with the certificates: ssl.SSLError
        raise _unusable(_CERTIFICATES, "certificates", "a file or folder of PEM certificates") from error
    except (httpx.InvalidURL, ValueError, ImportError) as error:
        raise _unusable(_PROXIES, "proxy", "an address such as http://proxy.example:3128; no SOCKS") from error


def _unusable(names: tuple[str, ...], what: str, expected: str) -> UsageError:
    given = [name for upper in names for name in (upper, upper.lower()) if os.environ.get(name)]
    subject = ", ".join(given) or names[0]
    what = f"the {what} of the environment cannot be used"
    return UsageError(what, subject, expected, "something else (not shown)", f"mend or unset {subject}")
