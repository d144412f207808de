"""Published releases: ``apps/<app>/releases/<version>.json``, a signed statement, and the sealed zip that it names.

Publishing goes blob first, read back and hashed, then statement; so a statement never names bytes that were not there. A
version is published once: the same files again change nothing, other files are a conflict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from otagate.errors import (
    ConflictError,
    KeyMaterialError,
    NotFoundError,
    VerificationError,
)
from otagate.model import AppId, Digest, Release, ReleaseRef, Sealed, Version
from otagate.release.asking import ask, raise_first
from otagate.release.difference import refuse_difference
from otagate.release.fitness import refuse_unpublishable
from otagate.release.mirroring import Parts, check_everywhere, complete, describe_lag, put_everywhere
from otagate.release.pruning import refuse_condemned
from otagate.release.sealed import check_sealed, check_there
from otagate.release.serial import next_serial
from otagate.seal.dsse import sign_envelope, verify_envelope
from otagate.seal.interface import Signer
from otagate.seal.statement import PAYLOAD_TYPE, from_statement, to_statement
from otagate.seal.trust import TrustedKeys
from otagate.store.interface import OnProgress, Store
from otagate.store.swap import swap


@dataclass(frozen=True, slots=True)
class PublishedRelease:
    """A release whose statement was verified.

    Attributes:
        release: What the statement says. Whether it has expired is for the caller to look at.
        ref: Its version, and the digest of ``envelope``.
        envelope: The signed statement as stored.
    """

    release: Release
    ref: ReleaseRef
    envelope: bytes


class Releases:
    """All releases of one app.

    Args:
        store: Where they are.
        app: Whose. A statement of another app is never accepted.
        trusted: Whose signatures count.
        signer: Signs new statements; None for reading only.
    """

    def __init__(self, store: Store, app: AppId, trusted: TrustedKeys, signer: Signer | None = None) -> None:
        self._store = store
        self._app = app
        self._trusted = trusted
        self._signer = signer

    def get(self, version: Version) -> PublishedRelease | None:
        """Read a release and verify its statement, or give None when that version was never published.

        Raises:
            VerificationError: The statement is not signed by a trusted key, or describes another app or version.
        """
        found = self._store.documents.read(self._key(version))
        return None if found is None else self._verified(found.body, version)

    def resolve(self, ref: ReleaseRef) -> PublishedRelease:
        """Give the release that a channel or a rollout names.

        Raises:
            NotFoundError: There is none of that version.
            VerificationError: The statement under that version is another one; and as :meth:`get`.
        """
        found = self.get(ref.version)
        if found is None:
            raise NotFoundError(
                "this version was never published, or its statement is gone",
                self._subject(ref.version),
                remedy="look at what there is: otagate status",
            )
        if found.ref != ref:
            raise VerificationError(
                "the statement of this release is not the one that was named",
                self._subject(ref.version),
                expected=str(ref.statement),
                found=str(found.ref.statement),
                remedy="find out who replaced it; serve another release meanwhile: otagate rollback",
            )
        return found

    def publish(
        self, release: Release, sealed_file: Path | None, now: datetime, on_progress: OnProgress | None = None
    ) -> PublishedRelease:
        """Publish a release: store its blob, read that back, then put the signed statement under its version.

        Run again after a crash at any point it ends in the same state. When the version is there already with the same
        files for the same devices, that release is given and nothing is written: a seal is different each time it is
        made, and the first one stands. Its blob is then read back; when it is gone and ``sealed_file`` is it, it is put back.

        Args:
            release: What to publish.
            sealed_file: The file that ``release.sealed`` describes; None when another release of the same bundle brought it
                to the store: then only its presence is looked at, and it is read back before a channel moves.
            now: The current instant; a release that has expired is refused.
            on_progress: Hears of what is sent.

        Raises:
            ConflictError: The version is taken by other files, or by the same ones for other devices or under another seal.
            KeyMaterialError: There is no key to sign with, or it is not a trusted one.
            VerificationError: ``sealed_file`` is not what was announced; or what the store gives back is not what was put
                there: then the bad blob is deleted, and running the command again mends it.
            NotFoundError: ``sealed_file`` is missing.
            UsageError: The release is of another app, or has expired.
        """
        refuse_unpublishable(release, self._app, now)
        found = self.get(release.version)
        if found is None:
            envelope = self._sign(release)
            put_everywhere(self._store, release.sealed, sealed_file, on_progress)
            self._refuse_condemned(release.sealed, now, self._store.mirrors)
            self._create(release.version, envelope)
            found = self._settled(release, sealed_file)
        else:
            found = self._again(found, release, sealed_file)
            self.complete(found)
            self._refuse_condemned(found.release.sealed, now, self._store.mirrors)
        self.complete(found)
        return found

    def refuse_condemned(self, published: PublishedRelease, now: datetime, *, everywhere: bool = True) -> None:
        """Refuse when a prune is removing the release's bundle, or has. Call it directly before a rollout or channel names it.

        With ``everywhere`` the mirrors are looked at, too; what goes back needs the first store only.

        Raises:
            ConflictError: A prune is removing it.
            VerificationError: It is gone.
        """
        self._refuse_condemned(published.release.sealed, now, self._store.mirrors if everywhere else ())

    def read_back(self, published: PublishedRelease) -> None:
        """Read the sealed zip the way devices get it and compare size and digest. Do it before a channel names the release.

        Raises:
            VerificationError: It is not there, or is not what the statement says.
        """
        check_sealed(self._store.blobs, published.release.sealed)

    def read_back_everywhere(self, published: PublishedRelease) -> None:
        """Do that in every mirror, too: a channel moves up only after this. Going back needs :meth:`read_back` alone."""
        check_everywhere(self._store, self.parts(published))

    def complete(self, published: PublishedRelease) -> None:
        """Bring to the mirrors what they lack of a published release; raises the first mirror's error."""
        raise_first(complete(self._store, self._store.mirrors, self.parts(published)))

    def lagging(self, ref: ReleaseRef) -> str:
        """Say which mirror does not have a release, by sizes, or ""; without mirrors nothing is asked."""
        if not self._store.mirrors:
            return ""
        return describe_lag(self._store.mirrors, self.parts(self.resolve(ref)))

    def parts(self, published: PublishedRelease) -> Parts:
        """Give what of a release has to stand in every store."""
        version = published.ref.version
        return Parts(self._subject(version), str(version), self._key(version), published.envelope, published.release.sealed)

    def next_serial(self) -> int:
        """Take the next serial of the app; see :func:`otagate.release.serial.next_serial`."""
        return next_serial(self._store.documents, self._app)

    def _refuse_condemned(self, sealed: Sealed, now: datetime, mirrors: Sequence[Store]) -> None:
        refuse_condemned(self._store.documents, sealed.blob, now)
        # In this order: a prune that ended just before that look has removed what it wanted, and this sees it.
        remedy = "run it again when the prune is over: publish the app, then serve it"
        check_there(self._store.blobs, sealed, remedy)
        if mirrors:
            raise_first(ask(mirrors, lambda mirror: check_there(mirror.blobs, sealed, remedy)))
            refuse_condemned(self._store.documents, sealed.blob, now)  # a slow mirror made the first look an old one

    def _sign(self, release: Release) -> bytes:
        if self._signer is None:
            raise KeyMaterialError(
                "there is no key to sign the release with",
                self._subject(release.version),
                remedy="set seal.signing_key in the policy, and the variable or file that it names",
            )
        envelope = sign_envelope(PAYLOAD_TYPE, to_statement(release), self._signer)
        key = self._signer.public_key()
        if all(key.raw != trusted.raw for trusted in self._trusted.keys):
            raise KeyMaterialError(
                "the signing key is not a trusted one, so nobody would believe the release",
                self._subject(release.version),
                expected="one of " + ", ".join(trusted.key_id for trusted in self._trusted.keys),
                found=key.key_id,
                remedy="add it to trust.keys in the policy (otagate keys show prints the line)",
            )
        self._verified(envelope, release.version)
        return envelope

    def _again(self, found: PublishedRelease, release: Release, sealed_file: Path | None) -> PublishedRelease:
        refuse_difference(found.release, release, self._subject(release.version))
        if found.release.sealed == release.sealed:
            put_everywhere(self._store, release.sealed, sealed_file)
        else:
            self.read_back(found)
        return found

    def _create(self, version: Version, envelope: bytes) -> None:
        key = self._key(version)
        try:
            swap(self._store.documents, key, envelope, None)
        except ConflictError:
            # Somebody published the version meanwhile: what stands there is compared with ours next.
            if self._store.documents.read(key) is None:
                raise

    def _settled(self, release: Release, sealed_file: Path | None) -> PublishedRelease:
        found = self.get(release.version)
        if found is None:
            raise VerificationError(
                "the statement that was just written is not there",
                self._subject(release.version),
                remedy="check that nothing deletes from the store, and run the command again",
            )
        if found.release == release:
            return found
        return self._again(found, release, sealed_file)

    def _verified(self, envelope: bytes, version: Version) -> PublishedRelease:
        subject = self._subject(version)
        payload = verify_envelope(envelope, self._trusted, PAYLOAD_TYPE, subject=subject)
        release = from_statement(payload, subject=subject)
        if (release.app, release.version) != (self._app, version):
            raise VerificationError(
                "this statement belongs elsewhere: it was signed for another release and put here",
                subject,
                found=f"release {release.version} of {release.app}",
                remedy="find out who wrote to the store",
            )
        return PublishedRelease(release, ReleaseRef(version, Digest.of(envelope)), envelope)

    def _subject(self, version: Version) -> str:
        return f"release {version} of {self._app}"

    def _key(self, version: Version) -> str:
        return f"apps/{self._app}/releases/{version}.json"
