"""``bundle --sealed``: one command from a folder to what phones get; and other small promises of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otagate.seal.capgo_open import open_capgo
from support.shop import Shop, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return open_shop(tmp_path / "shop", published=False)


def test_a_folder_is_packed_and_sealed_in_one_go(shop: Shop, tmp_path: Path) -> None:
    said = shop.run("bundle", "-o", "app.zip", "--sealed", "app.sealed", "--manifest", "files.json", "--format", "json")
    assert said.code == 0, said.err
    data = json.loads(said.out)
    sealed = data["sealed"]
    public = shop.path(".otagate/keys/encryption.pub.pem").read_text()
    for name in ("checksum_hex", "checksum_base64"):
        opened = tmp_path / name
        open_capgo(shop.path("app.sealed"), opened, public_pem=public, session_key=sealed["session_key"], checksum=sealed[name])
        assert opened.read_bytes() == shop.path("app.zip").read_bytes()
    files = json.loads(shop.path("files.json").read_bytes())
    assert (files["archive"], [file["path"] for file in files["files"]]) == (data["archive"], ["app.js", "index.html"])


def test_it_gives_the_same_zip_as_bundle_alone(shop: Shop) -> None:
    assert shop.run("bundle", "-o", "a.zip").code == 0
    assert shop.run("bundle", "-o", "b.zip", "--sealed", "b.sealed").code == 0
    assert shop.path("a.zip").read_bytes() == shop.path("b.zip").read_bytes()


def test_it_needs_no_policy_when_folder_and_key_are_named(shop: Shop) -> None:
    shop.path("otagate.yml").unlink()
    key = "file:.otagate/keys/encryption.pem"
    assert shop.run("bundle", "dist", "-o", "app.zip", "--sealed", "app.sealed", "--key", key).code == 0
    said = shop.run("bundle", "dist", "-o", "app.zip", "--sealed", "other.sealed")
    assert (said.code, "OTAGATE_ENCRYPTION_KEY" in said.err) == (2, True)
    assert not shop.path("other.sealed").exists()


def test_an_aes_seal_binds_a_version(shop: Shop) -> None:
    shop.edit("otagate.yml", "format: capgo", "format: aes-256-gcm\n  recipients: [file:.otagate/keys/encryption.pub.pem]")
    shop.edit("otagate.yml", "  encryption_key: file:.otagate/keys/encryption.pem\n", "")
    said = shop.run("bundle", "-o", "app.zip", "--sealed", "app.sealed")
    assert (said.code, "--version" in said.err) == (2, True), said.err
    said = shop.run("bundle", "-o", "app.zip", "--sealed", "app.sealed", "--version", "1.0.0", "--format", "json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["sealed"]["format"] == "aes-256-gcm"


def test_a_dry_run_writes_nothing(shop: Shop) -> None:
    said = shop.run("bundle", "-o", "app.zip", "--sealed", "app.sealed", "--dry-run")
    assert (said.code, "app.sealed" in said.out) == (0, True)
    assert not shop.path("app.zip").exists()


def test_a_list_that_cannot_be_written_is_said(shop: Shop) -> None:
    shop.path("closed").mkdir()
    said = shop.run("bundle", "-o", "app.zip", "--manifest", "closed")
    assert (said.code, "closed" in said.err) == (2, True)


def test_plan_says_what_is_unwise_and_status_does_not(shop: Shop) -> None:
    shop.edit("otagate.yml", "versioning: package", "versioning: 1.0.0")
    assert "warning: " in shop.run("plan").err
    assert "warning: " not in shop.run("status").err


def test_status_points_out_a_pointer_that_will_expire_and_reconcile_signs_it_anew(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    shop.edit(
        "otagate.yml",
        "  keys: [file:.otagate/keys/signing.pub.pem]",
        "  keys: [file:.otagate/keys/signing.pub.pem]\n  pointer_ttl: 2d",
    )
    pointer = shop.path(".otagate/store/apps/com.example.shop/channels/live.json")
    before = pointer.read_bytes()
    assert shop.run("reconcile").code == 0
    assert pointer.read_bytes() == before, "it was signed for thirty days, and just now"
    assert shop.run("promote", "--channel", "qa", "--release", "1.0.0").code == 0
    said = shop.run("status")
    assert "the pointer of qa expires" in said.out
    assert "the pointer of live expires" not in said.out
