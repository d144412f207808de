from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from otagate.errors import NotFoundError, UsageError, VerificationError
from otagate.telemetry.engine import Engines
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.token_tables import AUDIT, AUDIT_HEAD, TOKENS
from otagate.telemetry.tokens import Limit, Verb
from support.operators import ACTOR, EVERYTHING, NOW, issue, new_database, scope

DAY = timedelta(days=1)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = new_database(tmp_path / "t.db")
    yield engines
    engines.close()


@pytest.fixture
def store(engines: Engines) -> TokenStore:
    return TokenStore(engines)


def kinds(store: TokenStore) -> list[str]:
    return [entry.kind for entry in store.audit.entries()]


def test_a_token_is_what_was_asked_for(store: TokenStore) -> None:
    wanted = scope(Verb.METRICS, channels=Limit.only("beta", "stable"))
    token, text = issue(store, wanted, DAY)
    assert (token.scope, token.created, token.expires, token.last_used) == (wanted, NOW, NOW + DAY, None)
    assert store.authenticate(text, NOW) == token == store.all()[0]


def test_the_secret_stands_nowhere_in_the_database(store: TokenStore, engines: Engines, tmp_path: Path) -> None:
    _, text = issue(store)
    engines.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert text.rpartition("_")[0].removeprefix("otg_").encode()[:12] in stored
    assert text[17:].encode() not in stored


@pytest.mark.parametrize("cut", [slice(0, -1), slice(1, None), slice(0, 16)])
def test_part_of_a_token_is_no_token(store: TokenStore, cut: slice) -> None:
    _, text = issue(store)
    assert store.authenticate(text[cut], NOW) is None


def test_a_wrong_secret_another_s_secret_and_an_unknown_id_are_refused(store: TokenStore) -> None:
    _, one = issue(store)
    _, other = issue(store)
    last = "A" if one[-1] != "A" else "B"
    assert store.authenticate(one[:-1] + last, NOW) is None
    assert store.authenticate(one[:17] + other[17:], NOW) is None
    assert store.authenticate("otg_" + "a" * 12 + "_" + "A" * 43, NOW) is None
    assert store.authenticate(one, NOW) is not None


def test_a_token_ends_by_itself_and_at_once_when_it_is_revoked(store: TokenStore) -> None:
    token, text = issue(store, life=DAY)
    assert store.authenticate(text, NOW + DAY) is None
    assert store.revoke(token.id, actor=ACTOR, now=NOW)
    assert store.authenticate(text, NOW) is None
    assert not store.revoke(token.id, actor=ACTOR, now=NOW + DAY)
    assert store.all()[0].revoked == NOW


def test_revoking_what_is_not_there(store: TokenStore) -> None:
    with pytest.raises(NotFoundError, match="no such token"):
        store.revoke("a" * 12, actor=ACTOR, now=NOW)
    assert kinds(store) == []


def test_each_use_is_in_the_audit_and_marks_the_hour(store: TokenStore) -> None:
    token, _ = issue(store)
    assert store.use(token, "device.read", {"app": "com.x.y", "allowed": True}, NOW)
    used = store.all()[0].last_used
    assert used == NOW.replace(minute=0)
    entry = store.audit.entries()[-1]
    assert (entry.kind, entry.actor, entry.data) == ("device.read", f"token:{token.id}", {"app": "com.x.y", "allowed": True})


@pytest.mark.parametrize("way", ["revoked", "expired"])
def test_a_token_that_ends_between_check_and_use_does_nothing(store: TokenStore, way: str) -> None:
    token, text = issue(store, life=DAY)
    checked = store.authenticate(text, NOW)
    assert checked is not None
    if way == "revoked":
        store.revoke(token.id, actor=ACTOR, now=NOW)
    before = kinds(store)
    assert not store.use(checked, "device.set", {}, NOW if way == "revoked" else NOW + DAY)
    assert kinds(store) == before
    assert store.audit.verify().problems == ()


def test_a_life_that_is_too_long_makes_nothing(store: TokenStore) -> None:
    with pytest.raises(UsageError, match="valid for that long"):
        store.create(EVERYTHING, timedelta(days=400), actor=ACTOR, now=NOW)
    assert store.all() == []


@pytest.mark.parametrize(
    ("column", "value"), [("apps", "[]"), ("apps", ""), ("channels", "null"), ("verbs", "metrics everything")]
)
def test_a_row_that_was_damaged_allows_nothing_and_can_be_revoked(
    store: TokenStore, engines: Engines, column: str, value: str
) -> None:
    token, text = issue(store)
    with engines.write() as connection:
        connection.execute(sa.update(TOKENS).values({column: value}))
    with pytest.raises(VerificationError):
        store.authenticate(text, NOW)
    assert store.revoke(token.id, actor=ACTOR, now=NOW)


def test_a_database_that_lost_its_tables_is_no_crash_and_no_value_is_shown(store: TokenStore, engines: Engines) -> None:
    token, text = issue(store)
    with engines.write() as connection:
        for table in (TOKENS, AUDIT, AUDIT_HEAD):
            connection.execute(sa.schema.DropTable(table))
    for call in (
        lambda: store.authenticate(text, NOW),
        store.all,
        lambda: store.use(token, "x", {}, NOW),
        store.audit.verify,
        store.audit.entries,
        lambda: store.audit.newest(1),
        lambda: store.audit.append("x", "y", {}, NOW),
        lambda: issue(store),
        lambda: store.revoke(token.id, actor=ACTOR, now=NOW),
    ):
        with pytest.raises(VerificationError) as caught:
            call()
        assert text[17:] not in str(caught.value)
        assert token.id not in str(caught.value)
