"""What every distributor of channels promises, and what the hosted one adds: signatures, serials, expiry."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.channel import transitions
from otagate.channel.hosted import HostedChannels
from otagate.channel.interface import Channels
from otagate.channel.pointer import PAYLOAD_TYPE, Pointer, to_payload
from otagate.errors import ConflictError, KeyMaterialError, UnavailableError, UsageError, VerificationError
from otagate.model import AppId, ChannelName, ChannelState, Digest, ReleaseRef, Version
from otagate.seal.dsse import sign_envelope
from otagate.store.interface import Document, Store
from otagate.store.memory import MemoryDocuments, MemoryStore
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.published import APP, NOW, signer, trusted
from support.stores import ADAPTERS, PARAMS

BETA = ChannelName("beta")
TTL = timedelta(days=30)
KEY = f"apps/{APP}/channels/beta.json"


def ref(version: str) -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of(version.encode()))


def hosted(store: Store, *, key: str | None = "first", trust: tuple[str, ...] = ("first",)) -> HostedChannels:
    return HostedChannels(store.documents, APP, signer(key) if key else None, trusted(*trust), TTL)


@pytest.fixture(params=[pytest.param(f"hosted on {each.values[0]}", marks=each.marks) for each in PARAMS])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Channels]:
    """Open the same channels each time; a further distributor joins here."""
    open_store = ADAPTERS[request.param.removeprefix("hosted on ")](tmp_path)
    return lambda: hosted(open_store())


@pytest.fixture
def channels(opener: Callable[[], Channels]) -> Channels:
    return opener()


def first_state(version: str = "1.0.0", name: ChannelName = BETA) -> ChannelState:
    return transitions.set_stable(transitions.unborn(APP, name), ref(version))


def test_a_channel_that_is_not_there(channels: Channels) -> None:
    assert channels.read(BETA) is None
    assert channels.names() == []


def test_a_move_is_read_back_and_seen_from_elsewhere(opener: Callable[[], Channels]) -> None:
    state = first_state()
    moved = opener().move(state, None, NOW)
    assert (moved.state, moved.issued, moved.expires) == (state, NOW, NOW + TTL)
    assert opener().read(BETA) == moved
    later = NOW + timedelta(days=400)
    after = transitions.set_stable(state, ref("1.1.0"))
    again = opener().move(after, moved.token, later)
    assert opener().read(BETA) == again
    assert again.token != moved.token
    assert (again.state, again.expires) == (after, later + TTL)


def test_the_second_of_two_movers_is_refused_and_told_who_won(channels: Channels) -> None:
    start = channels.move(first_state(), None, NOW)
    winner = channels.move(transitions.pause(start.state), start.token, NOW)
    with pytest.raises(ConflictError, match="moved by somebody else") as caught:
        channels.move(transitions.withdraw(start.state, ref("1.0.0")), start.token, NOW)
    assert "serial 2" in str(caught.value.found)
    assert channels.read(BETA) == winner


def test_two_cannot_create_a_channel(channels: Channels) -> None:
    channels.move(first_state("1.0.0"), None, NOW)
    with pytest.raises(ConflictError):
        channels.move(first_state("1.1.0"), None, NOW)
    found = channels.read(BETA)
    assert found is not None
    assert found.state.stable == ref("1.0.0")


def test_a_token_of_a_channel_that_is_not_there_is_refused(channels: Channels) -> None:
    with pytest.raises(ConflictError) as caught:
        channels.move(first_state(), "token", NOW)
    assert caught.value.found == "no channel"


@pytest.mark.parametrize("serial", [0, 1, 3, 100])
def test_the_serial_grows_by_one(channels: Channels, serial: int) -> None:
    start = channels.move(first_state(), None, NOW)
    with pytest.raises(ConflictError, match="serial grows by one"):
        channels.move(replace(start.state, serial=serial, paused=True), start.token, NOW)
    assert channels.read(BETA) == start


def test_a_new_channel_begins_at_one(channels: Channels) -> None:
    with pytest.raises(ConflictError) as caught:
        channels.move(replace(first_state(), serial=2), None, NOW)
    assert caught.value.expected == "serial 1"


def test_bytes_that_return_do_not_bring_the_token_back(channels: Channels) -> None:
    start = channels.move(first_state(), None, NOW)
    paused = channels.move(transitions.pause(start.state), start.token, NOW)
    back = channels.move(transitions.unpause(paused.state), paused.token, NOW)
    assert len({start.token, paused.token, back.token}) == 3
    with pytest.raises(ConflictError):
        channels.move(transitions.pause(start.state), start.token, NOW)


def test_names_are_sorted_and_exact(channels: Channels) -> None:
    for name in ("stable", "beta", "beta1", "beta10", "beta.json"):
        channels.move(first_state(name=ChannelName(name)), None, NOW)
    assert [str(name) for name in channels.names()] == ["beta", "beta.json", "beta1", "beta10", "stable"]


def test_of_eight_movers_each_step_has_one_winner(opener: Callable[[], Channels]) -> None:
    opener().move(first_state(), None, NOW)

    def work(me: int) -> int:
        channels, won = opener(), 0
        while won < 5:
            reading = channels.read(BETA)
            assert reading is not None
            change = transitions.unpause if reading.state.paused else transitions.pause
            try:
                channels.move(change(reading.state), reading.token, NOW)
            except ConflictError:
                continue
            won += 1
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 40
    found = opener().read(BETA)
    assert found is not None
    assert found.state.serial == 41


def forge(store: Store, payload: bytes, key: str = "first", kind: str = PAYLOAD_TYPE) -> None:
    body = sign_envelope(kind, payload, signer(key))
    there = store.documents.read(KEY)
    if there is None:
        store.documents.create(KEY, body)
    else:
        store.documents.replace(KEY, body, there.token)


def pointer(state: ChannelState) -> bytes:
    return to_payload(Pointer(state, NOW, NOW + TTL, "0" * 32))


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        (lambda store: forge(store, pointer(first_state()), key="evil"), "trusted key"),
        (lambda store: forge(store, pointer(first_state(name=ChannelName("stable")))), "belongs elsewhere"),
        (lambda store: forge(store, pointer(replace(first_state(), app=AppId("com.other.app")))), "belongs elsewhere"),
        (lambda store: forge(store, pointer(first_state()), kind="application/vnd.in-toto+json"), "holds something else"),
        (lambda store: store.documents.create(KEY, pointer(first_state())), "signed envelope"),
        (lambda store: store.documents.create(KEY, b"<html>"), "signed envelope"),
    ],
    ids=["another key", "another channel's", "another app's", "another kind", "unsigned", "no JSON"],
)
def test_a_pointer_that_does_not_hold_is_neither_read_nor_written_over(attack: Callable[[Store], object], words: str) -> None:
    store = MemoryStore()
    attack(store)
    before = store.documents.read(KEY)
    assert before is not None
    with pytest.raises(VerificationError, match=words):
        hosted(store).read(BETA)
    with pytest.raises(VerificationError, match=words):
        hosted(store).move(first_state(), before.token, NOW)
    assert store.documents.read(KEY) == before


def test_an_expired_pointer_is_read_and_can_be_rolled_back() -> None:
    store = MemoryStore()
    old = hosted(store).move(first_state(), None, NOW - timedelta(days=365))
    reading = hosted(store).read(BETA)
    assert reading == old
    back = hosted(store).move(transitions.withdraw(old.state, ref("1.0.0")), old.token, NOW)
    assert back.expires == NOW + TTL


def test_without_a_key_channels_can_be_read_but_not_moved() -> None:
    store = MemoryStore()
    moved = hosted(store).move(first_state(), None, NOW)
    reader = hosted(store, key=None)
    assert reader.read(BETA) == moved
    with pytest.raises(KeyMaterialError, match="no key to sign"):
        reader.move(transitions.pause(moved.state), moved.token, NOW)
    assert reader.read(BETA) == moved


def test_a_key_that_nobody_trusts_does_not_sign_a_pointer() -> None:
    store = MemoryStore()
    with pytest.raises(KeyMaterialError, match="not a trusted one"):
        hosted(store, key="second").move(first_state(), None, NOW)
    assert hosted(store).read(BETA) is None


def test_keys_can_be_rotated() -> None:
    store = MemoryStore()
    old = hosted(store).move(first_state(), None, NOW)
    both = hosted(store, key="second", trust=("first", "second"))
    assert both.read(BETA) == old
    both.move(transitions.pause(old.state), old.token, NOW)
    with pytest.raises(VerificationError):
        hosted(store).read(BETA)


def test_a_state_of_another_app_is_refused() -> None:
    with pytest.raises(UsageError, match="another app"):
        hosted(MemoryStore()).move(replace(first_state(), app=AppId("com.other.app")), None, NOW)


@pytest.mark.parametrize("stray", ["beta.txt", "sub/beta.json", "+odd.json", ("x" * 65) + ".json", "beta.json.old"])
def test_stray_documents_are_no_channels(stray: str) -> None:
    store = MemoryStore()
    store.documents.create(f"apps/{APP}/channels/{stray}", b"")
    assert hosted(store).names() == []


def count_operations(move: Callable[[Store], object]) -> int:
    plan = Plan()
    move(FaultyStore(MemoryStore(), plan))
    return len(plan.seen)


def create(store: Store) -> None:
    hosted(store).move(first_state(), None, NOW)


def move_on(store: Store) -> None:
    reading = hosted(store).read(BETA)
    assert reading is not None
    paused = transitions.pause(reading.state)
    if paused is not reading.state:
        hosted(store).move(paused, reading.token, NOW)


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.DUPLICATE])
def test_a_move_whose_answer_was_lost_or_that_came_twice_is_a_success(fault: Fault) -> None:
    for at in range(count_operations(create)):
        store = MemoryStore()
        moved = hosted(FaultyStore(store, Plan(at, fault))).move(first_state(), None, NOW)
        assert hosted(store).read(BETA) == moved
        again = hosted(FaultyStore(store, Plan(at, fault))).move(transitions.pause(moved.state), moved.token, NOW)
        assert hosted(store).read(BETA) == again
        assert again.state.serial == 2


@pytest.mark.parametrize(
    "fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER], ids=lambda fault: fault.value
)
def test_a_move_that_died_anywhere_can_be_done_again(fault: Fault) -> None:
    start = MemoryStore()
    create(start)
    plan = Plan()
    move_on(FaultyStore(start, plan))
    assert len(plan.seen) >= 4
    for at in range(len(plan.seen)):
        store = MemoryStore()
        create(store)
        with pytest.raises((Crash, UnavailableError)):
            move_on(FaultyStore(store, Plan(at, fault)))
        move_on(store)
        found = hosted(store).read(BETA)
        assert found is not None
        assert (found.state.serial, found.state.paused) == (2, True)


class Meddling(MemoryDocuments):
    """Documents that another hand changes right after each write of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.after_write: Callable[[MemoryDocuments], None] | None = None
        self.refuse_creation = 0

    def _meddle(self) -> None:
        deed, self.after_write = self.after_write, None
        if deed is not None:
            deed(self)

    def create(self, key: str, body: bytes) -> str:
        if self.refuse_creation:
            self.refuse_creation -= 1
            raise ConflictError("the document is there already", key)
        token = super().create(key, body)
        self._meddle()
        return token

    def replace(self, key: str, body: bytes, token: str) -> str:
        token = super().replace(key, body, token)
        self._meddle()
        return token


