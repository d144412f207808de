"""``otagate upload``: publish a release, move no channel."""

from __future__ import annotations

import argparse

from otagate._fs import scratch_folder
from otagate._text import size
from otagate.cli.commands._open import open_workspace
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Facts, Heading
from otagate.cli.render.plans import plan_data, plan_view
from otagate.flow.prepare import prepare_upload
from otagate.flow.publish import publish
from otagate.model import Version

HELP = "build, bundle, seal and publish a release; move no channel"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--version", metavar="V", help="the release's version (default: as the policy's `versioning` says)")
    parser.add_argument("--no-build", action="store_true", help="use what is in build.output; do not run build.command")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Publish."""
    workspace = open_workspace(args, env, warn=True)
    shipment = prepare_upload(workspace, version=Version(args.version) if args.version else None)
    if args.dry_run:
        return Result("otagate/plan/v1", plan_data(shipment.plan), plan_view(shipment.plan, dry_run=True))
    with scratch_folder() as folder:
        published = publish(workspace, shipment, folder, build=not args.no_build)
    release = published.release
    flat = {
        "version": str(release.version),
        "release": str(published.ref.statement),
        "bundle-url": workspace.store.blobs.url(release.sealed.blob),
        "checksum": str(release.bundle.archive),
    }
    facts = (
        ("files", str(len(release.bundle.files))),
        ("clear zip", f"{size(release.bundle.archive_size)}, {release.bundle.archive}"),
        ("sealed", f"{release.sealed.format}, {size(release.sealed.size)}, {release.sealed.blob}"),
        ("statement", str(published.ref.statement)),
    )
    data = {**flat, "files": len(release.bundle.files), "seal": release.sealed.format, "outputs": flat}
    return Result("otagate/upload/v1", data, [Heading(f"published {release.version}"), Facts(facts)], outputs=flat)
