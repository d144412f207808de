"""Copies of pointers: only what was signed for the channel, never over something newer, always what stands there in the end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from otagate.channel import transitions
from otagate.channel.copies import PointerGap, compare, copy
from otagate.channel.hosted import HostedChannels
from otagate.errors import VerificationError
from otagate.model import ChannelName, ChannelState, Digest, ReleaseRef, Version
from otagate.store.memory import MemoryDocuments
from support.published import APP, NOW, signer, trusted

BETA = ChannelName("beta")


def channels(documents: MemoryDocuments) -> HostedChannels:
    return HostedChannels(documents, APP, signer(), trusted(), timedelta(days=30))


def release(version: str) -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of(version.encode()))


def move(there: HostedChannels, version: str) -> None:
    reading = there.read(BETA)
    before = reading.state if reading else transitions.unborn(APP, BETA)
    there.move(transitions.set_stable(before, release(version)), reading.token if reading else None, NOW)


def test_a_copy_has_the_original_s_bytes_and_its_releases_are_prepared_first() -> None:
    ours, theirs = MemoryDocuments(), MemoryDocuments()
    here, there = channels(ours), channels(theirs)
    prepared: list[ChannelState] = []
    assert copy(here, there, BETA, prepared.append) == PointerGap(BETA, 0, 0)
    assert prepared == []
    for serial, version in enumerate(("1.0.0", "1.1.0"), 1):
        move(here, version)
        assert compare(here, there, BETA) == PointerGap(BETA, serial, serial - 1)
        assert copy(here, there, BETA, prepared.append) == PointerGap(BETA, serial, serial - 1)
        assert not compare(here, there, BETA).is_open
        assert not copy(here, there, BETA, prepared.append).is_open
    key = "apps/com.example.app/channels/beta.json"
    assert ours.read(key) == theirs.read(key)
    assert [str(state.stable) for state in prepared] == ["1.0.0", "1.1.0"]


def test_what_cannot_be_prepared_is_not_copied() -> None:
    here, there = channels(MemoryDocuments()), channels(MemoryDocuments())
    move(here, "1.0.0")

    def refuse(_state: ChannelState) -> None:
        raise VerificationError("the bytes are not there")

    with pytest.raises(VerificationError, match="the bytes are not there"):
        copy(here, there, BETA, refuse)
    assert there.read(BETA) is None


def test_an_original_that_moves_on_while_it_is_prepared_is_copied_as_it_is_in_the_end() -> None:
    here, there = channels(MemoryDocuments()), channels(MemoryDocuments())
    move(here, "1.0.0")
    rounds: list[str] = []

    def moves_on(state: ChannelState) -> None:
        rounds.append(str(state.stable))
        if len(rounds) == 1:
            move(here, "1.1.0")

    copy(here, there, BETA, moves_on)
    reading = there.read(BETA)
    assert reading is not None
    assert (str(reading.state.stable), rounds) == ("1.1.0", ["1.0.0", "1.1.0"])


def test_only_what_was_signed_for_the_channel_is_adopted() -> None:
    here, there = channels(MemoryDocuments()), channels(MemoryDocuments())
    move(here, "1.0.0")
    signed = here.signed(BETA)
    assert signed is not None
    with pytest.raises(VerificationError, match="another channel"):
        there.adopt(ChannelName("stable"), signed.envelope, None)
    there.adopt(BETA, signed.envelope, None)
    assert there.signed(BETA) == signed
    assert there.signed(ChannelName("stable")) is None
