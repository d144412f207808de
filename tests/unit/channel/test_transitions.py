from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.channel import transitions
from otagate.errors import ConflictError, UsageError
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, ReleaseRef, Version, Weight

SEED = "0123456789abcdef" * 2
OTHER_SEED = "f" * 32


def ref(version: str, statement: str = "") -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of((statement or version).encode()))


A, B, C, D = ref("1.0.0"), ref("1.1.0"), ref("1.2.0"), ref("1.3.0")
EMPTY = transitions.unborn(AppId("com.example.app"), ChannelName("beta"))
FULL = Weight(10_000)
ON_A = replace(EMPTY, serial=7, stable=A)
ON_B = replace(EMPTY, serial=8, stable=B, previous=(A,))
RAMPING_C = replace(ON_B, candidate=Candidate(C, Weight(500), SEED))


def test_a_channel_that_is_not_there_has_serial_0_and_serves_the_built_in_bundle() -> None:
    assert (EMPTY.serial, EMPTY.stable, EMPTY.candidate) == (0, None, None)
    assert transitions.pause(EMPTY).serial == 1


def test_offer_starts_a_candidate() -> None:
    after = transitions.offer(ON_A, B, Weight(500), SEED)
    assert after == replace(ON_A, serial=8, candidate=Candidate(B, Weight(500), SEED))


def test_offer_raises_the_weight_and_keeps_the_seed() -> None:
    after = transitions.offer(RAMPING_C, C, Weight(2500), OTHER_SEED)
    assert after.candidate == Candidate(C, Weight(2500), SEED)
    assert after.serial == RAMPING_C.serial + 1


@pytest.mark.parametrize("weight", [0, 499, 500])
def test_offer_never_lowers_a_weight(weight: int) -> None:
    assert transitions.offer(RAMPING_C, C, Weight(weight), SEED) is RAMPING_C


def test_offer_of_another_release_replaces_the_candidate_with_its_own_seed() -> None:
    after = transitions.offer(RAMPING_C, D, Weight(100), OTHER_SEED)
    assert after.candidate == Candidate(D, Weight(100), OTHER_SEED)


def test_a_full_candidate_stays_candidate_until_it_is_settled() -> None:
    full = transitions.offer(RAMPING_C, C, FULL, SEED)
    assert full.candidate == Candidate(C, FULL, SEED)
    assert full.stable == B
    settled = transitions.settle(full, C)
    assert (settled.stable, settled.candidate, settled.previous) == (C, None, (B, A))
    assert settled.serial == full.serial + 1


def test_offer_of_what_is_stable_changes_nothing() -> None:
    assert transitions.offer(ON_B, B, FULL, SEED) is ON_B


@pytest.mark.parametrize("seed", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32])
def test_offer_refuses_a_seed_that_is_not_32_hex_digits(seed: str) -> None:
    with pytest.raises(UsageError, match="seed"):
        transitions.offer(ON_A, B, FULL, seed)


def test_settle_twice_is_settle_once() -> None:
    assert transitions.settle(ON_B, B) is ON_B


@pytest.mark.parametrize("state", [ON_B, replace(ON_B, candidate=Candidate(D, FULL, SEED))])
def test_settle_refuses_a_release_that_is_not_the_candidate(state: ChannelState) -> None:
    with pytest.raises(ConflictError, match="not the channel's candidate"):
        transitions.settle(state, C)


def test_settle_refuses_a_candidate_below_100_percent() -> None:
    with pytest.raises(ConflictError, match="only from 100%") as caught:
        transitions.settle(RAMPING_C, C)
    assert caught.value.found == "1.2.0 at 5%"


def test_a_first_release_has_nothing_before_it() -> None:
    settled = transitions.settle(transitions.offer(EMPTY, A, FULL, SEED), A)
    assert settled.previous == ()
    assert transitions.withdraw(settled, A).stable is None


def test_previous_holds_ten() -> None:
    state = EMPTY
    for minor in range(15):
        state = transitions.set_stable(state, ref(f"2.{minor}.0"))
    assert [str(item) for item in state.previous] == [f"2.{minor}.0" for minor in range(13, 3, -1)]


def test_withdrawing_a_candidate_drops_and_blocks_it() -> None:
    after = transitions.withdraw(RAMPING_C, C)
    assert after == replace(ON_B, serial=9, blocked=(C.version,), withdrawn=C.version)


