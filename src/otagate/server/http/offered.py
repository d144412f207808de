"""Which bundles may be fetched: those that a channel names now. A release that was taken off is gone at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from otagate.server.interface import AppView, Catalog, ChannelView


class Offered:
    """The bundles of a catalog's releases; worked out anew when the catalog's views change."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._views: Sequence[AppView] = ()
        self._until: dict[str, datetime] = {}

    def has(self, digest_hex: str, now: datetime) -> bool:
        """Tell whether a channel names a release with this bundle now: not blocked there, and neither of them expired."""
        views = self._catalog.views()
        # Views are made anew when anything changes, so that their identity is enough.
        if len(views) != len(self._views) or any(new is not old for new, old in zip(views, self._views, strict=True)):
            self._views = views
            self._until = _until(views)
        until = self._until.get(digest_hex)
        return until is not None and now < until


def _until(views: Sequence[AppView]) -> dict[str, datetime]:
    until: dict[str, datetime] = {}
    for view in views:
        for channel in view.channels.values():
            for digest_hex, end in _named(view, channel):
                until[digest_hex] = max(end, until.get(digest_hex, end))
    return until


def _named(view: AppView, channel: ChannelView) -> Iterator[tuple[str, datetime]]:
    state = channel.state
    for ref in (state.stable, None if state.candidate is None else state.candidate.release):
        release = None if ref is None or ref.version in state.blocked else view.releases.get(str(ref.version))
        if release is not None:
            end = channel.expires if release.expires is None else min(channel.expires, release.expires)
            yield release.sealed.blob.hex, end
