from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import KeyMaterialError, NotFoundError, UsageError, VerificationError
from otagate.flow.verify import CheckResult, Opening, Report, verify_envelope_file, verify_files
from otagate.model import AppId, Digest, FileEntry
from otagate.seal.dsse import sign_envelope
from support.keys import golden, key, signer, trusting
from support.releases import CREATED, content_of
from support.shipments import Shipment, make_zip, ship

APP = AppId("com.example.app")
KEYS = {
    "capgo": Opening(public_pem=golden().public_pem),
    "aes-256-gcm": Opening(private_key=key("p256")),
    "none": Opening(),
}
HOLDS, FAILS, NOT_MADE = CheckResult.HOLDS, CheckResult.FAILS, CheckResult.NOT_MADE


def _verify(made: Shipment, bundle: Path | None, **changes: Any) -> Report:
    given: dict[str, Any] = {
        "trusted": trusting("ed25519"),
        "now": CREATED,
        "app": APP,
        "opening": KEYS[made.release.sealed.format],
    }
    return verify_files(made.statement, bundle, **(given | changes))


def _results(report: Report) -> dict[str, CheckResult]:
    return {check.name: check.result for check in report.checks}


def _failing(report: Report) -> dict[str, str]:
    return {check.name: check.detail for check in report.checks if check.result is FAILS}


ALL = ["signature", "statement", "app", "expiry", "file list", "seal", "bundle"]


@pytest.mark.parametrize("seal", ["capgo", "aes-256-gcm"])
def test_a_good_sealed_release_passes_every_check(tmp_path: Path, seal: str) -> None:
    made = ship(tmp_path, seal)
    report = _verify(made, made.sealed)
    assert _results(report) == dict.fromkeys([*ALL, "opens", "files"], HOLDS)
    assert report.holds
    assert report.release == made.release


@pytest.mark.parametrize("seal", ["capgo", "aes-256-gcm", "none"])
def test_a_good_clear_zip_passes_every_check(tmp_path: Path, seal: str) -> None:
    made = ship(tmp_path, seal)
    assert _results(_verify(made, made.clear)) == dict.fromkeys([*ALL, "files"], HOLDS)


def test_nothing_is_written_beside_the_files(tmp_path: Path) -> None:
    made = ship(tmp_path)
    before = sorted(tmp_path.iterdir())
    _verify(made, made.sealed)
    assert sorted(tmp_path.iterdir()) == before


def test_what_could_not_be_checked_is_said(tmp_path: Path) -> None:
    made = ship(tmp_path)
    report = _verify(made, made.sealed, app=None, opening=Opening())
    assert _results(report) == dict.fromkeys(ALL, HOLDS) | {"app": NOT_MADE, "seal": NOT_MADE, "opens": NOT_MADE}
    assert report.holds


def test_a_release_without_its_zip(tmp_path: Path) -> None:
    report = _verify(ship(tmp_path), None)
    assert _results(report)["bundle"] is NOT_MADE
    assert report.holds


def test_a_gcm_seal_without_the_private_key_is_not_opened(tmp_path: Path) -> None:
    made = ship(tmp_path, "aes-256-gcm")
    report = _verify(made, made.sealed, opening=Opening())
    assert _results(report) == dict.fromkeys(ALL, HOLDS) | {"opens": NOT_MADE}


