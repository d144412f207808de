"""Putting an update server together from policies: what each of its worker processes does once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._clock import Clock, SystemClock
from otagate._fs import translate
from otagate.errors import PolicyError, UsageError
from otagate.flow.workspace import Workspace
from otagate.model import Context
from otagate.policy.load import load_policy
from otagate.policy.model.bundles import SealFormat
from otagate.policy.model.policy import Policy
from otagate.server.http.options import HttpOptions

if TYPE_CHECKING:
    from otagate.server.catalog import AppSource
    from otagate.server.http.app import UpdateApp
    from otagate.server.parts import ServerParts
    from otagate.telemetry.sql import SqlTelemetry

REMEMBERED = timedelta(days=90)
"""Releases that devices first told of within this time are counted on, also when no channel names them any more."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What a server is made from. It crosses into worker processes: it holds no secret and nothing that is open.

    Attributes:
        policies: Policy files, one an app.
        database: Address of the telemetry database, or a reference to it.
        base: Folder that relative paths in ``database`` and ``secret`` start from.
        secret: Reference to the secret that device ids are hashed with, or None: kept beside an SQLite file.
        poll: How often channels are read.
        max_stale: How long pointers are served from without having been read again.
        base_url: See ServerParts.
        downloads: ``auto``, ``own``, ``public`` or ``signed``: where bundles are fetched.
        keep: Telemetry older than this is removed; None: all is kept.
        metrics_public: See ServerParts.
        http: Rates and the like.
    """

    policies: tuple[Path, ...]
    database: str
    base: Path
    secret: str | None = None
    poll: timedelta = timedelta(seconds=2)
    max_stale: timedelta = timedelta(hours=1)
    base_url: str | None = None
    downloads: str = "auto"
    keep: timedelta | None = timedelta(days=90)
    metrics_public: bool = False
    http: HttpOptions = field(default_factory=HttpOptions)


def check_policies(policies: Sequence[Policy]) -> None:
    """Refuse policies that one server cannot serve together.

    Raises:
        UsageError: Two are of one app, or in different stores.
        PolicyError: One trusts no key.
    """
    first = policies[0]
    seen: dict[str, Policy] = {}
    for policy in policies:
        other = seen.setdefault(str(policy.app), policy)
        if other is not policy:
            raise UsageError("two policies are of one app", str(policy.app), remedy=f"leave out {policy.file} or {other.file}")
        if (policy.storage, policy.documents) != (first.storage, first.documents):
            raise UsageError(
                "the apps of one server are kept in one store",
                str(policy.file),
                expected=first.storage,
                found=policy.storage,
                remedy="run one server for each store",
            )
        if not policy.trust.keys:
            raise PolicyError(
                "the policy trusts no key, so nothing could be served",
                f"{policy.file.name}: trust.keys",
                expected="at least one public key",
                remedy="otagate keys create makes keys and says which line to add",
            )


def make_app(options: ServeOptions, environ: Mapping[str, str]) -> UpdateApp:
    """Make the application of one worker; see build_parts for errors."""
    from otagate.server.http.app import UpdateApp  # noqa: PLC0415 - needs the extra

    return UpdateApp(build_parts(options, environ, SystemClock()), options.http)


def build_parts(options: ServeOptions, environ: Mapping[str, str], clock: Clock) -> ServerParts:
    """Open everything that a worker needs. Nothing runs yet.

    Raises:
        OtagateError: A policy, key, store or database cannot be used.
    """
    from functools import partial  # noqa: PLC0415

    from otagate.server.admin.api import AdminApi  # noqa: PLC0415 - needs the extra, as all below
    from otagate.server.catalog import StoreCatalog  # noqa: PLC0415
    from otagate.server.choices import PolledChoices  # noqa: PLC0415
    from otagate.server.http.links import LinkMode, SignedLinks, choose_links  # noqa: PLC0415
    from otagate.server.learning import Learner  # noqa: PLC0415
    from otagate.server.parts import ServerParts  # noqa: PLC0415
    from otagate.server.service import PluginService  # noqa: PLC0415
    from otagate.telemetry.intake import ThreadIntake  # noqa: PLC0415
    from otagate.telemetry.keeper import Keeper  # noqa: PLC0415
    from otagate.telemetry.secret import device_key  # noqa: PLC0415
    from otagate.telemetry.sql import device_secret, open_telemetry  # noqa: PLC0415
    from otagate.telemetry.token_store import TokenStore  # noqa: PLC0415

    workspaces = [Workspace(load_policy(path), Context("none"), environ, clock) for path in options.policies]
    check_policies([workspace.policy for workspace in workspaces])
    _make_folder(options, environ)
    secret = device_secret(options.database, options.secret, environ, options.base)
    telemetry = open_telemetry(options.database, environ, secret=secret, base=options.base)
    hash_device = partial(device_key, secret)
    first = workspaces[0]
    links, bundles = choose_links(first.policy.storage, first.store.blobs, clock, LinkMode(options.downloads))
    sources = [_source(workspace, telemetry, clock) for workspace in workspaces]
    warm = links.warm if isinstance(links, SignedLinks) else _nothing
    catalog = StoreCatalog(sources, clock, options.poll, options.max_stale, warm)
    choices = PolledChoices(telemetry, options.poll)
    intake = ThreadIntake(telemetry)
    keeper = () if options.keep is None else (Keeper(telemetry, options.keep, clock),)
    return ServerParts(
        service=PluginService(catalog, choices, links, hash_device),
        catalog=catalog,
        links=links,
        bundles=bundles,
        telemetry=telemetry,
        choose=choices.choose,
        intake=intake,
        admin=AdminApi(TokenStore(telemetry.engines), telemetry, catalog, choices, hash_device),
        background=(intake, catalog, choices, *keeper),
        base_url=options.base_url,
        metrics_public=options.metrics_public,
        clock=clock,
        learner=Learner({str(one.policy.app): one.releases for one in workspaces}, catalog, clock),
    )


def _make_folder(options: ServeOptions, environ: Mapping[str, str]) -> None:
    """Make the folder of a database file: on a new machine it is not there."""
    from otagate.telemetry.engine import place_of  # noqa: PLC0415 - needs the extra

    path = place_of(options.database, environ, options.base).path
    if path is None or path.parent.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise translate(error, "the folder of the database cannot be made", path.parent) from error


def _source(workspace: Workspace, telemetry: SqlTelemetry, clock: Clock) -> AppSource:
    from otagate.server.catalog import AppSource  # noqa: PLC0415 - needs the extra

    policy, now = workspace.policy, clock.now()
    return AppSource(
        app=policy.app,
        rules=policy.server,
        is_signed=policy.seal.format is SealFormat.CAPGO,
        channels=workspace.channels_read_only,
        releases=workspace.releases,
        remembered=frozenset(telemetry.releases(str(policy.app), now - REMEMBERED, now + timedelta(days=1))),
    )


def _nothing(_: object) -> None:
    """Do nothing: there is nothing to sign ahead."""
