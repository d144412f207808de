"""Everything that a use case works with, opened from a policy; each part is made when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._clock import Clock, SystemClock
from otagate.errors import KeyMaterialError
from otagate.model import ChannelName, Context
from otagate.policy.model.policy import Policy

if TYPE_CHECKING:
    from otagate.channel.hosted import HostedChannels
    from otagate.flow.edge import Edge
    from otagate.flow.mirrors import Mirrors
    from otagate.flow.store_clock import StoreClock
    from otagate.gate.judge import Reading
    from otagate.release.repository import Releases
    from otagate.rollout.ledger import Ledger
    from otagate.rollout.reconciler import Reconciler
    from otagate.rollout.repository import Rollouts
    from otagate.rollout.state import RolloutState
    from otagate.seal.interface import Signer
    from otagate.seal.trust import TrustedKeys
    from otagate.store.interface import Store


def _unfolded(_title: str) -> AbstractContextManager[None]:
    return nullcontext()


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how things go: progress, warnings, a child's output and what of it belongs together, a bar."""

    note: Callable[[str], None] = _silent
    warn: Callable[[str], None] = _silent
    stream: Callable[[str], None] = _silent
    fold: Callable[[str], AbstractContextManager[None]] = _unfolded
    progress: Callable[[str, int, int], None] = lambda _label, _done, _total: None


@dataclass
class Workspace:
    """A policy with the store, keys, channels and rollouts that it names.

    Not frozen only because the parts are cached; nobody assigns to it.
    """

    policy: Policy
    context: Context
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)
    listener: Listener = field(default_factory=Listener)

    @property
    def base(self) -> Path:
        """Where relative key files start: the policy's folder."""
        return self.policy.file.parent

    @property
    def actor(self) -> str:
        """Who does this, for the ledger: the CI's user, else the login name, else ``unknown``."""
        return self.context.actor or self.environ.get("USER") or self.environ.get("LOGNAME") or "unknown"

    @cached_property
    def store(self) -> Store:
        """The store of blobs and documents, with its mirrors."""
        from otagate.store.interface import Store  # noqa: PLC0415 - see the module's first line
        from otagate.store.registry import open_store  # noqa: PLC0415 - likewise

        policy = self.policy
        first = open_store(policy.storage, self.environ)
        mirrors = tuple(open_store(url, self.environ) for url in policy.mirrors)
        documents = first if policy.documents is None else open_store(policy.documents, self.environ)
        return Store(first.url, first.blobs, documents.documents, first.where, mirrors)

    @cached_property
    def trusted(self) -> TrustedKeys:
        """The keys that the policy trusts.

        Raises:
            KeyMaterialError: It trusts none, or one of them is not usable.
        """
        from otagate.seal.trust import load_trusted  # noqa: PLC0415 - likewise

        if not self.policy.trust.keys:
            raise KeyMaterialError(
                "the policy trusts no key, so nothing could be verified",
                f"{self.policy.file.name}: trust.keys",
                expected="at least one public key",
                remedy="otagate keys create makes keys and says which line to add",
            )
        return load_trusted(self.policy.trust.keys, environ=self.environ, base=self.base)

    @cached_property
    def signer(self) -> Signer:
        """The signing key.

        Raises:
            KeyMaterialError: It is missing, unusable, or its public part is not among the trusted keys.
        """
        from otagate.seal.registry import open_signer  # noqa: PLC0415 - likewise

        reference = self.policy.seal.signing_key
        if not reference:
            raise KeyMaterialError(
                "there is no signing key",
                f"{self.policy.file.name}: seal.signing_key",
                expected="a reference such as env:OTAGATE_SIGNING_KEY or file:.otagate/keys/signing.pem",
                remedy="otagate keys create makes one",
            )
        signer = open_signer(reference, environ=self.environ, base=self.base)
        own = signer.public_key()
        if own.raw not in {key.raw for key in self.trusted.keys}:
            raise KeyMaterialError(
                "the policy does not trust the key that it signs with",
                f"seal.signing_key {reference}",
                expected=f"one of trust.keys: {', '.join(key.key_id for key in self.trusted.keys)}",
                found=own.key_id,
                remedy="add its public part to trust.keys (otagate keys show), or sign with the right key",
            )
        return signer

    @cached_property
    def channels(self) -> HostedChannels:
        """The channels, for moving them; needs the signing key."""
        return self._channels(self.signer)

    @cached_property
    def channels_read_only(self) -> HostedChannels:
        """The channels, for looking only; needs no signing key."""
        return self._channels(None)

    def _channels(self, signer: Signer | None) -> HostedChannels:
        from otagate.channel.hosted import HostedChannels  # noqa: PLC0415 - likewise

        ttl = self.policy.trust.pointer_ttl
        return HostedChannels(self.store.documents, self.policy.app, signer, self.trusted, ttl)

    @cached_property
    def releases(self) -> Releases:
        """The published releases, for reading."""
        from otagate.release.repository import Releases  # noqa: PLC0415 - likewise

        return Releases(self.store, self.policy.app, self.trusted, None)

    @cached_property
    def publisher(self) -> Releases:
        """The published releases, for adding to them; needs the signing key."""
        from otagate.release.repository import Releases  # noqa: PLC0415 - likewise

        return Releases(self.store, self.policy.app, self.trusted, self.signer)

    @cached_property
    def mirrors(self) -> Mirrors:
        """The mirrors of the store; there may be none."""
        from otagate.flow.mirrors import Mirrors  # noqa: PLC0415 - likewise

        return Mirrors(self)

    @cached_property
    def ledger(self) -> Ledger:
        """The record of everything that happened."""
        from otagate.rollout.ledger import Ledger  # noqa: PLC0415 - likewise

        return Ledger(self.store.documents, self.policy.app)

    @cached_property
    def rollouts(self) -> Rollouts:
        """The rollouts of this app."""
        from otagate.rollout.repository import Rollouts  # noqa: PLC0415 - likewise

        return Rollouts(self.store.documents, self.policy.app)

    @cached_property
    def store_clock(self) -> StoreClock:
        """The time by the clock of the documents' store, where that tells it: what soaks are measured by."""
        from otagate.flow.store_clock import StoreClock  # noqa: PLC0415 - likewise

        return StoreClock(self.clock, self.store.documents)

    @cached_property
    def edge(self) -> Edge:
        """The CDN in front of the store; there may be none."""
        from otagate.flow.edge import Edge  # noqa: PLC0415 - likewise

        return Edge(self)

    def follow(self, names: Sequence[ChannelName]) -> None:
        """Have everything that shows channels follow those that were moved: mirrors, then the CDN. Never raises."""
        self.mirrors.follow(names)
        self.edge.follow(names)

    @cached_property
    def reconciler(self) -> Reconciler:
        """What drives rollouts."""
        from otagate.flow.looks import recorder  # noqa: PLC0415 - likewise
        from otagate.rollout.effects import Effects  # noqa: PLC0415 - likewise
        from otagate.rollout.reconciler import Reconciler  # noqa: PLC0415 - likewise

        effects = Effects(self.policy.app, self.rollouts, self.channels, self.releases, self.store_clock, self.follow)
        return Reconciler(effects, self.ledger, self.measure, recorder(self))

    def measure(self, state: RolloutState, now: datetime) -> Sequence[Reading]:
        """Read every gate of a rollout at one instant."""
        from otagate.flow.measuring import measure_rollout  # noqa: PLC0415 - likewise

        return measure_rollout(state, now, root=self.policy.root, environ=self.environ)
