from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from otagate.cli.main import run_command
from otagate.policy.validate import schema_text

MINIMAL = "version: 1\napp: {id: com.example.app}\nbranches:\n  main: {channel: production}\n"


def command(cwd: Path, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_command(argv, {"PATH": "/usr/bin:/bin", "NO_COLOR": "1"}, cwd, out, err)
    return code, out.getvalue(), err.getvalue()


def test_check_says_that_a_policy_is_valid_and_what_is_unwise(tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text(MINIMAL)
    code, out, _ = command(tmp_path, "policy", "check")
    assert code == 0
    assert "otagate.yml is valid" in out
    assert "no key is trusted" in out
    code, out, _ = command(tmp_path, "policy", "check", "--format", "json")
    said = json.loads(out)
    assert (code, said["schema"], said["valid"], said["app"]) == (0, "otagate/policy-check/v1", True, "com.example.app")
    assert len(said["warnings"]) == 1


def test_check_lists_every_problem_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "p.yml").write_text(MINIMAL + "aap: 1\nstorage: s3://x\n")
    code, out, err = command(tmp_path, "policy", "check", "--policy", "p.yml")
    assert (code, out) == (2, "")
    assert "p.yml:5:1: unknown key 'aap' (did you mean 'app'?)" in err
    assert (
        "p.yml:6:10: storage: this is not a storage URL; expected the name of a bucket after //, such as acme-updates: "
        "3 to 63 small letters, digits and .-, found x" in err
    )
    assert "Traceback" not in err


def test_check_without_a_policy_points_to_init(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    code, _, err = command(tmp_path, "policy", "check")
    assert code == 2
    assert "otagate init" in err


def test_explain_names_the_source_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text(MINIMAL)
    code, out, _ = command(tmp_path, "policy", "explain")
    assert code == 0
    assert any(line.split() == ["branches.main.channel", "production", "otagate.yml:4:19"] for line in out.splitlines())
    _, out, _ = command(tmp_path, "policy", "explain", "--format", "json")
    rows = json.loads(out)["values"]
    assert {"path": "seal.format", "value": "capgo", "source": "default"} in rows


def test_schema_prints_the_published_file_and_needs_no_policy(tmp_path: Path) -> None:
    assert command(tmp_path, "policy", "schema") == (0, schema_text(), "")
    _, out, _ = command(tmp_path, "policy", "schema", "--format", "json")
    assert json.loads(out)["policy_schema"]["$id"].endswith("/v1.json")


def test_a_sub_verb_is_needed(tmp_path: Path) -> None:
    code, _, err = command(tmp_path, "policy")
    assert code == 2
    assert "check|explain|schema" in err


@pytest.fixture(name="app")
def make_app(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitlab-ci.yml").write_text("")
    (tmp_path / "capacitor.config.ts").write_text("export default { appId: 'com.example.app' }")
    return tmp_path


def test_init_shows_what_it_wrote_what_to_add_and_what_comes_next(app: Path) -> None:
    code, out, err = command(app, "init")
    assert code == 0
    assert "The app is set up" in out
    assert "Add this to capacitor.config.ts:" in out
    assert "publicKey:" in out
    assert "git add .gitignore otagate.yml, and commit" in out
    assert "GitLab CI" in out
    assert "no plain `webDir`" in err
    assert command(app, "policy", "check")[0] == 0
    code, out, _ = command(app, "init", "--format", "json")
    said = json.loads(out)
    assert (code, said["schema"], said["changed"]) == (0, "otagate/init/v1", False)
    assert {row["action"] for row in said["files"]} == {"keep"}


def test_init_dry_run_shows_the_plan(app: Path) -> None:
    before = sorted(path.name for path in app.iterdir())
    code, out, _ = command(app, "init", "--dry-run")
    assert code == 0
    assert "This would be written" in out
    assert "policy of com.example.app" in out
    assert sorted(path.name for path in app.iterdir()) == before


def test_init_in_the_wrong_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    code, out, err = command(tmp_path, "init")
    assert (code, out) == (2, "")
    assert "--app-id" in err
    code, out, _ = command(tmp_path, "init", "--app-id", "com.example.app", "--policy", "x.yml")
    assert code == 0
    assert (tmp_path / "x.yml").exists()
    assert "not found: npm install @capgo/capacitor-updater" in out


def test_init_takes_the_storage_and_says_it(app: Path) -> None:
    url = "s3://acme-updates/shop?region=eu-west-1"
    code, out, _ = command(app, "init", "--storage", url, "--dry-run", "--format", "json")
    assert (code, json.loads(out)["storage"]) == (0, url)
    code, out, err = command(app, "init", "--storage", "s3://joe:sesame@acme")
    assert (code, out) == (2, "")
    assert "sesame" not in err
    assert not (app / "otagate.yml").exists()


def test_init_fits_the_rollout_to_the_phones(app: Path) -> None:
    code, out, _ = command(app, "init")
    assert (code, "otagate init --force --devices N" in out, "phones " in out.partition("1. git")[0]) == (0, True, False)
    code, out, _ = command(app, "init", "--force", "--devices", "1000")
    assert code == 0
    assert "1,000; stable 25%, 50%, 100%" in out
    assert "otagate rehearse --devices 1000" in out
    assert "--force --devices N" not in out
    _, out, _ = command(app, "init", "--force", "--devices", "30", "--dry-run", "--format", "json")
    assert json.loads(out)["devices"] == 30
    _, out, _ = command(app, "init", "--force", "--devices", "100", "--dry-run")
    assert "100; stable 100%; perhaps too few to judge a share: internal, beta" in " ".join(out.split())


@pytest.mark.parametrize("devices", ["0", "-3", "1000001", "9" * 30, "2k", "1.5", ""])
def test_init_refuses_a_number_of_phones_that_cannot_be(devices: str, app: Path) -> None:
    code, out, err = command(app, "init", f"--devices={devices}")
    assert (code, out) == (2, "")
    assert "--devices" in err
    assert not (app / "otagate.yml").exists()
    assert not (app / ".otagate").exists()
