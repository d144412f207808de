from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import NotFoundError, UnavailableError, UsageError
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.token_access import open_tokens
from support.operators import NOW, issue


def test_the_first_token_makes_the_database(tmp_path: Path) -> None:
    store = open_tokens("sqlite:///deep/t.db", {}, tmp_path, may_make=True)
    _, text = issue(store)
    store.close()
    again = open_tokens("env:DB", {"DB": f"sqlite:///{tmp_path}/deep/t.db"}, Path("/"))
    assert again.authenticate(text, NOW) is not None
    again.close()


def test_a_mistyped_address_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        open_tokens("sqlite:///typo.db", {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    engines = Engines(place_of("sqlite:///other.db", {}, tmp_path))
    with engines.write() as connection:
        connection.exec_driver_sql("CREATE TABLE other (x INTEGER)")
    engines.close()
    with pytest.raises(NotFoundError, match="no telemetry in this database"):
        open_tokens("sqlite:///other.db", {}, tmp_path)


def test_a_password_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a password") as caught:
        open_tokens("postgresql://ana:hunter22@db/x", {}, tmp_path)
    assert "hunter22" not in str(caught.value)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnavailableError) as caught:
        open_tokens("sqlite:///file/t.db", {}, tmp_path, may_make=True)
    assert "the database cannot be made" in str(caught.value)