def test_withdrawing_stable_serves_what_was_served_before() -> None:
    after = transitions.withdraw(ON_B, B)
    assert after == replace(ON_B, serial=9, stable=A, previous=(), blocked=(B.version,), withdrawn=B.version)
    assert transitions.withdraw(after, B) is after


def test_what_was_withdrawn_is_remembered_until_something_is_promoted() -> None:
    after = transitions.withdraw(ON_B, B)
    assert transitions.unpause(transitions.pause(after)).withdrawn == B.version
    assert transitions.offer(after, C, Weight(500), SEED).withdrawn is None
    assert transitions.set_stable(after, C).withdrawn is None
    assert transitions.roll_back_to(RAMPING_C, A).withdrawn == C.version


def test_withdrawing_passes_over_blocked_releases() -> None:
    state = replace(EMPTY, serial=3, stable=C, previous=(B, A, None), blocked=(B.version,))
    after = transitions.withdraw(state, C)
    assert (after.stable, after.previous, after.blocked) == (A, (None,), (B.version, C.version))


def test_withdrawing_without_a_predecessor_serves_the_built_in_bundle() -> None:
    state = replace(EMPTY, serial=3, stable=B, previous=(A,), blocked=(A.version,))
    after = transitions.withdraw(state, B)
    assert (after.stable, after.previous) == (None, ())


def test_the_built_in_bundle_is_a_predecessor_too() -> None:
    state = transitions.set_stable(transitions.set_stable(ON_A, None), B)
    assert state.previous == (None, A)
    assert transitions.withdraw(state, B).stable is None


def test_withdrawing_stable_leaves_another_ramp_alone() -> None:
    after = transitions.withdraw(RAMPING_C, B)
    assert (after.stable, after.candidate) == (A, RAMPING_C.candidate)


def test_a_candidate_that_becomes_stable_by_falling_back_is_no_candidate_any_more() -> None:
    state = replace(ON_B, candidate=Candidate(A, Weight(500), SEED))
    after = transitions.withdraw(state, B)
    assert (after.stable, after.candidate) == (A, None)


def test_what_is_rolled_back_before_it_is_served_may_be_remembered_once() -> None:
    after = transitions.withdraw(ON_B, D, remember=True)
    assert after == replace(ON_B, serial=9, blocked=(D.version,), withdrawn=D.version)
    assert transitions.withdraw(after, D, remember=True) is after
    gone_on = transitions.set_stable(after, C)
    assert transitions.withdraw(gone_on, D, remember=True) is gone_on


def test_withdrawing_what_is_not_served_blocks_it_once() -> None:
    after = transitions.withdraw(ON_B, D)
    assert after == replace(ON_B, serial=9, blocked=(D.version,))
    assert transitions.withdraw(after, D) is after


def test_set_stable_drops_the_candidate_and_remembers_what_was() -> None:
    after = transitions.set_stable(RAMPING_C, D)
    assert (after.stable, after.candidate, after.previous) == (D, None, (B, A))
    assert transitions.set_stable(after, D) is after
    assert transitions.set_stable(RAMPING_C, B) == replace(ON_B, serial=RAMPING_C.serial + 1)
    assert transitions.set_stable(EMPTY, None) is EMPTY


def test_rolling_back_to_a_named_release_withdraws_everything_else_in_one_step() -> None:
    state = replace(RAMPING_C, stable=D, previous=(B, A))
    after = transitions.roll_back_to(state, B)
    assert (after.stable, after.candidate, after.previous) == (B, None, (A,))
    assert after.blocked == (D.version, C.version)
    assert after.serial == state.serial + 1
    assert transitions.roll_back_to(after, B) is after


def test_rolling_back_to_the_built_in_bundle() -> None:
    after = transitions.roll_back_to(ON_B, None)
    assert (after.stable, after.previous, after.blocked) == (None, (A,), (B.version,))
    assert transitions.roll_back_to(after, None) is after


def test_rolling_back_to_what_is_stable_withdraws_the_candidate_only() -> None:
    after = transitions.roll_back_to(RAMPING_C, B)
    assert (after.stable, after.candidate, after.blocked, after.previous) == (B, None, (C.version,), (A,))


def test_rolling_back_to_the_candidate_is_possible() -> None:
    after = transitions.roll_back_to(RAMPING_C, C)
    assert (after.stable, after.candidate, after.blocked) == (C, None, (B.version,))


Step = Callable[[ChannelState], ChannelState]
BLOCKED_C = transitions.withdraw(RAMPING_C, C)


