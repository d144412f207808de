from __future__ import annotations

from datetime import timedelta

from otagate.model import Digest
from otagate.server.http.offered import Offered
from support.served import DIGEST, NOON, Views, channel, release, view

OTHER = Digest.of(b"the candidate's bundle")
LATER = NOON + timedelta(days=30)


def test_stable_and_candidate_of_a_channel_may_be_fetched_and_nothing_else() -> None:
    offered = Offered(Views([view([channel("1.2.0", candidate="1.3.0")], [release("1.2.0"), release("1.3.0", OTHER)])]))
    assert offered.has(DIGEST.hex, NOON)
    assert offered.has(OTHER.hex, NOON)
    assert not offered.has(Digest.of(b"of nobody").hex, NOON)


def test_a_blocked_release_is_gone_also_when_the_pointer_still_names_it() -> None:
    views = Views([view([channel("1.2.0", blocked=["1.2.0"])])])
    assert not Offered(views).has(DIGEST.hex, NOON)


def test_a_bundle_that_another_channel_names_stays() -> None:
    channels = [channel("1.2.0", blocked=["1.2.0"]), channel("1.2.0", name="beta")]
    assert Offered(Views([view(channels)])).has(DIGEST.hex, NOON)


def test_a_release_that_was_not_verified_is_not_given() -> None:
    assert not Offered(Views([view([channel("9.9.9")])])).has(DIGEST.hex, NOON)
    assert not Offered(Views([view([channel(None)])])).has(DIGEST.hex, NOON)
    assert not Offered(Views([])).has(DIGEST.hex, NOON)


def test_pointers_and_releases_that_expired_give_nothing() -> None:
    assert not Offered(Views([view([channel(expires=NOON)])])).has(DIGEST.hex, NOON)
    expiring = Offered(Views([view(releases=[release(expires=NOON + timedelta(hours=1))])]))
    assert expiring.has(DIGEST.hex, NOON)
    assert not expiring.has(DIGEST.hex, NOON + timedelta(hours=1))


def test_the_pointer_that_holds_longest_counts() -> None:
    channels = [channel("1.2.0", expires=NOON), channel("1.2.0", name="beta", expires=LATER)]
    assert Offered(Views([view(channels)])).has(DIGEST.hex, NOON)
    assert Offered(Views([view(channels[::-1])])).has(DIGEST.hex, NOON)


def test_what_the_catalog_learns_counts_at_once() -> None:
    views = Views([view()])
    offered = Offered(views)
    assert offered.has(DIGEST.hex, NOON)
    views.apps = [view([channel(None, blocked=["1.2.0"])])]
    assert not offered.has(DIGEST.hex, NOON)
    views.apps = []
    assert not offered.has(DIGEST.hex, NOON)
