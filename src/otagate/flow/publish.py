"""Build, bundle, seal and publish: from a commit to a release in the store. Killed anywhere, it can be run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from otagate import __version__
from otagate._text import harmless, size
from otagate.errors import NotFoundError, UsageError, VerificationError
from otagate.flow.prepare import Shipment
from otagate.flow.seal_once import seal_once
from otagate.flow.workspace import Workspace
from otagate.model import Bundle, Release, Sealed, Version
from otagate.release.repository import PublishedRelease

if TYPE_CHECKING:
    pass


_MIN_SECRET = 16
"""Characters that a key or token has at least; an AWS key's id has 16 to 128. **Source:** AWS STS, "Credentials"."""


def build_bundle(workspace: Workspace, folder: Path, *, build: bool = True) -> tuple[Bundle, Path]:
    """Build, vet and pack.

    Args:
        workspace: Where.
        folder: Gets the zip; the caller removes it.
        build: Run the build command, too.

    Returns:
        The bundle and the zip's path.
    """
    from otagate.bundle.archive import write_archive  # noqa: PLC0415 - only who packs pays for it

    if build:
        run_build_command(workspace)
    files = collect_output(workspace)
    archive = folder / "bundle.zip"
    bundle = write_archive(files, archive, on_progress=lambda done, total: workspace.listener.progress("packing", done, total))
    count = len(bundle.files)
    workspace.listener.note(f"packed {count} file{'s' * (count != 1)} into {size(bundle.archive_size)}, {bundle.archive}")
    return bundle, archive


def run_build_command(workspace: Workspace) -> None:
    """Run the app's build command, if the policy has one."""
    spec = workspace.policy.build
    if not spec.command:
        return
    from otagate.bundle.build import run_build  # noqa: PLC0415 - only who builds pays for it

    shown = spec.command if isinstance(spec.command, str) else " ".join(spec.command)
    workspace.listener.note(f"building: {harmless(shown)}")
    with workspace.listener.fold("build"):
        run_build(spec, workspace.policy.root, _without_keys(workspace), workspace.listener.stream)


def _without_keys(workspace: Workspace) -> dict[str, str]:
    """Give the environment without keys and tokens and copies of them, ours and the store's: `build.env` cannot ask for them.

    A build runs the scripts of every package that it installs.
    """
    from otagate.bundle.environment import never_passes  # noqa: PLC0415 - only who builds pays for it
    from otagate.policy.references import references  # noqa: PLC0415 - likewise

    environ = workspace.environ
    names = {ref.removeprefix("env:") for ref in references(workspace.policy) if ref.startswith("env:")}
    values = {environ[name].strip() for name in names if environ.get(name, "").strip()}
    # Of shorter ones a copy is chance: `true` in a variable that is called a token.
    values |= {text.strip() for name, text in environ.items() if never_passes(name) and len(text.strip()) >= _MIN_SECRET}
    return {name: value for name, value in environ.items() if name not in names and value.strip() not in values}


def output_folder(workspace: Workspace) -> Path:
    """Give the folder with the built files.

    Raises:
        UsageError: The policy names none, and the app's configuration neither.
    """
    output = workspace.policy.build.output
    if output is None:
        raise UsageError(
            "the web output folder is not known",
            workspace.policy.file.name,
            expected="build.output in the policy, or webDir in capacitor.config.json",
            remedy="add `build: {output: dist}`",
        )
    return workspace.policy.root / output


def collect_output(workspace: Workspace):  # type: ignore[no-untyped-def]  # noqa: ANN201 - narrowed below once bundle is there
    """Vet what the build made and give the files to pack."""
    from otagate.bundle.collect import collect  # noqa: PLC0415 - only who packs pays for it

    return collect(output_folder(workspace), workspace.policy.bundle)


def publish(workspace: Workspace, shipment: Shipment, folder: Path, *, build: bool = True) -> PublishedRelease:
    """Build, bundle, seal and publish, unless this commit's release is there already. Killed anywhere, it can be run again.

    Raises:
        ConflictError: The version is published with other bytes.
    """
    refuse_forks(workspace)
    if shipment.published is not None:
        workspace.releases.complete(shipment.published)  # a mirror may have been down when it was published
        _tell_published(workspace, shipment.published)
        return shipment.published
    version = _need_version(shipment)
    publisher = workspace.publisher  # before any build: a missing key is said at once
    bundle, archive = build_bundle(workspace, folder, build=build)
    material = seal_once(workspace, archive, bundle, version, folder)
    there = shipment.taken
    release = _release(workspace, version, bundle, material.sealed, there)
    label = f"sending {size(material.sealed.size)}"
    if material.file is not None and there is None:
        workspace.listener.note(f"{label} to {workspace.store.url}")
    try:
        published = publisher.publish(
            release,
            material.file,
            workspace.clock.now(),
            on_progress=lambda done, total: workspace.listener.progress(label, done, total),
        )
    except VerificationError:
        # Whatever was wrong with the blob, the CDN must not keep it for a year.
        workspace.edge.deleted([material.sealed.blob])
        raise
    material.published(published)
    workspace.listener.note(f"published {version}: {published.ref.statement}")
    _tell_published(workspace, published)
    return published


def _tell_published(workspace: Workspace, published: PublishedRelease) -> None:
    release = published.release
    data = {
        "version": str(release.version),
        "statement": str(published.ref.statement),
        "bundle": str(release.bundle.archive),
        "blob": str(release.sealed.blob),
        "commit": release.commit or "",
    }
    workspace.ledger.append(
        "release.published",
        f"published:{published.ref.statement}",
        {name: value for name, value in data.items() if value},
        workspace.clock.now(),
        since=release.created,
    )


def _release(workspace: Workspace, version: Version, bundle: Bundle, sealed: Sealed, there: PublishedRelease | None) -> Release:
    from otagate.seal.provenance import provenance  # noqa: PLC0415 - only who publishes pays for it

    policy, now = workspace.policy, workspace.clock.now()
    # A version that is there already is compared, not replaced: it must not use up a serial.
    return Release(
        app=policy.app,
        version=version,
        serial=there.release.serial if there else workspace.publisher.next_serial(),
        bundle=bundle,
        sealed=sealed,
        created=now,
        expires=now + policy.trust.release_ttl if policy.trust.release_ttl else None,
        commit=workspace.context.commit,
        native_min=policy.native_min,
        native_max=policy.native_max,
        provenance=provenance(
            workspace.context,
            builder_version=__version__,
            command=policy.build.command,
            policy_digest=policy.digest,
        ),
    )


def refuse_forks(workspace: Workspace) -> None:
    """Refuse to change anything for a pull request from a fork.

    Raises:
        UsageError: This is one, or it cannot be ruled out.
    """
    if workspace.context.is_fork:
        raise UsageError(
            "a pull request from a fork may plan, and may not publish",
            harmless(workspace.context.ref or "pull request"),
            found=f"a fork, as {workspace.context.provider} tells it",
            remedy="use `otagate plan` on pull requests, and run after the merge",
        )


def _need_version(shipment: Shipment) -> Version:
    if shipment.version is None:
        raise NotFoundError("there is nothing to publish", remedy="no branch rule matches: add one, or give --version")
    return shipment.version
