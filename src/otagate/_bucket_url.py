"""The URL of a bucket, with its options: what a policy's ``storage`` says. Pure.

``s3://BUCKET/PREFIX?option=value&…``, ``gs://…``, ``az://CONTAINER/PREFIX?account=…``. Nothing in it is secret, and nothing
secret is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.identity.interface import Kind

_COMMON = {
    "public": "the address that devices read from, such as https://updates.example.com (a CDN in front of the bucket)",
    "identity": "one link of the chain, to take no other: " + ", ".join(Kind),
}
OPTIONS: dict[str, dict[str, str]] = {
    "s3": {
        "region": "the bucket's region, such as eu-west-1",
        "endpoint": "the address of an S3-compatible service, such as https://ACCOUNT.r2.cloudflarestorage.com",
        "path_style": "true or false: the bucket's name in the path, as many compatible services need; true with an endpoint",
        "role": "the ARN of the role to take with the CI's identity; AWS_ROLE_ARN otherwise",
        "profile": "the profile of ~/.aws to use; AWS_PROFILE otherwise",
        **_COMMON,
    },
    "gs": {
        "endpoint": "the address of another service that speaks the JSON API",
        "provider": "the identity provider: projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME",
        "service_account": "the e-mail address of the service account to act as",
        **_COMMON,
    },
    "az": {
        "account": "the storage account's name; AZURE_STORAGE_ACCOUNT_NAME otherwise",
        "endpoint": "the address of the account's blob service, when it is not https://ACCOUNT.blob.core.windows.net",
        "client": "the client id of the app or managed identity; AZURE_CLIENT_ID otherwise",
        "tenant": "the directory's id; AZURE_TENANT_ID otherwise",
        **_COMMON,
    },
}
"""Every option of every scheme, with what it says. docs/stores.md lists them."""

_NO_KEYS = "keys come from the CI's identity or the environment (docs/stores.md); if this was committed, make a new one"
_FORMS = f"file:FOLDER, {', '.join(f'{scheme}://BUCKET/PREFIX' for scheme in OPTIONS)}"

_BUCKET = {
    "s3": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII),
    "gs": re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII),
    "az": re.compile(r"\$web|\$root|[a-z0-9](?:-?[a-z0-9]){2,62}", re.ASCII),
}
"""**Sources:** Amazon S3 User Guide, "Bucket naming rules"; Cloud Storage, "About buckets"; Azure, "Naming containers"."""
_NAMES = {"s3": (63, ".-"), "gs": (222, "._-"), "az": (63, "-")}
"""For people: how long a name is at most, and which signs it takes besides letters and digits."""
_SEGMENT = re.compile(r"[A-Za-z0-9_+=@-][A-Za-z0-9._+=@-]*", re.ASCII)
_MAX_PREFIX = 100
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/.*)?", re.ASCII)
_OPTION_FORMS = {
    "region": re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII),
    "path_style": re.compile(r"true|false"),
    "role": re.compile(r"arn:[a-z0-9-]+:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}", re.ASCII),
    "profile": re.compile(r"[A-Za-z0-9_+=,.@/: -]{1,128}", re.ASCII),
    "provider": re.compile(r"projects/\w+/locations/global/workloadIdentityPools/[\w-]+/providers/[\w-]+", re.ASCII),
    "service_account": re.compile(r"[^@\s]{1,128}@[^@\s]{1,128}", re.ASCII),
    "account": re.compile(r"[a-z0-9]{3,24}", re.ASCII),
    "client": re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII),
    "tenant": re.compile(r"[A-Za-z0-9.-]{1,253}", re.ASCII),
}
"""**Sources:** AWS IAM, "IAM identifiers"; Google Cloud, "Workload Identity Federation"; Azure, "Storage account overview"."""
_CLOUD_HOSTS = {
    "s3": re.compile(r"(?:.+\.)?(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|api\.aws)"),
    "gs": re.compile(r"(?:.+\.)?googleapis\.com"),
    "az": re.compile(r".+\.blob\.(?:core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)|storage\.azure\.net)"),
}
"""The hosts of the clouds themselves, to which their identities may go.

