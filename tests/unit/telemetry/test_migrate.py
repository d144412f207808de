from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from otagate._retry import persist
from otagate.errors import NotFoundError, UsageError
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.migrate import STEPS, migrate, newest, require_schema, version_of
from otagate.telemetry.model import DeviceFacts, Mark, Observation
from otagate.telemetry.problems import passing
from otagate.telemetry.sql import PATIENCE, open_telemetry
from otagate.telemetry.tables import METADATA
from otagate.telemetry.token_tables import TOKENS
from support.recount import audit_counters

ALL_TABLES = {*METADATA.tables, TOKENS.name}

NEXT_STEP = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("devices", sa.Column("colour", sa.Text))
    op.create_table("of_tomorrow", sa.Column("id", sa.Integer, primary_key=True))
    {failing}
"""


def at(folder: Path, name: str = "t.db") -> Engines:
    return Engines(place_of(f"sqlite:///{folder}/{name}", {}, folder))


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = at(tmp_path)
    yield engines
    engines.close()


def steps(folder: Path, failing: str = "") -> Path:
    """Give the steps of the program of tomorrow."""
    copied = folder / "steps"
    shutil.copytree(STEPS, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied / "r9001_tomorrow.py").write_text(NEXT_STEP.format(before=newest(), failing=failing))
    return copied


def state(engines: Engines) -> tuple[str | None, set[str]]:
    with engines.read() as connection:
        return version_of(connection), set(inspect(connection).get_table_names())


def test_the_steps_lead_to_the_tables_that_the_program_uses(engines: Engines) -> None:
    assert state(engines) == (None, set())
    migrate(engines)
    version, names = state(engines)
    assert (version, names - {"sqlite_sequence", "otagate_schema"}) == (newest(), ALL_TABLES)
    with engines.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "otagate_schema"})
        assert compare_metadata(context, METADATA) == []
    migrate(engines)
    require_schema(engines)


def test_each_step_follows_the_one_before() -> None:
    numbers = sorted(path.name[1:5] for path in STEPS.glob("r*.py"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert newest() == numbers[-1]


def test_an_older_database_is_brought_up_with_what_is_in_it(engines: Engines, tmp_path: Path) -> None:
    migrate(engines)
    with engines.write() as connection:
        connection.execute(text("INSERT INTO releases (app, version) VALUES ('a', '1.0.0')"))
    tomorrow = steps(tmp_path)
    with pytest.raises(UsageError, match="older than this program"):
        require_schema(engines, tomorrow)
    migrate(engines, tomorrow)
    version, names = state(engines)
    assert version == "9001"
    assert "of_tomorrow" in names
    with engines.read() as connection:
        assert connection.execute(text("SELECT version FROM releases")).scalars().all() == ["1.0.0"]
        assert "colour" in {column["name"] for column in inspect(connection).get_columns("devices")}


def test_a_newer_database_is_refused_naming_both(engines: Engines, tmp_path: Path) -> None:
    migrate(engines, steps(tmp_path))
    for refused in (migrate, require_schema):
        with pytest.raises(UsageError) as caught:
            refused(engines)
        assert "9001" in str(caught.value)
        assert newest() in str(caught.value)
        assert caught.value.exit_code == 2


def test_what_is_no_number_is_refused(engines: Engines) -> None:
    migrate(engines)
    with engines.write() as connection:
        connection.execute(text("UPDATE otagate_schema SET version_num = 'abc'"))
    with pytest.raises(UsageError, match="abc"):
        migrate(engines)


def test_a_step_that_fails_leaves_nothing_of_itself_or_its_fellows(engines: Engines, tmp_path: Path) -> None:
    tomorrow = steps(tmp_path, failing="raise ValueError")
    with pytest.raises(ValueError, match=r"^$"):
        migrate(engines, tomorrow)
    version, names = state(engines)
    assert version is None
    assert names <= {"sqlite_sequence"}


def test_without_a_schema_there_is_nothing_to_read(engines: Engines) -> None:
    with pytest.raises(NotFoundError, match="no telemetry"):
        require_schema(engines)


def test_many_at_once_take_turns(tmp_path: Path) -> None:
    def bring_up(engines: Engines) -> None:
        # As whoever opens a database does: of several who make it, SQLite tells some that it is locked, without waiting.
        persist(lambda: migrate(engines), passing, PATIENCE)

    opened = [at(tmp_path) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(bring_up, opened))
    assert {state(engines)[0] for engines in opened} == {newest()}
    for engines in opened:
        engines.close()


def test_sums_of_old_databases_follow_what_a_crash_is_now(tmp_path: Path) -> None:
    now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    url = f"sqlite:///{tmp_path}/old.db"
    whole = Mark.OFFERED | Mark.SET
    with closing(open_telemetry(url, {})) as telemetry:
        for number, marks in enumerate([whole | Mark.READY, whole | Mark.BOOT, whole | Mark.BOOT | Mark.CRASHED, whole]):
            facts = DeviceFacts(
                "com.example.app", bytes([number]) * 16, "ios", "8.51.4", "stable", is_test=False, native="1.0.0"
            )
            telemetry.record([Observation(facts, "1.0.0", marks, now)])
        assert audit_counters(telemetry) == []
        with telemetry.engines.write() as connection:
            connection.execute(text("UPDATE counters SET crashed = 1"))  # as the last version counted them
            connection.execute(text("DROP TABLE heard"))
            connection.execute(text("UPDATE otagate_schema SET version_num = '0002'"))
    with closing(open_telemetry(url, {})) as telemetry:
        assert audit_counters(telemetry) == []
        with telemetry.engines.read() as connection:
            assert connection.execute(text("SELECT sum(crashed) FROM counters")).scalar() == 2
