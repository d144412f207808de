"""A release as the payload that is signed: an in-toto statement. Pure.

The shape of the predicate (all keys always there, those marked ? may be null)::

    {"app": str, "version": str, "serial": int, "created": instant, "expires"?: instant, "commit"?: str,
     "channels": [str], "native": {"min"?: str, "max"?: str},
     "bundle": {"archive": hex, "archiveSize": int, "content": hex, "compressor": str,
                "files": [{"path": str, "size": int, "sha256": hex}]},
     "sealed": {"format": str, "blob": hex, "size": int, "sessionKey"?: str, "checksumHex"?: str, "checksumBase64"?: str,
                "keyId"?: str, "iv"?: str, "wrappedKey"?: str, "additionalData"?: str},
     "provenance": SLSA v1 provenance predicate}

Instants are RFC 3339 in UTC, digests SHA-256 in hex, sizes bytes. Fields that a reader does not know are let through.

**Source:** in-toto attestation framework, spec/v1/statement.md; the media type is that of spec/v1/envelope.md.
"""

from __future__ import annotations

from typing import Any

from otagate import _canonical, _clock
from otagate._fields import Fields
from otagate._text import harmless
from otagate.errors import VerificationError
from otagate.model import AppId, Bundle, ChannelName, Digest, FileEntry, Release, Sealed, Version

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://otagate.dev/release/v1"


def to_statement(release: Release) -> bytes:
    """Write a release as canonical JSON; the same release gives the same bytes.

    Raises:
        ValueError: ``provenance`` holds what canonical JSON cannot (a float, a lone surrogate).
    """
    return _canonical.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": _subjects(release),
            "predicateType": PREDICATE_TYPE,
            "predicate": _predicate(release),
        }
    )


def from_statement(payload: bytes, *, subject: str) -> Release:
    """Read a release from a payload whose signature was verified.

    Args:
        payload: What :func:`otagate.seal.dsse.verify_envelope` gave.
        subject: What is being read, for messages.

    Raises:
        VerificationError: A field is missing, of the wrong type or holds what the model refuses; or the subjects of the
            statement are not the files that its predicate describes.
    """
    try:
        value = _canonical.loads(payload)
    except ValueError as error:
        raise VerificationError(
            "the release statement is damaged", subject, expected="strict JSON", found=harmless(str(error))
        ) from error
    statement = Fields(value, "statement", subject)
    statement.exactly("_type", STATEMENT_TYPE)
    statement.exactly("predicateType", PREDICATE_TYPE)
    release = _release(statement.object("predicate"))
    if statement.list("subject") != _subjects(release):
        raise VerificationError(
            "the release statement contradicts itself",
            subject,
            expected="the clear and the sealed zip of the predicate as 'subject'",
            found="other names or digests",
        )
    return release


def _subjects(release: Release) -> list[dict[str, Any]]:
    stem = f"{release.app}-{release.version}"
    return [
        {"name": f"{stem}.zip", "digest": {"sha256": release.bundle.archive.hex}},
        {"name": f"{stem}.sealed.zip", "digest": {"sha256": release.sealed.blob.hex}},
    ]


def _predicate(release: Release) -> dict[str, Any]:
    return {
        "app": release.app.value,
        "version": release.version.value,
        "serial": release.serial,
        "created": _clock.to_text(release.created),
        "expires": None if release.expires is None else _clock.to_text(release.expires),
        "commit": release.commit,
        "channels": [channel.value for channel in release.channels],
        "native": {"min": release.native_min, "max": release.native_max},
        "bundle": _bundle(release.bundle),
        "sealed": _sealed(release.sealed),
        "provenance": release.provenance,
    }


def _bundle(bundle: Bundle) -> dict[str, Any]:
    return {
        "archive": bundle.archive.hex,
        "archiveSize": bundle.archive_size,
        "content": bundle.content.hex,
        "compressor": bundle.compressor,
        "files": [{"path": file.path, "size": file.size, "sha256": file.digest.hex} for file in bundle.files],
    }


def _sealed(sealed: Sealed) -> dict[str, Any]:
    return {
        "format": sealed.format,
        "blob": sealed.blob.hex,
        "size": sealed.size,
        "sessionKey": sealed.session_key,
        "checksumHex": sealed.checksum_hex,
        "checksumBase64": sealed.checksum_base64,
        "keyId": sealed.key_id,
        "iv": sealed.iv,
        "wrappedKey": sealed.wrapped_key,
        "additionalData": sealed.additional_data,
    }


def _release(fields: Fields) -> Release:
    native = fields.object("native")
    return Release(
        app=fields.made("app", AppId),
        version=fields.made("version", Version),
        serial=fields.integer("serial"),
        bundle=_read_bundle(fields.object("bundle")),
        sealed=_read_sealed(fields.object("sealed")),
        created=fields.made("created", _clock.from_text),
        expires=fields.made_or_none("expires", _clock.from_text),
        commit=fields.text_or_none("commit"),
        channels=fields.each("channels", ChannelName),
        native_min=native.text_or_none("min"),
        native_max=native.text_or_none("max"),
        provenance=fields.object("provenance").value,
    )


def _read_bundle(fields: Fields) -> Bundle:
    return Bundle(
        archive=fields.made("archive", Digest),
        archive_size=fields.integer("archiveSize"),
        files=tuple(
            FileEntry(file.text("path"), file.integer("size"), file.made("sha256", Digest)) for file in fields.objects("files")
        ),
        content=fields.made("content", Digest),
        compressor=fields.text("compressor"),
    )


def _read_sealed(fields: Fields) -> Sealed:
    return Sealed(
        format=fields.text("format"),
        blob=fields.made("blob", Digest),
        size=fields.integer("size"),
        session_key=fields.text_or_none("sessionKey"),
        checksum_hex=fields.text_or_none("checksumHex"),
        checksum_base64=fields.text_or_none("checksumBase64"),
        key_id=fields.text_or_none("keyId"),
        iv=fields.text_or_none("iv"),
        wrapped_key=fields.text_or_none("wrappedKey"),
        additional_data=fields.text_or_none("additionalData"),
    )