**Sources:** AWS General Reference, "Amazon S3 endpoints and quotas"; Cloud Storage, "Request endpoints"; Azure, "Storage
account endpoints" and "Azure Government/China developer guide".
"""
_KEYS = re.compile(
    r"(?<![A-Z0-9])(?:AKIA|ASIA|GOOG)[A-Z0-9]{12,60}(?![A-Z0-9])"
    r"|AIza[A-Za-z0-9_-]{35}|[A-Za-z0-9+/]{86}==|-----BEGIN"
    r"|(?<![A-Za-z0-9+/:])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])",
    re.ASCII,
)
"""What access keys look like: ids of AWS and HMAC ids of Google, API keys, keys of Azure accounts, AWS's 40 characters.

**Sources:** AWS IAM, "Unique identifiers"; Cloud Storage, "HMAC keys"; Azure, "Manage storage account access keys".
"""


@dataclass(frozen=True, slots=True)
class BucketUrl:
    """A bucket's URL, taken apart and checked.

    Attributes:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: The bucket or container.
        prefix: What every key begins with: empty, or segments each followed by ``/``.
        options: As given, without ``public`` and ``identity``.
        public: Where devices read from, without a slash at its end; the prefix is not added to it. None: the bucket itself.
        identity: The one link of the chain to use, or None for the first that can.
    """

    scheme: str
    bucket: str
    prefix: str = ""
    options: dict[str, str] = field(default_factory=dict)
    public: str | None = None
    identity: Kind | None = None

    @property
    def shown(self) -> str:
        """Give the URL without options, for messages."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def place(self) -> str:
        """Give the URL without options but for the endpoint, if it has one: what tells this store from others."""
        endpoint = self.options.get("endpoint")
        return f"{self.shown} at {endpoint}" if endpoint else self.shown

    @property
    def is_foreign(self) -> bool:
        """Whether its ``endpoint`` is not the cloud's own, so that what gives access to the cloud must not go there."""
        endpoint = self.options.get("endpoint")
        host = (urlsplit(endpoint).hostname or "").rstrip(".") if endpoint else None
        return host is not None and not _CLOUD_HOSTS[self.scheme].fullmatch(host)


def parse_storage_url(url: str) -> BucketUrl | None:
    """Check the URL of a store as a policy may name it, and take a bucket's apart; a folder, ``file:PATH``, gives None.

    Raises:
        UsageError: It is neither, or :func:`parse_bucket_url` refuses it.
    """
    scheme, colon, rest = url.partition(":")
    if scheme != "file" and holds_key(url):
        raise _with_key(url)
    if colon and scheme in OPTIONS:
        return parse_bucket_url(url)
    if scheme == "file" and rest and not (rest.startswith("//") and not rest.startswith("///")):
        return None
    # A URL may hold a password: of one that is not understood no more than the scheme is shown.
    found = f"the scheme {harmless(scheme, 20)}:" if colon else "no scheme"
    near = nearest(scheme.lower(), ("file", *OPTIONS)) if colon else "file"
    hint = f"did you mean {near}:?" if near and near != scheme else "a folder is file:FOLDER or file:/PATH"
    raise UsageError("this is not a storage URL", "storage", expected=f"one of {_FORMS}", found=found, remedy=hint)


def place_of(url: str) -> str:
    """Name a store of a policy to people: a folder's URL as it is, a bucket's as :attr:`BucketUrl.place`."""
    return parse_bucket_url(url).place if url.partition(":")[0].lower() in OPTIONS else url


