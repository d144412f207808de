from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from otagate.errors import UnavailableError, VerificationError
from otagate.model import Version
from otagate.release.repository import PublishedRelease
from otagate.server.learning import PER_SECOND, Learner
from support.releases import full_release
from support.served import Time, ref

APP = "com.example.app"


@dataclass
class Store:
    """Releases that are there, and what is wrong with the others."""

    there: set[str] = field(default_factory=set)
    wrong: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    known: list[tuple[str, str]] = field(default_factory=list)

    def get(self, version: Version) -> PublishedRelease | None:
        self.asked.append(str(version))
        if str(version) in self.wrong:
            raise self.wrong[str(version)]
        return PublishedRelease(full_release(), ref(str(version)), b"") if str(version) in self.there else None

    def add_known(self, app: str, version: str) -> None:
        self.known.append((app, version))


def learner(store: Store, clock: Time | None = None) -> Learner:
    return Learner({APP: store}, store, clock or Time())


def test_a_release_becomes_known() -> None:
    store = Store({"1.0.0"})
    made = learner(store)
    assert made.may_look_up(APP, "1.0.0")
    assert made.learn(APP, "1.0.0")
    assert store.known == [(APP, "1.0.0")]


@pytest.mark.parametrize("error", [None, VerificationError("signature", "2.0.0"), UnavailableError("away", "store")])
def test_what_is_none_is_not_looked_up_again_for_a_while(error: Exception | None) -> None:
    store, clock = Store(wrong={} if error is None else {"2.0.0": error}), Time()
    made = learner(store, clock)
    assert not made.learn(APP, "2.0.0")
    assert store.known == []
    clock.at += timedelta(seconds=59)
    assert not made.may_look_up(APP, "2.0.0")
    clock.at += timedelta(seconds=1)
    assert made.may_look_up(APP, "2.0.0")
    clock.at -= timedelta(hours=1)
    assert made.may_look_up(APP, "2.0.0")


@pytest.mark.parametrize(("app", "version"), [("com.example.other", "1.0.0"), (APP, "latest"), (APP, "../1.0.0"), (APP, "")])
def test_what_cannot_be_a_release_is_not_looked_up(app: str, version: str) -> None:
    assert not learner(Store()).may_look_up(app, version)


def test_lookups_are_few_a_second() -> None:
    clock = Time()
    made = learner(Store(), clock)
    assert sum(made.may_look_up(APP, f"1.0.{number}") for number in range(100)) == PER_SECOND
    clock.at += timedelta(seconds=1)
    assert made.may_look_up(APP, "1.1.0")


def test_made_up_versions_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otagate.server.learning._KEPT", 10)
    made = learner(Store())
    for number in range(50):
        assert not made.learn(APP, f"1.0.{number}")
    assert len(made._doubted) == 10
