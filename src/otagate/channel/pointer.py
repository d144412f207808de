"""A channel pointer as the payload that is signed. Pure.

The shape, as canonical JSON; every field is always there, those marked ? may be null::

    {"schema": "otagate/channel/v1", "app": str, "channel": str, "serial": int from 1, "issued": instant, "expires": instant,
     "txn": 32 hex digits, "stable"?: ref, "candidate"?: {"version": str, "statement": digest, "weight": int, "seed": str},
     "paused": bool, "previous": [ref or null], "blocked": [version], "withdrawn"?: version}

    ref: {"version": str, "statement": "sha256:<hex>"}

Instants are RFC 3339 in UTC, the weight is in basis points, the seed 32 hex digits. A field that is not named here is
refused: whoever serves devices must not overlook a restriction that a newer version wrote.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from otagate import _canonical, _clock
from otagate._fields import Fields
from otagate._text import harmless
from otagate.channel.transitions import MAX_PREVIOUS
from otagate.errors import VerificationError
from otagate.model import FULL_WEIGHT, AppId, Candidate, ChannelName, ChannelState, Digest, ReleaseRef, Version, Weight

PAYLOAD_TYPE = "application/vnd.otagate.channel+json"
SCHEMA = "otagate/channel/v1"
_HEX32 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_REF = frozenset({"version", "statement"})
_CANDIDATE = _REF | {"weight", "seed"}
_POINTER = frozenset(
    "schema app channel serial issued expires txn stable candidate paused previous blocked withdrawn".split()  # noqa: SIM905 - a table
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A channel's state with what makes one writing of it unlike any other.

    Attributes:
        state: What the channel says.
        issued: When it was written.
        expires: After this instant devices must not be served from it.
        txn: 32 random hex digits: by them a writer knows its own write again.
    """

    state: ChannelState
    issued: datetime
    expires: datetime
    txn: str


def to_payload(pointer: Pointer) -> bytes:
    """Write a pointer as canonical JSON; the same pointer gives the same bytes."""
    state = pointer.state
    return _canonical.dumps(
        {
            "schema": SCHEMA,
            "app": str(state.app),
            "channel": str(state.name),
            "serial": state.serial,
            "issued": _clock.to_text(pointer.issued),
            "expires": _clock.to_text(pointer.expires),
            "txn": pointer.txn,
            "stable": _write_ref(state.stable),
            "candidate": _write_candidate(state.candidate),
            "paused": state.paused,
            "previous": [_write_ref(ref) for ref in state.previous],
            "blocked": [str(version) for version in state.blocked],
            "withdrawn": None if state.withdrawn is None else str(state.withdrawn),
        }
    )


def from_payload(payload: bytes, *, subject: str) -> Pointer:
    """Read a pointer from a payload whose signature was verified.

    Args:
        payload: What :func:`otagate.seal.dsse.verify_envelope` gave.
        subject: What is being read, for messages.

    Raises:
        VerificationError: It is not strict JSON; a field is missing, unknown, of the wrong type or holds what the model
            refuses; or the fields contradict each other. The message names the field.
    """
    try:
        value = _canonical.loads(payload)
    except ValueError as error:
        raise _wrong("the pointer", subject, "strict JSON", harmless(str(error))) from error
    fields = Fields(value, "pointer", subject)
    _only(fields, _POINTER, "pointer", subject)
    fields.exactly("schema", SCHEMA)
    pointer = Pointer(
        state=_state(fields, subject),
        issued=fields.made("issued", _clock.from_text),
        expires=fields.made("expires", _clock.from_text),
        txn=_hex32(fields, "txn", subject),
    )
    _check(pointer, subject)
    return pointer


def _state(fields: Fields, subject: str) -> ChannelState:
    if not isinstance(fields.value.get("paused"), bool):
        raise _wrong("pointer.paused", subject, "true or false", "something else")
    return ChannelState(
        app=fields.made("app", AppId),
        name=fields.made("channel", ChannelName),
        serial=fields.integer("serial"),
        stable=_read_ref(fields, "stable", subject),
        candidate=_read_candidate(fields, subject),
        paused=fields.value["paused"],
        previous=tuple(
            None if item is None else _ref_of(Fields(item, f"pointer.previous[{index}]", subject), subject)
            for index, item in enumerate(fields.list("previous"))
        ),
        blocked=fields.each("blocked", Version),
        withdrawn=None if fields.value.get("withdrawn", 0) is None else fields.made("withdrawn", Version),
    )


def _check(pointer: Pointer, subject: str) -> None:
    """Refuse what no transition can bring about."""
    state = pointer.state
    served = [ref.version for ref in (state.stable, state.candidate.release if state.candidate else None) if ref is not None]
    for is_right, path, expected, found in (
        (state.serial >= 1, "serial", "1 or more", str(state.serial)),
        (pointer.expires > pointer.issued, "expires", "an instant after `issued`", _clock.to_text(pointer.expires)),
        (len(state.previous) <= MAX_PREVIOUS, "previous", f"at most {MAX_PREVIOUS}", str(len(state.previous))),
        (len(set(state.blocked)) == len(state.blocked), "blocked", "every version once", "one twice"),
        (state.withdrawn is None or state.withdrawn in state.blocked, "withdrawn", "a version in `blocked`", "another"),
        (not set(served) & set(state.blocked), "blocked", "no release that is served", "one that is served"),
        (len(set(served)) == len(served), "candidate", "another release than `stable`", "the same"),
    ):
        if not is_right:
            raise _wrong(f"pointer.{path}", subject, expected, found)


def _write_ref(ref: ReleaseRef | None) -> dict[str, str] | None:
    return None if ref is None else {"version": str(ref.version), "statement": str(ref.statement)}


def _write_candidate(candidate: Candidate | None) -> dict[str, str | int] | None:
    if candidate is None:
        return None
    release = candidate.release
    return {
        "version": str(release.version),
        "statement": str(release.statement),
        "weight": candidate.weight.bps,
        "seed": candidate.seed,
    }


def _read_ref(fields: Fields, name: str, subject: str) -> ReleaseRef | None:
    if name in fields.value and fields.value[name] is None:
        return None
    return _ref_of(fields.object(name), subject)


def _ref_of(fields: Fields, subject: str, allowed: frozenset[str] = _REF) -> ReleaseRef:
    _only(fields, allowed, "a release reference", subject)
    return ReleaseRef(fields.made("version", Version), fields.made("statement", Digest.parse))


def _read_candidate(fields: Fields, subject: str) -> Candidate | None:
    if "candidate" in fields.value and fields.value["candidate"] is None:
        return None
    inner = fields.object("candidate")
    bps = inner.integer("weight")
    if bps > FULL_WEIGHT:
        raise _wrong("pointer.candidate.weight", subject, "0 to 10000 basis points", str(bps)[:20])
    return Candidate(_ref_of(inner, subject, _CANDIDATE), Weight(bps), _hex32(inner, "seed", subject))


def _hex32(fields: Fields, name: str, subject: str) -> str:
    text = fields.text(name)
    if not _HEX32.fullmatch(text):
        raise _wrong(f"the pointer's {name}", subject, "32 lower-case hex digits", repr(harmless(text, 80)))
    return text


def _only(fields: Fields, known: frozenset[str], what: str, subject: str) -> None:
    unknown = sorted(fields.value.keys() - known)
    if unknown:
        raise _wrong(what, subject, "only fields that this version knows", ", ".join(map(harmless, unknown)))


def _wrong(path: str, subject: str, expected: str, found: str) -> VerificationError:
    return VerificationError(f"{path} is wrong", subject, expected=expected, found=found)
