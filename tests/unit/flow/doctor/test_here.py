"""What doctor finds on the machine, in the policy, in the app and among the keys; each by its code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otagate.seal.loading import load_rsa_private, rsa_public_pem_pkcs1
from support.keys import key
from support.shop import Said, Shop, open_shop

PLUGIN = "@capgo/capacitor-updater"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = open_shop(tmp_path / "app", published=False)
    configure(made, public=public_of(made), plugin="8.51.23")
    return made


def public_of(shop: Shop) -> str:
    return shop.path(".otagate/keys/encryption.pub.pem").read_text()


def configure(shop: Shop, *, public: str | None, plugin: str | None, app: str = "com.example.shop") -> None:
    updater = {} if public is None else {"publicKey": public}
    config = {"appId": app, "webDir": "dist", "plugins": {"CapacitorUpdater": updater}}
    shop.path("capacitor.config.json").write_text(json.dumps(config))
    package: dict[str, Any] = {"name": "shop", "version": "1.0.0"}
    if plugin is not None:
        package["dependencies"] = {PLUGIN: plugin}
    shop.path("package.json").write_text(json.dumps(package))


def found(said: Said) -> dict[str, dict[str, Any]]:
    return {problem["code"]: problem for check in json.loads(said.out)["checks"] for problem in check["problems"]}


def check(said: Said, name: str) -> dict[str, Any]:
    return next(one for one in json.loads(said.out)["checks"] if one["name"] == name)


def test_an_app_that_is_well_has_no_problem(shop: Shop) -> None:
    said = shop.run("doctor", "--json")
    assert (said.code, found(said)) == (0, {})
    data = json.loads(said.out)
    assert (data["schema"], data["ok"]) == ("otagate/doctor/v1", True)
    assert data["counts"]["not checked"] == 0
    assert [one["group"] for one in data["checks"]] == sorted(
        (one["group"] for one in data["checks"]),
        key=["machine", "policy", "app", "keys", "identity", "stores", "gates", "pointers", "ledger", "rollouts"].index,
    )


def test_without_a_policy_everything_else_is_looked_at_all_the_same(tmp_path: Path) -> None:
    said = Shop(tmp_path).run("doctor", "--json")
    assert said.code == 2
    assert found(said)["policy.missing"]["commands"] == ["otagate init"]
    assert {"capacitor.config-missing", "capacitor.plugin-missing"} <= set(found(said))
    groups = {one["group"]: one for one in json.loads(said.out)["checks"]}
    assert {groups[name]["status"] for name in ("keys", "stores", "pointers", "ledger", "rollouts")} == {"not checked"}
    assert check(said, "otagate")["status"] == "ok"


def broken(*edits: tuple[str, str]) -> Callable[[Shop], None]:
    def edit(shop: Shop) -> None:
        for old, new in edits:
            shop.edit("otagate.yml", old, new)

    return edit


def unsealed(shop: Shop) -> None:
    shop.edit("otagate.yml", "format: capgo\n  encryption_key: file:.otagate/keys/encryption.pem", "format: none")


CASES: dict[str, tuple[Callable[[Shop], object], str, int]] = {
    "a word that there is not": (broken(("build:", "biuld:")), "policy.invalid", 2),
    "no yaml": (broken(("app: {", "app: {{")), "policy.invalid", 2),
    "a warning": (
        broken(("storage: file:.otagate/store", "storage: file:.otagate/store\ncdn: {cloudfront: E1A2B3C4D5E6F7}")),
        "policy.warning",
        0,
    ),
    "an app of another id": (
        lambda shop: configure(shop, public=public_of(shop), plugin="8.51.23", app="com.example.other"),
        "capacitor.app-id",
        0,
    ),
    "no plugin": (lambda shop: configure(shop, public=public_of(shop), plugin=None), "capacitor.plugin-missing", 0),
    "a plugin of the first seal": (
        lambda shop: configure(shop, public=public_of(shop), plugin="6.1.9"),
        "capacitor.plugin-old",
        2,
    ),
    "an old line": (lambda shop: configure(shop, public=public_of(shop), plugin="5.29.0"), "capacitor.plugin-old", 2),
    "a very old plugin": (lambda shop: configure(shop, public=public_of(shop), plugin="4.15.0"), "capacitor.plugin-old", 2),
    "the stray version 10": (lambda shop: configure(shop, public=public_of(shop), plugin="10.0.0"), "capacitor.plugin-old", 2),
    "no public key": (lambda shop: configure(shop, public=None, plugin="8.51.23"), "capacitor.public-key", 2),
    "another public key": (
        lambda shop: configure(shop, public=rsa_public_pem_pkcs1(load_rsa_private(key("rsa2048"), "k")), plugin="8.51.23"),
        "capacitor.public-key",
        2,
    ),
    "a public key in another form": (
        lambda shop: configure(shop, public=public_of(shop).replace("RSA PUBLIC", "PUBLIC"), plugin="8.51.23"),
        "capacitor.public-key",
        2,
    ),
    "a private key in the app": (
        lambda shop: configure(shop, public=key("rsa2048"), plugin="8.51.23"),
        "capacitor.public-key",
        2,
    ),
    "a public key and no seal": (unsealed, "capacitor.public-key", 2),
    "no signing key": (broken(("\n  signing_key: file:.otagate/keys/signing.pem", "")), "key.missing", 2),
    "a signing key that is not set": (broken(("file:.otagate/keys/signing.pem", "env:NOT_SET")), "key.missing", 2),
    "a signing key that is not there": (broken(("keys/signing.pem", "keys/gone.pem")), "key.missing", 2),
    "a signing key that is none": (lambda shop: shop.path(".otagate/keys/signing.pem").write_text("hello"), "key.invalid", 2),
    "a signing key of the wrong kind": (broken(("keys/signing.pem", "keys/encryption.pem")), "key.invalid", 2),
    "an encryption key that is not there": (lambda shop: shop.path(".otagate/keys/encryption.pem").unlink(), "key.missing", 2),
    "no encryption key": (broken(("\n  encryption_key: file:.otagate/keys/encryption.pem", "")), "key.missing", 2),
    "a key that others can read": (lambda shop: shop.path(".otagate/keys/signing.pem").chmod(0o640), "key.readable", 2),
    "a signing key that is not trusted": (
        lambda shop: (shop.path(".otagate/keys/signing.pem").write_text(key("ed25519")), None),
        "key.untrusted",
        2,
    ),
    "no trusted key": (broken(("trust:\n  keys: [file:.otagate/keys/signing.pub.pem]\n", "")), "key.untrusted", 2),
    "a trusted key that is none": (lambda shop: shop.path(".otagate/keys/signing.pub.pem").write_text("x"), "key.invalid", 2),
}


@pytest.mark.parametrize("name", CASES)
def test_each_problem_has_its_code_and_what_mends_it(name: str, shop: Shop) -> None:
    spoil, code, exit_code = CASES[name]
    spoil(shop)
    said = shop.run("doctor", "--json")
    problem = found(said)[code]
    assert said.code == exit_code
    assert problem["what"]
    assert problem["subject"]
    assert problem["fix"]
    text = shop.run("doctor")
    assert (text.code, code in text.out) == (exit_code, True)
    assert all(command in text.out for command in problem["commands"])
    assert "PRIVATE KEY" not in text.out + said.out


def test_a_readable_key_is_mended_by_the_command_that_is_shown(shop: Shop) -> None:
    path = shop.path(".otagate/keys/signing.pem")
    path.chmod(0o644)
    command = found(shop.run("doctor", "--json"))["key.readable"]["commands"][0]
    assert command == f"chmod 600 {path}"
    path.chmod(0o600)
    assert shop.run("doctor").code == 0


def test_all_lines_fit_a_terminal_and_markdown_has_the_commands_in_a_fence(shop: Shop) -> None:
    shop.path(".otagate/keys/signing.pem").unlink()
    configure(shop, public=None, plugin="10.0.0")
    said = shop.run("doctor")
    wide = [line for line in said.out.splitlines() if len(line) > 100 and not any(len(word) > 60 for word in line.split())]
    assert not wide
    assert "  error       plugin" in said.out
    assert f"    npm install --save-exact {PLUGIN}@8.51.23" in said.out
    written = shop.run("doctor", "--format", "markdown").out
    assert f"```sh\nnpm install --save-exact {PLUGIN}@8.51.23\n```" in written
    assert "3 errors" in said.out


@pytest.mark.parametrize("plugin", ["5.50.2", "6.2.0", "6.51.16", "7.0.0", "8.0.1"])
def test_every_plugin_that_opens_the_seal_is_good(plugin: str, shop: Shop) -> None:
    configure(shop, public=public_of(shop), plugin=plugin)
    said = shop.run("doctor", "--json")
    assert check(said, "plugin")["status"] == "ok"


def test_any_plugin_will_do_without_a_capgo_seal(shop: Shop) -> None:
    unsealed(shop)
    configure(shop, public=None, plugin="4.0.0")
    said = shop.run("doctor", "--json")
    assert (said.code, check(said, "plugin")["status"], check(said, "public key")["detail"]) == (
        0,
        "ok",
        "none, as the seal wants it",
    )


# --- configurations that are code -----------------------------------------------------------------------------------------------


def as_code(shop: Shop, text: str) -> None:
    shop.path("capacitor.config.json").unlink()
    shop.path("capacitor.config.ts").write_text(text)


def lines_of(public: str) -> str:
    return " +\n".join(f"'{line}\\n'" for line in public.splitlines())


def test_a_key_in_plain_code_is_found(shop: Shop) -> None:
    as_code(
        shop,
        f"export default {{appId: 'com.example.shop', plugins: {{CapacitorUpdater: {{publicKey: {lines_of(public_of(shop))}}}}}}}",
    )
    assert check(shop.run("doctor", "--json"), "public key")["status"] == "ok"


def test_another_key_in_plain_code_is_found(shop: Shop) -> None:
    other = rsa_public_pem_pkcs1(load_rsa_private(key("rsa2048"), "k"))
    as_code(shop, f"export default {{appId: 'com.example.shop', publicKey: `{other}`}}")
    assert "phones would refuse every update" in found(shop.run("doctor", "--json"))["capacitor.public-key"]["what"]


def test_code_that_must_be_run_is_not_judged(shop: Shop) -> None:
    as_code(shop, "export default {appId: 'com.example.shop', publicKey: readFileSync('key')}")
    said = shop.run("doctor", "--json")
    assert check(said, "public key")["status"] == "not checked"
    assert "without running it" in check(said, "public key")["detail"]


def test_code_without_any_key_has_none(shop: Shop) -> None:
    as_code(shop, "export default {appId: 'com.example.shop'}")
    assert "has no public key" in found(shop.run("doctor", "--json"))["capacitor.public-key"]["what"]


def test_a_configuration_that_cannot_be_read_is_said(shop: Shop) -> None:
    shop.path("capacitor.config.json").write_text('{"appId": "com.example.shop", "plugins": 7')
    shop.edit("otagate.yml", "app: {id: com.example.shop}", "app: {id: com.example.shop}")
    said = shop.run("doctor", "--json")
    assert check(said, "public key")["status"] == "not checked"
    shop.path("capacitor.config.json").write_bytes(b"\xff\xfe{")
    assert check(shop.run("doctor", "--json"), "public key")["status"] == "not checked"


def test_without_the_encryption_key_the_app_s_key_cannot_be_compared(shop: Shop) -> None:
    shop.path(".otagate/keys/encryption.pem").unlink()
    said = shop.run("doctor", "--json")
    assert check(said, "public key")["status"] == "not checked"
    assert "there is no key to compare it with" in check(said, "public key")["detail"]


def test_a_plugin_without_a_version_is_not_judged(shop: Shop) -> None:
    folder = shop.path(f"node_modules/{PLUGIN}")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"version": "next"}')
    assert check(shop.run("doctor", "--json"), "plugin")["status"] == "not checked"


# --- recipients, git and libraries ------------------------------------------------------------------------------------------------


def test_each_recipient_is_read(shop: Shop) -> None:
    shop.path("good.pem").write_text(key("p256_public"))
    shop.path("bad.pem").write_text("no key")
    shop.edit(
        "otagate.yml",
        "format: capgo\n  encryption_key: file:.otagate/keys/encryption.pem",
        "format: aes-256-gcm\n  recipients: [file:good.pem, file:bad.pem, file:gone.pem]",
    )
    configure(shop, public=None, plugin="8.51.23")
    said = shop.run("doctor", "--json")
    assert [check(said, f"seal.recipients[{at}]")["status"] for at in range(3)] == ["ok", "error", "error"]
    assert {"key.invalid", "key.missing"} <= set(found(said))


def test_git_is_looked_for_on_the_path(shop: Shop) -> None:
    said = shop.run("doctor", "--json", PATH="/nonexistent")
    assert (said.code, found(said)["git.missing"]["severity"]) == (0, "warning")
    assert check(shop.run("doctor", "--json"), "git")["detail"].startswith("main at ")


def test_a_git_that_hangs_up_is_said(shop: Shop, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho \"fatal: detected dubious ownership in repository at '/x'\" >&2\nexit 128\n")
    fake.chmod(0o755)
    said = shop.run("doctor", "--json", PATH=f"{fake.parent}:/usr/bin:/bin")
    assert "git.unusable" in found(said) or check(said, "git")["status"] == "ok"


def test_a_folder_without_a_commit_is_fine(tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text("version: 1\n")
    said = Shop(tmp_path).run("doctor", "--json")
    assert "no checkout with a commit" in check(said, "git")["detail"]
    assert "policy.invalid" in found(said)


@pytest.mark.parametrize(
    ("storage", "module", "command"),
    [
        ("s3://acme-updates?region=eu-west-1", "obstore", "pip install 'otagate[s3]'"),
        ("az://updates?account=acme", "obstore", "pip install 'otagate[azure]'"),
        ("gs://acme-updates", "google.auth", "pip install 'otagate[gcs]'"),
        ("file:store\ncdn: {cloudfront: E2ABCDEFGHIJKL}", "botocore", "pip install 'otagate[s3]'"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    storage: str, module: str, command: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    shop.edit("otagate.yml", "storage: file:.otagate/store", f"storage: {storage}")
    said = shop.run("doctor", "--json", AWS_EC2_METADATA_DISABLED="true")
    problem = found(said)["extra.missing"]
    assert (said.code, problem["commands"], module in problem["what"]) == (2, [command], True)


def test_a_policy_file_that_was_named_and_is_not_there(tmp_path: Path) -> None:
    said = Shop(tmp_path).run("doctor", "--json", "--policy", "elsewhere.yml")
    assert (said.code, "elsewhere.yml" in found(said)["policy.missing"]["subject"]) == (2, True)