@pytest.mark.parametrize(
    "step",
    [
        lambda state: transitions.offer(state, C, FULL, SEED),
        lambda state: transitions.settle(state, C),
        lambda state: transitions.set_stable(state, C),
        lambda state: transitions.roll_back_to(state, C),
    ],
)
def test_a_withdrawn_release_never_comes_back(step: Step) -> None:
    with pytest.raises(ConflictError, match="rolled back"):
        step(BLOCKED_C)


@pytest.mark.parametrize(
    "step",
    [
        lambda state: transitions.offer(state, ref("1.1.0", "forged"), FULL, SEED),
        lambda state: transitions.offer(state, ref("1.2.0", "forged"), FULL, SEED),
        lambda state: transitions.settle(state, ref("1.2.0", "forged")),
        lambda state: transitions.set_stable(state, ref("1.1.0", "forged")),
        lambda state: transitions.roll_back_to(state, ref("1.1.0", "forged")),
    ],
)
def test_one_version_names_one_statement(step: Step) -> None:
    with pytest.raises(ConflictError, match="other bytes"):
        step(RAMPING_C)


def test_pause_and_unpause() -> None:
    paused = transitions.pause(RAMPING_C)
    assert paused == replace(RAMPING_C, serial=RAMPING_C.serial + 1, paused=True)
    assert transitions.pause(paused) is paused
    assert transitions.unpause(paused) == replace(RAMPING_C, serial=RAMPING_C.serial + 2)
    assert transitions.unpause(RAMPING_C) is RAMPING_C


refs = st.sampled_from([ref(f"1.{minor}.0") for minor in range(6)])
weights = st.integers(0, 10_000).map(Weight)
steps = st.one_of(
    st.tuples(st.just(transitions.offer), refs, weights, st.sampled_from([SEED, OTHER_SEED])),
    st.tuples(st.just(transitions.offer), refs, st.just(FULL), st.just(SEED)),
    st.tuples(st.just(transitions.settle), refs),
    st.tuples(st.just(transitions.withdraw), refs),
    st.tuples(st.just(transitions.set_stable), st.none() | refs),
    st.tuples(st.just(transitions.roll_back_to), st.none() | refs),
    st.tuples(st.just(transitions.pause)),
    st.tuples(st.just(transitions.unpause)),
)


def _versions(state: ChannelState) -> tuple[str | None, str | None]:
    return (str(state.stable) if state.stable else None, str(state.candidate.release) if state.candidate else None)


def _check(before: ChannelState, after: ChannelState) -> None:
    if after is before:
        return
    assert after != replace(before, serial=after.serial), "a new serial without a change"
    assert after.serial == before.serial + 1
    stable, candidate = _versions(after)
    assert stable is None or stable != candidate
    blocked = {str(version) for version in after.blocked}
    assert len(blocked) == len(after.blocked)
    assert blocked >= {str(version) for version in before.blocked}
    assert not blocked & {stable, candidate}
    assert len(after.previous) <= transitions.MAX_PREVIOUS
    if before.candidate and after.candidate and before.candidate.release == after.candidate.release:
        assert after.candidate.weight >= before.candidate.weight
        assert after.candidate.seed == before.candidate.seed


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=30))
def test_the_rules_hold_whatever_is_called_in_whatever_order(plan: list[tuple[Callable[..., ChannelState], object]]) -> None:
    state = EMPTY
    for function, *arguments in plan:
        try:
            after = function(state, *arguments)
        except ConflictError:
            continue
        _check(state, after)
        assert function(after, *arguments) is after, "twice is not once"
        state = after


# --- lowering and dropping -----------------------------------------------------------------------------------------------


def test_lower_takes_the_candidate_back_from_a_part_of_the_devices_and_keeps_the_seed() -> None:
    after = transitions.lower(RAMPING_C, C, Weight(100))
    assert after == replace(RAMPING_C, serial=RAMPING_C.serial + 1, candidate=Candidate(C, Weight(100), SEED))
    for release, weight in ((C, 500), (C, 600), (B, 100), (D, 100)):
        assert transitions.lower(RAMPING_C, release, Weight(weight)) is RAMPING_C


def test_drop_stops_offering_and_blocks_nothing() -> None:
    after = transitions.drop(RAMPING_C, C)
    assert after == replace(RAMPING_C, serial=RAMPING_C.serial + 1, candidate=None)
    assert transitions.offer(after, C, Weight(100), OTHER_SEED).candidate == Candidate(C, Weight(100), OTHER_SEED)
    assert transitions.drop(RAMPING_C, B) is RAMPING_C
    assert transitions.drop(ON_A, A) is ON_A
