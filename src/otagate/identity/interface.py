"""What the stores, the CDN and the key services ask of an identity, and what ``doctor`` shows of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

_T_co = TypeVar("_T_co", covariant=True)


class Kind(StrEnum):
    """The links of a chain, in the order in which they are tried; also the values of a store URL's ``identity`` option."""

    OIDC = "oidc"
    """The CI's own token, exchanged for a short-lived credential; also one that an earlier step of the job exchanged."""
    POD = "pod"
    """A token or an address that a container platform puts into the environment."""
    INSTANCE = "instance"
    """The metadata service of a virtual machine. Asked only where the machine says that it is one of that cloud."""
    ENVIRONMENT = "environment"
    """Long-lived keys in environment variables: they work, and are warned of."""
    PROFILE = "profile"
    """What a person logged in with on this machine."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a chain, for people: what was looked for, and what was found. Holds no secret.

    Attributes:
        kind: Which link.
        found: Whether it can give credentials (a chain uses the first that does).
        detail: What it found or what is missing, as a phrase: ``GitHub Actions, as arn:aws:iam::123:role/ota`` or
            ``AWS_ROLE_ARN is not set``.
        is_static: It rests on a key that somebody stored and that does not expire by itself.
    """

    kind: Kind
    found: bool
    detail: str
    is_static: bool = False


@dataclass(frozen=True, slots=True)
class Identity(Generic[_T_co]):
    """The link that is used, and how to get credentials from it.

    Attributes:
        links: The whole chain as it was looked at, in order, up to the last.
        used: The link in use.
        get: Gives credentials that are valid now, and new ones when they ran out; safe to call from several threads. Raises
            AccessError (the exchange was refused: with the service's own words and what to mend) and UnavailableError.
    """

    links: tuple[Link, ...]
    used: Link
    get: Callable[[], _T_co] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What AWS signs requests with. ``expires`` is None for a key that does not."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """An OAuth access token, for Azure and Google."""

    token: str = field(repr=False)
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class AzureAccountKey:
    """The account's shared key, base64."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AzureSas:
    """A shared access signature: the query string without ``?``."""

    query: str = field(repr=False)


AzureCredential = Bearer | AzureAccountKey | AzureSas
