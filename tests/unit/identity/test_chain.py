"""The order of the links, what is said when there is none, and how long credentials are kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from otagate.errors import AccessError, UnavailableError
from otagate.identity._chain import Candidate, Lasting, NoIdentityError, choose, missing, present
from otagate.identity.interface import Kind, Link
from support.identities import NOW


def gives(value: str) -> Candidate[str]:
    return present(Kind(value.partition(" ")[0]), value, lambda: value)


def no_identity() -> str:
    message = "the machine has no role"
    raise NoIdentityError(message)


def test_the_first_that_can() -> None:
    found = choose(
        "AWS", [missing(Kind.OIDC, "a"), missing(Kind.OIDC, "b"), gives("environment"), gives("pod")], None, "do this"
    )

    assert found.used == Link(Kind.POD, found=True, detail="pod")
    assert found.get() == "pod"
    assert [(link.kind, link.found, link.detail) for link in found.links] == [
        (Kind.OIDC, False, "a; b"),
        (Kind.POD, True, "pod"),
        (Kind.INSTANCE, False, ""),
        (Kind.ENVIRONMENT, True, "environment"),
        (Kind.PROFILE, False, ""),
    ]


def test_of_one_kind_the_first_that_can() -> None:
    found = choose("AWS", [missing(Kind.OIDC, "a"), gives("oidc 1"), gives("oidc 2")], None, "do this")
    assert (found.links[0].detail, found.get()) == ("oidc 1", "oidc 1")


def test_only_one_link() -> None:
    found = choose("AWS", [gives("oidc"), gives("environment")], Kind.ENVIRONMENT, "do this")
    assert (found.used.kind, found.get(), len(found.links)) == (Kind.ENVIRONMENT, "environment", 5)


def test_none_can() -> None:
    with pytest.raises(AccessError) as caught:
        choose("AWS", [missing(Kind.OIDC, "no role"), missing(Kind.POD, "no pod")], None, "do this")
    assert str(caught.value).startswith("there is no identity for AWS\n  oidc: no role\n  pod: no pod\n")
    assert caught.value.remedy == "do this"


def test_the_only_one_cannot() -> None:
    with pytest.raises(AccessError, match="of the kind `pod`") as caught:
        choose("AWS", [gives("oidc"), missing(Kind.POD, "no pod")], Kind.POD, "do this")
    assert caught.value.details == ("pod: no pod",)


def test_a_machine_without_identity_makes_way() -> None:
    asked: list[str] = []

    def instance() -> str:
        asked.append("instance")
        return no_identity()

    found = choose("AWS", [present(Kind.INSTANCE, "EC2", instance), gives("environment")], None, "do this")

    assert found.used.kind is Kind.INSTANCE
    assert [found.get(), found.get()] == ["environment", "environment"]
    assert asked == ["instance"]  # once is enough


def test_a_machine_without_identity_and_nothing_else() -> None:
    found = choose("AWS", [present(Kind.INSTANCE, "EC2", no_identity), missing(Kind.PROFILE, "x")], None, "do this")
    with pytest.raises(AccessError) as caught:
        found.get()
    assert caught.value.details == ("instance: the machine has no role",)


class Service:
    """Gives numbered credentials that last, or fails."""

    def __init__(self, life: timedelta | None) -> None:
        self.life, self.now, self.count = life, NOW, 0
        self.failure: Exception | None = None

    def fetch(self) -> tuple[int, datetime | None]:
        if self.failure:
            raise self.failure
        self.count += 1
        return self.count, None if self.life is None else self.now + self.life

    def lasting(self) -> Lasting[tuple[int, datetime | None]]:
        return Lasting(self.fetch, lambda held: held[1], lambda: self.now)


def test_kept_until_five_minutes_before_the_end() -> None:
    service = Service(timedelta(hours=1))
    lasting = service.lasting()
    assert service.count == 0
    given = []
    for minutes in (0, 30, 54, 55, 60, 111):
        service.now = NOW + timedelta(minutes=minutes)
        given.append(lasting.get()[0])
    assert given == [1, 1, 1, 2, 2, 3]


def test_kept_for_ever() -> None:
    service = Service(None)
    lasting = service.lasting()
    lasting.get()
    service.now += timedelta(days=1000)
    assert lasting.get()[0] == 1


def test_short_ones_are_not_fetched_for_each_use() -> None:
    service = Service(timedelta(minutes=2))
    lasting = service.lasting()
    given = []
    for seconds in (0, 10, 20, 30, 300):
        service.now = NOW + timedelta(seconds=seconds)
        given.append(lasting.get()[0])
    assert given == [1, 1, 2, 2, 3]


def test_a_failed_renewal_does_no_harm_while_the_old_ones_hold() -> None:
    service = Service(timedelta(hours=1))
    lasting = service.lasting()
    lasting.get()
    service.failure = UnavailableError("gone")
    service.now = NOW + timedelta(minutes=57)
    assert lasting.get()[0] == 1
    service.now = NOW + timedelta(minutes=61)
    with pytest.raises(UnavailableError):
        lasting.get()
    service.failure = None
    assert lasting.get()[0] == 2


def test_a_refusal_is_told_at_once() -> None:
    service = Service(timedelta(hours=1))
    lasting = service.lasting()
    lasting.get()
    service.failure = AccessError("no more")
    service.now = NOW + timedelta(minutes=57)
    with pytest.raises(AccessError):
        lasting.get()
