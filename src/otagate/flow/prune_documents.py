"""The documents below ``apps/`` as prune sees them: what each one names. What cannot be understood stops everything.

A reference only keeps. So of another app, whose trusted keys are not known here, everything is read without looking at
signatures; of the policy's own app a channel must verify, and a release that does not is kept for ever.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from otagate import _canonical
from otagate._fields import Fields
from otagate._text import harmless
from otagate.channel.pointer import PAYLOAD_TYPE as POINTER_TYPE
from otagate.channel.pointer import from_payload
from otagate.errors import OtagateError, UsageError, VerificationError
from otagate.model import AppId, ChannelState, Digest
from otagate.release.retention import Known
from otagate.rollout.repository import Rollouts
from otagate.rollout.state import RolloutState
from otagate.seal.dsse import verify_envelope
from otagate.seal.statement import PAYLOAD_TYPE, from_statement
from otagate.seal.trust import TrustedKeys
from otagate.store.interface import Store

APPS = "apps/"
_KEY = re.compile(
    r"apps/(?P<app>[^/]+)/(?P<kind>releases|channels|rollouts|ledger|active|bundles|notified)/(?P<name>[^/]+)\.json"
)
_ALONE = re.compile(r"apps/[^/]+/(?:(?:serial|ledger-head)\.json|looks/[^/]+/[0-9]{4}\.json)")
"""Documents that name no blob."""


@dataclass(frozen=True, slots=True)
class Found:
    """The key of one document: in which store, of which app, of which kind, under which name."""

    place: Store
    app: AppId
    kind: str
    name: str

    @property
    def key(self) -> str:
        """The whole key."""
        return f"{APPS}{self.app}/{self.kind}/{self.name}.json"


@dataclass(frozen=True, slots=True)
class Statement:
    """What matters here of a release statement, which may list 20,000 files.

    Attributes:
        app: Whose.
        release: Its version, age and blob.
        digest: Of the statement.
        is_trusted: It was verified with the policy's keys.
    """

    app: AppId
    release: Known
    digest: Digest
    is_trusted: bool


def documents_of(place: Store) -> Iterator[Found]:
    """List the documents of every app in a store.

    Raises:
        VerificationError: One is of no kind that this version knows: it might name a blob.
    """
    for key in place.documents.keys(APPS):
        match = _KEY.fullmatch(key)
        if match is None:
            if _ALONE.fullmatch(key):
                continue
            raise _unknown(place, key, "a document that this version of otagate writes")
        try:
            yield Found(place, AppId(match["app"]), match["kind"], match["name"])
        except UsageError as error:
            raise _unknown(place, key, "an app id between the first two slashes") from error


def read_statement(found: Found, own: AppId, trusted: TrustedKeys) -> Statement | None:
    """Read a release statement, or give None when there is none.

    Raises:
        VerificationError: It is no release statement, or that of another release.
    """
    document = found.place.documents.read(found.key)
    if document is None:
        return None
    release = from_statement(_payload(document.body, PAYLOAD_TYPE, found), subject=_subject(found))
    if (release.app, str(release.version)) != (found.app, found.name):
        raise _unknown(found.place, found.key, f"the statement of {found.name}", f"that of {release.version} of {release.app}")
    is_trusted = found.app == own and _is_signed(document.body, trusted)
    known = Known(release.version, release.serial, release.created, release.sealed.blob, release.sealed.size)
    return Statement(release.app, known, Digest.of(document.body), is_trusted)


def read_channel(found: Found, own: AppId, trusted: TrustedKeys) -> ChannelState | None:
    """Read a channel pointer, or give None when there is none.

    Raises:
        VerificationError: It is no pointer, or that of another channel; or it is of the own app and is not signed.
    """
    document = found.place.documents.read(found.key)
    if document is None:
        return None
    if found.app == own:
        payload = verify_envelope(document.body, trusted, POINTER_TYPE, subject=_subject(found))
    else:
        payload = _payload(document.body, POINTER_TYPE, found)
    state = from_payload(payload, subject=_subject(found)).state
    if (state.app, str(state.name)) != (found.app, found.name):
        raise _unknown(found.place, found.key, f"channel {found.name}", f"channel {state.name} of {state.app}")
    return state


def read_rollout(found: Found) -> RolloutState | None:
    """Read a rollout, or give None when there is none.

    Raises:
        VerificationError: It cannot be read.
    """
    stored = Rollouts(found.place.documents, found.app).load(found.name)
    return stored.state if stored else None


def _is_signed(body: bytes, trusted: TrustedKeys) -> bool:
    try:
        verify_envelope(body, trusted, PAYLOAD_TYPE, subject="")
    except VerificationError:
        return False
    return True


def _payload(body: bytes, payload_type: str, found: Found) -> bytes:
    """Give what an envelope holds without believing it."""
    subject = _subject(found)
    try:
        fields = Fields(_canonical.loads(body), "envelope", subject)
        fields.exactly("payloadType", payload_type)
        return base64.b64decode(fields.text("payload").replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error, OtagateError) as error:
        raise _unknown(found.place, found.key, f"an envelope that holds {payload_type}", harmless(str(error))) from error


def _subject(found: Found) -> str:
    return f"{found.key} in {found.place.url}"


def _unknown(place: Store, key: str, expected: str, found: str = "something else") -> VerificationError:
    return VerificationError(
        "a stored document cannot be understood, so nothing is removed: it may name a bundle",
        f"{harmless(key)} in {place.url}",
        expected=expected,
        found=found,
        remedy="use the newest version of otagate; or find out who wrote it, and move it out of the store",
    )


def gone(found: Found, by: str) -> VerificationError:
    """Make the error for a release that is named and has no statement: nobody knows which blob is its."""
    return VerificationError(
        "a release that is named has no statement, so nothing is removed: its bundle is not known",
        found.key,
        expected="a signed statement",
        found=f"nothing, and {by}",
        remedy="put the statement back from a backup, or serve another release",
    )
