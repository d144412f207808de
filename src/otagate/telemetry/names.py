"""Releases by short numbers, and texts that devices choose: of those only so many."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from otagate.telemetry.tables import NAMES, RELEASES

OTHER = "other"
"""What a text counts as when its kind has as many names as it may."""
MAX_NAMES = 256
"""Distinct names of one kind in one app: counters are kept apart by them, and clients choose them."""
PLUGIN = "plugin"
RUNNING = "running"


class Names:
    """The numbers of releases and the bounded names, read under an app's lock; kept for later when the transaction stood."""

    def __init__(self) -> None:
        self._releases: dict[tuple[str, str], int] = {}
        self._names: dict[tuple[str, str], frozenset[str]] = {}

    def during(self, connection: Connection) -> Naming:
        """Begin with one transaction; the caller holds the locks of the apps it asks about."""
        return Naming(connection, self._releases, self._names)

    def keep(self, naming: Naming) -> None:
        """Remember what a transaction found and made, after it was committed."""
        self._releases = {**self._releases, **naming.releases} if naming.releases else self._releases
        self._names = {**self._names, **naming.names} if naming.names else self._names


class Naming:
    """What one transaction knows of names; what it found and made stands in ``releases`` and ``names``."""

    def __init__(
        self,
        connection: Connection,
        releases: Mapping[tuple[str, str], int],
        names: Mapping[tuple[str, str], frozenset[str]],
    ) -> None:
        self._connection = connection
        self._known_releases, self._known_names = releases, names
        self.releases: dict[tuple[str, str], int] = {}
        self.names: dict[tuple[str, str], frozenset[str]] = {}
        self._read_apps: set[str] = set()

    def release(self, app: str, version: str) -> int:
        """Give a release's number; it gets one when it has none."""
        known = self._known_release(app, version)
        if known is None:
            asked = select(RELEASES.c.id).where(RELEASES.c.app == app, RELEASES.c.version == version)
            known = self._connection.execute(asked).scalar()
        if known is None:
            made = insert(RELEASES).values(app=app, version=version).returning(RELEASES.c.id)
            known = self._connection.execute(made).scalar_one()
        self.releases[app, version] = known
        return known

    def plugin(self, app: str, plugin: str) -> str:
        """Give a plugin's version, or ``OTHER`` when the app has as many as it may."""
        return self._bounded(app, PLUGIN, plugin)

    def running(self, app: str, version: str) -> str:
        """Give the version that a device says it runs, bounded; one that has a number as a release is always itself."""
        if self._known_release(app, version) is not None:
            return version
        found = self._bounded(app, RUNNING, version)
        if found == version:
            return version
        self._read_releases(app)
        return version if (app, version) in self.releases else OTHER

    def _known_release(self, app: str, version: str) -> int | None:
        known = self._known_releases.get((app, version))
        return self.releases.get((app, version)) if known is None else known

    def _bounded(self, app: str, kind: str, name: str) -> str:
        if name in self._known_names.get((app, kind), ()):
            return name
        if (app, kind) not in self.names:  # read once: nobody else changes them while we hold the app's lock
            asked = select(NAMES.c.name).where(NAMES.c.app == app, NAMES.c.kind == kind)
            self.names[app, kind] = frozenset(self._connection.execute(asked).scalars())
        known = self.names[app, kind]
        if name not in known:
            if len(known) >= MAX_NAMES:
                return OTHER
            self._connection.execute(insert(NAMES).values(app=app, kind=kind, name=name))
            self.names[app, kind] = known | {name}
        return name

    def _read_releases(self, app: str) -> None:
        if app not in self._read_apps:
            self._read_apps.add(app)
            asked = select(RELEASES.c.version, RELEASES.c.id).where(RELEASES.c.app == app)
            self.releases.update(((app, version), number) for version, number in self._connection.execute(asked))