def test_nothing_is_believed_without_a_trusted_signature(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed("ed25519_other")
    report = _verify(made, made.sealed)
    assert _results(report) == {"signature": FAILS, "all others": NOT_MADE}
    assert report.release is None
    assert not report.holds


def test_a_signed_text_that_is_no_release(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.statement.write_bytes(sign_envelope("application/vnd.in-toto+json", b"{}", signer()))
    report = _verify(made, made.sealed)
    assert _results(report) == {"signature": HOLDS, "statement": FAILS}
    assert "_type" in _failing(report)["statement"]


def test_another_app(tmp_path: Path) -> None:
    report = _verify(ship(tmp_path), None, app=AppId("com.example.other"))
    assert _failing(report) == {"app": "expected com.example.other, found com.example.app"}


@pytest.mark.parametrize(("later", "result"), [(timedelta(0), FAILS), (timedelta(seconds=-1), HOLDS), (timedelta(1), FAILS)])
def test_expiry_is_judged_at_the_given_instant(tmp_path: Path, later: timedelta, result: CheckResult) -> None:
    made = ship(tmp_path)
    assert made.release.expires is not None
    assert _results(_verify(made, None, now=made.release.expires + later))["expiry"] is result


def test_a_release_may_live_for_ever(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(expires=None)
    assert _results(_verify(made, None, now=CREATED + timedelta(days=9999)))["expiry"] is HOLDS


def test_a_file_list_that_is_not_that_of_the_bundle(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.signed(bundle=replace(made.release.bundle, files=made.release.bundle.files[:1]))
    assert set(_failing(_verify(made, None))) == {"file list"}


@pytest.mark.parametrize("which", ["sealed", "clear"])
def test_a_tampered_zip(tmp_path: Path, which: str) -> None:
    made = ship(tmp_path)
    path: Path = getattr(made, which)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    report = _verify(made, path)
    assert set(_failing(report)) == {"bundle"}
    assert "opens" not in _results(report)


def test_a_zip_with_other_files_than_signed(tmp_path: Path) -> None:
    made = ship(tmp_path)
    files = (*made.release.bundle.files, FileEntry("more.js", 1, Digest.of(b"x")))
    made.signed(bundle=replace(made.release.bundle, files=files, content=content_of(files)))
    assert _failing(_verify(made, made.clear)) == {
        "files": "the zip holds other files than the statement: expected the same, found differing: more.js"
    }


def test_a_signed_zip_that_is_no_proper_zip(tmp_path: Path) -> None:
    made = ship(tmp_path)
    made.clear.write_bytes(made.clear.read_bytes() + b"tail")
    bundle = replace(made.release.bundle, archive=Digest.of(made.clear.read_bytes()), archive_size=made.clear.stat().st_size)
    made.signed(
        bundle=bundle, sealed=replace(made.release.sealed, format="none", blob=bundle.archive, size=bundle.archive_size)
    )
    assert set(_failing(_verify(made, made.clear))) == {"files"}


def test_a_checksum_of_another_zip(tmp_path: Path) -> None:
    made = ship(tmp_path)
    (tmp_path / "other").mkdir()
    other = make_zip(tmp_path / "other" / "clear.zip", index__html=b"other")
    archive = Digest.of(other.read_bytes())
    made.signed(bundle=replace(made.release.bundle, archive=archive, archive_size=other.stat().st_size))
    assert set(_failing(_verify(made, made.sealed))) == {"seal", "opens"}


@pytest.mark.parametrize(
    "changes", [{"checksum_hex": None}, {"checksum_base64": "AAAA"}, {"key_id": None}, {"key_id": "x"}, {"format": "rot13"}]
)
def test_a_capgo_seal_that_contradicts_itself(tmp_path: Path, changes: dict[str, Any]) -> None:
    made = ship(tmp_path)
    made.signed(sealed=replace(made.release.sealed, **changes))
    report = _verify(made, None, opening=KEYS["capgo"])
    assert set(_failing(report)) == {"seal"}


def test_another_public_key_is_not_the_key_of_the_seal(tmp_path: Path) -> None:
    made = ship(tmp_path)
    report = _verify(made, made.sealed, opening=Opening(public_pem=key("rsa2048_public")))
    assert set(_failing(report)) == {"seal", "opens"}


def test_a_gcm_seal_of_another_release(tmp_path: Path) -> None:
    made = ship(tmp_path, "aes-256-gcm")
    made.signed(app=AppId("com.example.other"))
    assert set(_failing(_verify(made, made.sealed, app=None))) == {"seal"}


def test_a_gcm_seal_around_another_zip(tmp_path: Path) -> None:
    made = ship(tmp_path, "aes-256-gcm")
    other = replace(made.release.bundle, archive=Digest.of(b"other"))
    made.signed(bundle=other)
    assert "another zip is inside" in _failing(_verify(made, made.sealed))["opens"]


def test_an_unsealed_release_whose_blob_is_not_its_zip(tmp_path: Path) -> None:
    made = ship(tmp_path, "none")
    made.signed(sealed=replace(made.release.sealed, blob=Digest.of(b"x")))
    assert set(_failing(_verify(made, None))) == {"seal"}


def test_an_unusable_key_is_an_error_not_a_check(tmp_path: Path) -> None:
    with pytest.raises(KeyMaterialError):
        _verify(ship(tmp_path), None, opening=Opening(public_pem=key("rsa4096_public")))


def test_missing_files_are_errors_not_checks(tmp_path: Path) -> None:
    made = ship(tmp_path)
    with pytest.raises(NotFoundError):
        _verify(made, tmp_path / "none.zip")
    made.statement.unlink()
    with pytest.raises(NotFoundError):
        _verify(made, None)


def test_a_folder_is_no_statement(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        verify_files(tmp_path, None, trusted=trusting("ed25519"), now=CREATED)


def test_endless_statements_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as stream:
        stream.truncate(17 * 1024 * 1024)
    with pytest.raises(VerificationError, match="too large"):
        verify_files(tmp_path / "big", None, trusted=trusting("ed25519"), now=CREATED)


def test_an_opening_shows_no_private_key() -> None:
    assert "PRIVATE" not in repr(KEYS["aes-256-gcm"])


@pytest.mark.parametrize(("kind", "holds"), [("text/plain", True), ("text/html", False)])
def test_any_signed_file(tmp_path: Path, kind: str, holds: bool) -> None:
    (tmp_path / "f").write_bytes(sign_envelope("text/plain", b"hello", signer()))
    report = verify_envelope_file(tmp_path / "f", kind, trusted=trusting("ed25519"))
    assert report.holds is holds
    assert report.release is None
