"""The installed command: from an empty folder to a release, what doctor says on the way; and that it touches nothing it should not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.test_dry_run import tree
from support import sweeper
from support.shop import Said, Shop, open_shop

pytestmark = pytest.mark.e2e

OTAGATE = Path(sys.executable).parent / "otagate"


def installed(folder: Path, *argv: str, **environ: str) -> Said:
    whole = {"PATH": os.environ["PATH"], "HOME": str(folder), "USER": "tester", **environ}
    done = subprocess.run([OTAGATE, *argv], cwd=folder, env=whole, capture_output=True, text=True, timeout=60, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def codes(said: Said) -> set[str]:
    found: dict[str, Any] = json.loads(said.out)
    return {problem["code"] for check in found["checks"] for problem in check["problems"]}


def configured(folder: Path) -> None:
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text("<script>notifyAppReady()</script>")
    (folder / "capacitor.config.json").write_text('{"appId": "com.example.app", "webDir": "dist"}')
    package = {"name": "app", "version": "1.0.0", "dependencies": {"@capgo/capacitor-updater": "8.51.23"}}
    (folder / "package.json").write_text(json.dumps(package))


def test_what_doctor_names_is_mended_by_what_it_names(tmp_path: Path) -> None:
    configured(tmp_path)
    first = installed(tmp_path, "doctor", "--json")
    assert (first.code, codes(first)) == (2, {"policy.missing"})
    problem = next(problem for check in json.loads(first.out)["checks"] for problem in check["problems"])
    for command in problem["commands"]:
        assert command.split()[0] == "otagate"
        assert installed(tmp_path, *command.split()[1:]).code == 0
    second = installed(tmp_path, "doctor", "--json")
    assert (second.code, codes(second)) == (0, set()), second.out


def test_a_key_that_others_can_read_is_mended_by_the_command(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app", published=False)
    shop.path(".otagate/keys/signing.pem").chmod(0o644)
    said = installed(shop.folder, "doctor", "--json")
    commands = [c for check in json.loads(said.out)["checks"] for problem in check["problems"] for c in problem["commands"]]
    (command,) = [command for command in commands if command.startswith("chmod")]
    subprocess.run(command.split(), check=True)
    assert "key.readable" not in codes(installed(shop.folder, "doctor", "--json"))


@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_read_only_touches_nothing(output: str, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app")
    before = tree(shop.folder)
    said = installed(shop.folder, "doctor", "--read-only", "--format", output)
    assert said.out
    assert tree(shop.folder) == before


def test_trying_the_store_changes_nothing_that_was_there(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app")
    before = {path: path.read_bytes() for path in shop.path(".otagate/store").rglob("*") if path.is_file()}
    assert "ok" in installed(shop.folder, "doctor").out
    after = {path: path.read_bytes() for path in shop.path(".otagate/store").rglob("*") if path.is_file()}
    assert {path: body for path, body in after.items() if ".locks" not in path.parts} == {
        path: body for path, body in before.items() if ".locks" not in path.parts
    }


def test_a_pointer_that_was_tampered_with_ends_with_3(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app")
    (pointer,) = shop.path(".otagate/store").glob("apps/*/channels/live.json")
    pointer.write_text(pointer.read_text().replace('"sig":"', '"sig":"AAAA'))
    said = installed(shop.folder, "doctor", "--json")
    assert (said.code, "pointer.invalid" in codes(said)) == (3, True)


def spoiled(shop: Shop) -> None:
    """Make every key wrong in its own way, so that messages have every reason to quote them."""
    encryption = shop.path(".otagate/keys/encryption.pem")
    encryption.write_text(encryption.read_text().replace("A", "B", 40))
    shop.edit("otagate.yml", "file:.otagate/keys/signing.pem", "env:OTAGATE_SIGNING_KEY")


def test_no_secret_comes_out(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app")
    keys = {name: shop.path(f".otagate/keys/{name}").read_text() for name in ("encryption.pem", "signing.pem")}
    secrets = [sweeper.key(name, pem) for name, pem in keys.items()]
    said = [installed(shop.folder, "doctor"), installed(shop.folder, "doctor", "--json")]
    spoiled(shop)
    half = keys["signing.pem"].replace("-----END", "----END")
    said += [installed(shop.folder, "doctor", *argv, OTAGATE_SIGNING_KEY=half) for argv in ((), ("--json",))]
    texts = {
        f"{name} {at}": text.encode() for at, one in enumerate(said) for name, text in (("out", one.out), ("err", one.err))
    }
    assert sweeper.sweep(secrets, texts, [], frozenset()) == []


def test_a_cloud_that_is_not_installed_or_known_is_one_of_several_checks(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app", published=False)
    shop.edit("otagate.yml", "storage: file:.otagate/store", "storage: s3://acme-updates?region=eu-west-1&identity=oidc")
    said = installed(shop.folder, "doctor", "--json")
    assert (said.code, "identity.none" in codes(said)) == (2, True)
    found = {check["name"]: check["status"] for check in json.loads(said.out)["checks"]}
    assert (found["storage"], found["ledger"], found["trusted keys"]) == ("not checked", "not checked", "ok")