def parse_bucket_url(url: str) -> BucketUrl:
    """Take a bucket's URL apart: one whose scheme is in ``OPTIONS``.

    Raises:
        UsageError: It names no bucket, holds a key, a user or a password, or has an option that there is not, or one with a
            wrong value.
    """
    if holds_key(url):
        raise _with_key(url)
    parts = _split(url)
    scheme = parts.scheme.lower()
    shown = f"{scheme}://{harmless(parts.netloc.rpartition('@')[2], 80)}"
    if "@" in parts.netloc:
        raise _bad(shown, f"{scheme}://BUCKET/PREFIX", "a user name or password, not shown", _NO_KEYS)
    if parts.fragment:
        raise _bad(shown, f"{scheme}://BUCKET/PREFIX", "a '#'", "write it as %23")
    if not _BUCKET[scheme].fullmatch(parts.netloc):
        raise _bad(shown, *_no_bucket(scheme, parts.netloc))
    prefix = unquote(parts.path).strip("/")
    if prefix and (len(prefix) > _MAX_PREFIX or not all(_SEGMENT.fullmatch(segment) for segment in prefix.split("/"))):
        raise _bad(
            shown, f"a prefix of at most {_MAX_PREFIX} letters, digits and ._+=@- between slashes", harmless(prefix, 120)
        )
    options = _options(scheme, parts.query, shown)
    public = options.pop("public", None)
    identity = options.pop("identity", None)
    return BucketUrl(
        scheme,
        parts.netloc,
        f"{prefix}/" if prefix else "",
        options,
        _web("public", public, shown) if public else None,
        _kind(identity, shown) if identity else None,
    )


def holds_key(url: str) -> bool:
    """Tell whether a URL holds what looks like an access key, so that it must not be shown."""
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]  # apart from the bucket, since keys may hold slashes
    return any(_KEYS.search(text) is not None for text in (url, unquote(url), path, unquote(path)))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address, or letters that turn into others
        raise _bad("a URL", "SCHEME://BUCKET/PREFIX", "a host that is none") from None


def _no_bucket(scheme: str, name: str) -> tuple[str, str, str]:
    """Say what a bucket's name may be, what stands there instead, and what to do."""
    longest, signs = _NAMES[scheme]
    expected = f"the name of a bucket after //, such as acme-updates: 3 to {longest} small letters, digits and {signs}"
    remedy = "options begin with ?: s3://BUCKET?OPTION=VALUE" if "&" in name else "see docs/stores.md"
    return expected, harmless(name, 80) or "none", remedy.replace("s3:", f"{scheme}:")


def _options(scheme: str, query: str, shown: str) -> dict[str, str]:
    known, found = OPTIONS[scheme], {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            near = nearest(name, known)
            remedy = f"did you mean {near}?" if near else "secrets never stand in a URL; see docs/stores.md"
            raise _bad(shown, f"options of {scheme}: {', '.join(sorted(known))}", harmless(name, 40), remedy)
        if name in found:
            raise _bad(shown, f"{name} once", f"{name} twice")
        if not value.strip():
            raise _bad(shown, known[name], f"an empty {name}")
        if name in _OPTION_FORMS and not _OPTION_FORMS[name].fullmatch(value.strip()):
            raise _bad(shown, f"{name}: {known[name]}", harmless(value, 120))
        found[name] = value.strip()
    if "endpoint" in found:
        found["endpoint"] = _web("endpoint", found["endpoint"], shown)
    return found


def _web(name: str, value: str, shown: str) -> str:
    parts = _split(value)
    is_web = parts.scheme == "https" or _LOOPBACK.fullmatch(value)
    if not is_web or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        # http on this machine only: tokens and pointers would travel in the open.
        raise _bad(shown, f"{name} as https://HOST/PATH (http on this machine only)", harmless(_plain(value), 120))
    return value.rstrip("/")


def _plain(value: str) -> str:
    """Leave out of an address what may be secret: user, password, query, fragment."""
    return re.split(r"[?#]", value.rpartition("@")[2], maxsplit=1)[0]


def _kind(value: str, shown: str) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise _bad(shown, "identity as one of " + ", ".join(Kind), harmless(value, 40)) from None


def _with_key(url: str) -> UsageError:
    found = f"{len(url)} characters that are not shown"
    return UsageError("a key stands in a storage URL", "storage", expected="no key in it", found=found, remedy=_NO_KEYS)


def _bad(shown: str, expected: str, found: str, remedy: str = "see docs/stores.md") -> UsageError:
    return UsageError("this is not a storage URL", shown, expected=expected, found=found, remedy=remedy)
