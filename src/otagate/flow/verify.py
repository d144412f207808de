"""Check a release offline: who signed it, what it says, and whether the files are those that it names.

Every check that was made is reported with its result, and so is every one that could not be made. Nothing is opened before the
signature holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from otagate import _clock
from otagate._fs import scratch_folder, translate
from otagate._text import harmless, size
from otagate.bundle.listing import content_digest
from otagate.errors import VerificationError
from otagate.flow.checks import Check, CheckResult, Opening, Report, failed
from otagate.model import AppId, Digest, FileEntry, Release
from otagate.seal.dsse import verify_envelope
from otagate.seal.statement import PAYLOAD_TYPE, from_statement
from otagate.seal.trust import TrustedKeys
from otagate.store.interface import MAX_DOCUMENT_BYTES

__all__ = ["Check", "CheckResult", "Opening", "Report", "verify_envelope_file", "verify_files", "verify_release"]

_CHUNK = 1024 * 1024


def verify_files(
    statement: Path,
    bundle: Path | None,
    *,
    trusted: TrustedKeys,
    now: datetime,
    app: AppId | None = None,
    opening: Opening | None = None,
) -> Report:
    """Check a release statement in a file, and the zip that goes with it.

    Args:
        statement: The signed envelope.
        bundle: The sealed or the clear zip, or None.
        trusted: Whose signatures count.
        now: For the expiry.
        app: Which app it must be of, or None: any.
        opening: Keys for looking into a sealed zip.

    Raises:
        NotFoundError, AccessError, UnavailableError, UsageError: A file cannot be read.
        VerificationError: ``statement`` is larger than any statement is.
        KeyMaterialError: A key of ``opening`` is not usable.
    """
    subject, envelope = harmless(str(statement), 400), _envelope(statement)
    return verify_release(envelope, bundle, subject=subject, trusted=trusted, now=now, app=app, opening=opening)


def verify_envelope_file(path: Path, payload_type: str, *, trusted: TrustedKeys) -> Report:
    """Check the signature of a file that is no release statement, such as `otagate sign --type` makes.

    Raises:
        NotFoundError, AccessError, UnavailableError, UsageError: The file cannot be read.
        VerificationError: It is larger than any envelope is.
    """
    subject = harmless(str(path), 400)
    try:
        payload = verify_envelope(_envelope(path), trusted, payload_type, subject=subject)
    except VerificationError as error:
        return Report(subject, (failed("signature", error),))
    detail = f"{size(len(payload))} of {harmless(payload_type)}, {Digest.of(payload)}"
    return Report(subject, (Check("signature", CheckResult.HOLDS, detail),))


def _envelope(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            envelope = stream.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise translate(error, "the statement cannot be read", path) from error
    if len(envelope) > MAX_DOCUMENT_BYTES:
        expected, subject = f"at most {size(MAX_DOCUMENT_BYTES)}", harmless(str(path), 400)
        raise VerificationError("this is too large for a signed envelope", subject, expected=expected)
    return envelope


def verify_release(
    envelope: bytes,
    bundle: Path | None,
    *,
    subject: str,
    trusted: TrustedKeys,
    now: datetime,
    app: AppId | None = None,
    opening: Opening | None = None,
) -> Report:
    """Check a release statement that was read already; as :func:`verify_files`."""
    try:
        payload = verify_envelope(envelope, trusted, PAYLOAD_TYPE, subject=subject)
    except VerificationError as error:
        later = Check("all others", CheckResult.NOT_MADE, "what the statement says is not to be believed")
        return Report(subject, (failed("signature", error), later))
    keys = ", ".join(key.key_id for key in trusted.keys)
    checks = [Check("signature", CheckResult.HOLDS, f"signed by a trusted key (trusted: {keys})")]
    try:
        release = from_statement(payload, subject=subject)
    except VerificationError as error:
        return Report(subject, (*checks, failed("statement", error)))
    checks.append(Check("statement", CheckResult.HOLDS, f"{release.app} {release.version}, serial {release.serial}"))
    checks += [_app(release, app), _expiry(release, now), _file_list(release)]
    checks += _zip(release, bundle, opening or Opening())
    return Report(subject, tuple(checks), release)


def _app(release: Release, app: AppId | None) -> Check:
    if app is None:
        return Check("app", CheckResult.NOT_MADE, "no app was named: give --app, or a policy")
    is_same = release.app == app
    detail = f"it is of {release.app}" if is_same else f"expected {app}, found {release.app}"
    return Check("app", CheckResult.HOLDS if is_same else CheckResult.FAILS, detail)


def _expiry(release: Release, now: datetime) -> Check:
    if release.expires is None:
        return Check("expiry", CheckResult.HOLDS, "it never expires")
    is_over = release.expires <= now
    detail = f"{'expired' if is_over else 'valid until'} {_clock.to_text(release.expires)}"
    return Check("expiry", CheckResult.FAILS if is_over else CheckResult.HOLDS, detail)


def _file_list(release: Release) -> Check:
    files = release.bundle.files
    found = content_digest(files)
    if found != release.bundle.content:
        return Check("file list", CheckResult.FAILS, f"expected {release.bundle.content}, found {found}")
    return Check("file list", CheckResult.HOLDS, f"{len(files)} files, {found}")


def _zip(release: Release, path: Path | None, opening: Opening) -> Iterator[Check]:
    """Check the file that was given, as far as keys allow."""
    from otagate.flow.verify_seal import check_seal, opened  # noqa: PLC0415 - cryptography is for those who need it

    yield check_seal(release, opening)
    if path is None:
        yield Check("bundle", CheckResult.NOT_MADE, "no zip was given")
        return
    bundle = release.bundle
    found = _digest(path)
    known = {(bundle.archive, bundle.archive_size): "clear", (release.sealed.blob, release.sealed.size): "sealed"}
    kind = known.get(found) if release.sealed.format != "none" else "clear" if found in known else None
    if kind is None:
        expected = f"{release.sealed.blob} (sealed) or {bundle.archive} (clear)"
        yield Check("bundle", CheckResult.FAILS, f"expected {expected}, found {found[0]}, {size(found[1])}")
        return
    yield Check("bundle", CheckResult.HOLDS, f"the {kind} zip, {found[0]}, {size(found[1])}")
    if kind == "clear":
        yield _tried("files", lambda: _same_files(path, bundle.files))
        return
    with scratch_folder() as folder:
        clear = folder / "clear.zip"
        opens = _tried("opens", lambda: opened(path, clear, release, opening))
        yield opens
        if opens.result is CheckResult.HOLDS:
            yield _tried("files", lambda: _same_files(clear, bundle.files))


def _digest(path: Path) -> tuple[Digest, int]:
    hasher, count = hashlib.sha256(), 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                count += len(chunk)
    except OSError as error:
        raise translate(error, "the bundle cannot be read", path) from error
    return Digest(hasher.hexdigest()), count


def _same_files(path: Path, expected: tuple[FileEntry, ...]) -> str:
    from otagate.bundle.inspect import read_archive  # noqa: PLC0415 - only who gives a zip pays for it

    found = read_archive(path)
    if set(found) != set(expected) or len(found) != len(expected):
        names = sorted({file.path for file in set(found) ^ set(expected)})
        shown = ", ".join(harmless(name, 80) for name in names[:5])
        raise VerificationError(
            "the zip holds other files than the statement", expected="the same", found=f"differing: {shown}"
        )
    return f"{len(found)} files, each with the size and digest of the statement"


def _tried(name: str, action: Callable[[], str | None]) -> Check:
    try:
        detail = action()
    except VerificationError as error:
        return failed(name, error)
    if detail is None:
        return Check(name, CheckResult.NOT_MADE, "the key is missing: give --public-key (capgo) or --key (aes-256-gcm)")
    return Check(name, CheckResult.HOLDS, detail)
