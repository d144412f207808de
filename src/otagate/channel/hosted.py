"""Channels as signed documents in our own storage: the pointer that an update server, an edge function or a CDN reads.

``apps/<app>/channels/<name>.json`` is a DSSE envelope over the payload of :mod:`otagate.channel.pointer`. Signature, serial
and expiry are there so that who controls the storage can neither move devices back nor freeze them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from otagate.channel.interface import ChannelReading
from otagate.channel.pointer import PAYLOAD_TYPE, Pointer, from_payload, to_payload
from otagate.errors import ConflictError, KeyMaterialError, UsageError, VerificationError
from otagate.model import AppId, ChannelName, ChannelState
from otagate.seal.dsse import sign_envelope, verify_envelope
from otagate.seal.interface import Signer
from otagate.seal.trust import TrustedKeys
from otagate.store.interface import Document, DocumentStore
from otagate.store.jsondoc import new_txn
from otagate.store.swap import swap


@dataclass(frozen=True, slots=True)
class SignedPointer:
    """A channel as read and verified, with the very bytes that were signed."""

    reading: ChannelReading
    envelope: bytes


class HostedChannels:
    """All channels of one app in a document store. See Channels.

    Args:
        documents: Where the pointers stand.
        app: Whose channels. A pointer of another app is never accepted.
        signer: Signs pointers; None for reading only.
        trusted: Whose signatures count.
        pointer_ttl: How long a pointer holds after it was written.
    """

    def __init__(
        self, documents: DocumentStore, app: AppId, signer: Signer | None, trusted: TrustedKeys, pointer_ttl: timedelta
    ) -> None:
        self._documents = documents
        self._app = app
        self._signer = signer
        self._trusted = trusted
        self._ttl = pointer_ttl

    def read(self, name: ChannelName) -> ChannelReading | None:
        """See Channels.read."""
        return self._reading(self._documents.read(self.key(name)), name)

    def signed(self, name: ChannelName) -> SignedPointer | None:
        """Read a channel with its signed bytes; errors as :meth:`read`."""
        there = self._documents.read(self.key(name))
        reading = self._reading(there, name)
        return None if there is None or reading is None else SignedPointer(reading, there.body)

    def serial_of(self, name: ChannelName, envelope: bytes) -> int:
        """Give the serial of bytes that may be this channel's pointer.

        Raises:
            VerificationError: They were not signed for this channel.
        """
        return self._verify(envelope, name).state.serial

    def adopt(self, name: ChannelName, envelope: bytes, token: str | None) -> None:
        """Put bytes that were signed for this channel over the state that ``token`` names; for copies.

        Raises:
            ConflictError: Somebody else wrote it meanwhile.
            VerificationError: They were not signed for this channel.
        """
        self._verify(envelope, name)
        swap(self._documents, self.key(name), envelope, token)

    def move(self, state: ChannelState, token: str | None, now: datetime) -> ChannelReading:
        """See Channels.move.

        Raises:
            KeyMaterialError: There is no key to sign with, or it is not among the trusted ones: nobody would believe it.
            UsageError: The state is of another app.
        """
        if state.app != self._app:
            raise UsageError("a channel of another app cannot be moved here", _name(state), expected=f"app {self._app}")
        self._check_serial(state, token)
        pointer = Pointer(state, now, now + self._ttl, new_txn())
        body = self._sign(pointer)
        try:
            written = swap(self._documents, self.key(state.name), body, token)
        except ConflictError as error:
            raise _moved(state, self.read(state.name)) from error
        return self._read_back(pointer, body, written)

    def names(self) -> list[ChannelName]:
        """See Channels.names. What is no channel's document is passed over."""
        found = []
        for key in self._documents.keys(self._prefix()):
            stem, dot, _ = key.removeprefix(self._prefix()).rpartition(".json")
            try:
                name = ChannelName(stem)
            except UsageError:
                # Somebody's stray file: it must not keep people from seeing the channels.
                continue
            if dot and self.key(name) == key:
                found.append(name)
        return sorted(found, key=str)

    def _check_serial(self, state: ChannelState, token: str | None) -> None:
        """Compare with what is there before anything is written: the swap itself sees only the token."""
        current = self.read(state.name)
        if (current.token if current else None) != token:
            raise _moved(state, current)
        expected = (current.state.serial if current else 0) + 1
        if state.serial != expected:
            raise ConflictError(
                "a channel's serial grows by one with each write",
                _name(state),
                expected=f"serial {expected}",
                found=f"serial {state.serial}",
                remedy="read the channel again and decide again",
            )

    def _sign(self, pointer: Pointer) -> bytes:
        if self._signer is None:
            raise KeyMaterialError(
                "there is no key to sign the channel with",
                _name(pointer.state),
                remedy="set seal.signing_key in the policy, and the variable or file that it names",
            )
        key = self._signer.public_key()
        if all(key.raw != trusted.raw for trusted in self._trusted.keys):
            raise KeyMaterialError(
                "the signing key is not a trusted one, so nobody would believe the channel",
                _name(pointer.state),
                expected="one of " + ", ".join(trusted.key_id for trusted in self._trusted.keys),
                found=key.key_id,
                remedy="add it to trust.keys in the policy (otagate keys show prints the line)",
            )
        return sign_envelope(PAYLOAD_TYPE, to_payload(pointer), self._signer)

    def _read_back(self, pointer: Pointer, body: bytes, token: str) -> ChannelReading:
        state = pointer.state
        there = self._documents.read(self.key(state.name))
        reading = self._reading(there, state.name)
        if reading is not None and there is not None and there.body == body:
            return reading
        if reading is not None and reading.state.serial > state.serial:
            # Somebody moved the channel on from where we put it: our move was done. The next one with this token is refused.
            return ChannelReading(state, token, pointer.issued, pointer.expires)
        raise VerificationError(
            "the channel does not say what was just written to it",
            _name(state),
            expected=f"serial {state.serial}",
            found=f"serial {reading.state.serial}, written by somebody else" if reading else "no document",
            remedy="check that nothing else writes to the store or caches it, and run the command again",
        )

    def _reading(self, there: Document | None, name: ChannelName) -> ChannelReading | None:
        if there is None:
            return None
        pointer = self._verify(there.body, name)
        return ChannelReading(pointer.state, there.token, pointer.issued, pointer.expires)

    def _verify(self, body: bytes, name: ChannelName) -> Pointer:
        subject = f"channel {name} of {self._app}"
        payload = verify_envelope(body, self._trusted, PAYLOAD_TYPE, subject=subject)
        pointer = from_payload(payload, subject=subject)
        if (pointer.state.app, pointer.state.name) != (self._app, name):
            raise VerificationError(
                "this pointer belongs elsewhere: it was signed for another channel and put here",
                subject,
                found=_name(pointer.state),
                remedy="find out who wrote to the store, and put the channel's own document back from a backup",
            )
        return pointer

    def _prefix(self) -> str:
        return f"apps/{self._app}/channels/"

    def key(self, name: ChannelName) -> str:
        """Give the key of a channel's pointer."""
        return f"{self._prefix()}{name}.json"


def _name(state: ChannelState) -> str:
    return f"channel {state.name} of {state.app}"


def _moved(state: ChannelState, current: ChannelReading | None) -> ConflictError:
    found = "no channel" if current is None else f"serial {current.state.serial}, written {current.issued.isoformat()}"
    return ConflictError(
        "the channel was moved by somebody else meanwhile",
        _name(state),
        expected=f"serial {state.serial - 1}",
        found=found,
        remedy="look at `otagate status`, then run the command again: it decides anew on what is there",
    )