def meddled(deed: Callable[[MemoryDocuments], None]) -> HostedChannels:
    documents = Meddling()
    documents.after_write = deed
    return HostedChannels(documents, APP, signer(), trusted(), TTL)


def test_what_reads_back_otherwise_than_written_is_refused() -> None:
    def older(documents: MemoryDocuments) -> None:
        documents._bodies[KEY] = sign_envelope(PAYLOAD_TYPE, pointer(first_state("0.1.0")), signer())

    with pytest.raises(VerificationError, match="does not say what was just written"):
        meddled(older).move(first_state(), None, NOW)
    with pytest.raises(VerificationError, match="does not say") as caught:
        meddled(lambda documents: documents._bodies.clear()).move(first_state(), None, NOW)
    assert caught.value.found == "no document"


def test_a_move_on_top_of_ours_before_we_read_back_does_not_undo_that_ours_was_done() -> None:
    def newer(documents: MemoryDocuments) -> None:
        other = HostedChannels(documents, APP, signer(), trusted(), TTL)
        other.move(transitions.pause(first_state()), _token(documents.read(KEY)), NOW)

    channels = meddled(newer)
    ours = channels.move(first_state(), None, NOW)
    assert ours.state == first_state()
    found = channels.read(BETA)
    assert found is not None
    assert found.state == transitions.pause(first_state())
    with pytest.raises(ConflictError):
        channels.move(transitions.withdraw(ours.state, ref("1.0.0")), ours.token, NOW)


def test_a_refusal_to_create_what_is_not_there_is_tried_again_but_not_for_ever() -> None:
    for times, works in ((4, True), (5, False)):
        documents = Meddling()
        documents.refuse_creation = times
        channels = HostedChannels(documents, APP, signer(), trusted(), TTL)
        if works:
            assert channels.move(first_state(), None, NOW).state == first_state()
        else:
            with pytest.raises(ConflictError):
                channels.move(first_state(), None, NOW)


def _token(found: Document | None) -> str:
    assert found is not None
    return found.token
