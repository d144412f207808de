from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from otagate.cli.main import run_command
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.token_tables import AUDIT
from otagate.telemetry.tokens import digest_of
from support.project import Said

LEAST = ["--name", "ci", "--verb", "metrics", "--app", "com.example.app", "--all-channels"]
TOKEN = re.compile(r"otg_[a-z2-7]{12}_[A-Za-z0-9_-]{43}\n")
POLICY = "version: 1\napp: {id: com.example.app}\nseal: {format: none}\nbranches: {main: {channel: stable}}\n"


class Shell:
    """The command in a folder, with a database there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"USER": "ana", "OTAGATE_DATABASE": f"sqlite:///{folder}/t.db"}

    def __call__(self, *argv: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        code = run_command(["token", *argv], self.environ, self.folder, out, err)
        return Said(code, out.getvalue(), err.getvalue())

    def engines(self) -> Engines:
        return Engines(place_of("sqlite:///t.db", {}, self.folder))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_token_is_printed_once_and_alone(shell: Shell) -> None:
    done = shell("create", *LEAST)
    assert (done.code, bool(TOKEN.fullmatch(done.out))) == (0, True)
    assert done.out[4:16] in done.err
    assert done.out[17:].strip() not in done.err
    assert done.out.strip() not in shell("list", "--format", "json").out + shell("audit").out
    engines = shell.engines()
    with engines.read() as connection:
        assert connection.execute(sa.text("SELECT digest FROM tokens")).scalar() == digest_of(done.out.strip())
    engines.close()


def test_quiet_and_markdown_print_the_token_alone_too(shell: Shell) -> None:
    assert TOKEN.fullmatch(shell("create", *LEAST, "--quiet").out)
    assert TOKEN.fullmatch(shell("create", *LEAST, "--format", "markdown").out)


def test_a_token_as_json(shell: Shell) -> None:
    made = shell("create", *LEAST, "--expires", "36h", "--format", "json").json
    assert made["schema"] == "otagate/token/v1"
    assert made["token"].startswith(f"otg_{made['id']}_")
    assert (made["apps"], made["channels"], made["verbs"], made["state"]) == (["com.example.app"], "all", ["metrics"], "valid")
    listed = shell("list", "--format", "json").json
    assert listed["schema"] == "otagate/tokens/v1"
    assert listed["tokens"] == [{name: value for name, value in made.items() if name not in {"schema", "token"}}]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--name", "x", "--verb", "metrics", "--all-channels"], "which apps is the token for?"),
        (["--name", "x", "--verb", "metrics", "--all-apps"], "which channels is the token for?"),
        ([*LEAST, "--all-apps"], "exclude each other"),
        ([*LEAST, "--channel", "beta"], "exclude each other"),
        ([*LEAST, "--expires", "367d"], "at most 366d"),
        ([*LEAST, "--expires", "0s"], "cannot be valid for that long"),
        ([*LEAST, "--expires", "soon"], "no length of time"),
        ([*LEAST, "--verb", "everything"], "invalid choice"),
        (["--name", "x", "--all-apps", "--all-channels"], "--verb"),
        (["--verb", "metrics", "--all-apps", "--all-channels"], "--name"),
        (["--name", "a\nb", "--verb", "metrics", "--all-apps", "--all-channels"], "no name for a token"),
        (["--name", "x", "--verb", "metrics", "--app", "*", "--all-channels"], "not an app id"),
        (["--name", "x", "--verb", "metrics", "--app", "", "--all-channels"], "not an app id"),
    ],
)
def test_a_token_that_is_not_said_in_full_is_not_made(shell: Shell, argv: list[str], said: str) -> None:
    done = shell("create", *argv)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not (shell.folder / "t.db").exists()


def test_a_dry_run_touches_nothing(shell: Shell) -> None:
    assert "make the token ci" in shell("create", *LEAST, "--dry-run").out
    assert "revoke the token" in shell("revoke", "a" * 12, "--dry-run").out
    assert list(shell.folder.iterdir()) == []


def test_revoking(shell: Shell) -> None:
    identity = shell("create", *LEAST).out[4:16]
    assert f"revoked the token {identity}" in shell("revoke", identity).out
    again = shell("revoke", identity, "--format", "json").json
    assert again == {"schema": "otagate/token-revoked/v1", "id": identity, "revoked": True, "changed": False}
    assert "revoked" in shell("list").out
    assert shell("revoke", "b" * 12).code == 2


@pytest.mark.parametrize("argv", [["revoke", "{}"], ["create", "--name", "{}", *LEAST[2:]]])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(shell: Shell, argv: list[str]) -> None:
    token = shell("create", *LEAST).out.strip()
    done = shell(*(word.format(token) for word in argv))
    assert (done.code, token in done.out + done.err) == (2, False)


def test_lists_of_nothing(shell: Shell) -> None:
    identity = shell("create", *LEAST).out[4:16]
    engines = shell.engines()
    with engines.write() as connection:
        connection.execute(sa.text("DELETE FROM tokens"))
        connection.execute(sa.text("DELETE FROM audit"))
        connection.execute(sa.text("DELETE FROM audit_head"))
    engines.close()
    assert "nothing has happened yet" in shell("audit", "--verify").out
    assert "there are none" in shell("list").out
    assert identity not in shell("list").out


def test_the_audit_tells_who_did_what(shell: Shell) -> None:
    identity = shell("create", *LEAST).out[4:16]
    shell("list")
    shell("revoke", identity)
    entries = shell("audit", "--format", "json").json["entries"]
    assert [(entry["actor"], entry["kind"]) for entry in entries] == [
        ("command:ana", "token.created"),
        ("command:ana", "token.listed"),
        ("command:ana", "token.revoked"),
    ]
    assert [entry["kind"] for entry in shell("audit", "--limit", "1", "--format", "json").json["entries"]] == ["audit.read"]
    assert "apps=com.example.app" in shell("audit").out


def test_a_whole_audit_has_a_head_that_can_be_kept(shell: Shell) -> None:
    shell("create", *LEAST)
    found = shell("audit", "--verify", "--format", "json").json["chain"]
    assert (found["count"], found["whole"]) == (1, True)
    assert re.fullmatch(r"1:[0-9a-f]{64}", found["head"])
    assert shell("audit", "--verify", "--head", found["head"]).code == 0
    assert shell("audit", "--verify", "--head", f"1:{'0' * 64}").code == 3
    assert shell("audit", "--head", found["head"]).code == 2
    assert shell("audit", "--limit", "0").code == 2
    assert shell("audit", "--format", "json").json["chain"] is None


def test_an_audit_that_was_changed_ends_with_3(shell: Shell) -> None:
    shell("create", *LEAST)
    engines = shell.engines()
    with engines.write() as connection:
        connection.execute(sa.update(AUDIT).values(entry=sa.func.replace(AUDIT.c.entry, "ana", "bob")))
    engines.close()
    done = shell("audit", "--verify", "--format", "json")
    assert (done.code, "entry 1 was changed" in done.err) == (3, True)
    assert json.loads(done.out)["schema"] == "otagate/error/v1"


def test_where_the_database_is(shell: Shell) -> None:
    del shell.environ["OTAGATE_DATABASE"]
    assert "which database?" in shell("list").err
    (shell.folder / "otagate.yml").write_text(POLICY)
    assert shell("list").code == 2
    assert shell("create", *LEAST).code == 0
    assert (shell.folder / ".otagate" / "telemetry.sqlite").exists()
    policy = f"{POLICY}telemetry: {{database: 'env:ELSEWHERE'}}\n"
    (shell.folder / "otagate.yml").write_text(policy)
    shell.environ["ELSEWHERE"] = "sqlite:///elsewhere.db"
    assert shell("create", *LEAST).code == 0
    assert (shell.folder / "elsewhere.db").exists()
    assert shell("create", *LEAST, "--database", "sqlite:///option.db").code == 0
    assert (shell.folder / "option.db").exists()


def test_a_password_stands_in_no_message(shell: Shell) -> None:
    for argv in (["--database", "postgresql://ana:hunter22@127.0.0.1:1/x"], []):
        shell.environ["OTAGATE_DATABASE"] = "mysql://ana:hunter22@127.0.0.1:1/x"
        done = shell("list", *argv)
        assert (done.code, "hunter22" in done.out + done.err) == (2, False)


def test_whoever_has_no_name(shell: Shell) -> None:
    del shell.environ["USER"]
    shell("create", *LEAST)
    assert "command:unknown" in shell("audit").out
