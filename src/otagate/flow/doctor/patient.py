"""What the checks look at, and what one of them tells the later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._clock import Clock, SystemClock
from otagate.errors import OtagateError
from otagate.flow.workspace import Listener

if TYPE_CHECKING:
    from otagate.flow.workspace import Workspace
    from otagate.policy.app import AppFacts
    from otagate.policy.model.policy import Policy


@dataclass(frozen=True, slots=True)
class Place:
    """One store that the policy names.

    Attributes:
        role: ``storage``, ``documents`` or ``mirrors[0]`` …
        url: As in the policy, with options.
        has_blobs: Whether bundles are kept there.
        has_documents: Whether channels, rollouts and the ledger are.
    """

    role: str
    url: str
    has_blobs: bool
    has_documents: bool

    @property
    def scheme(self) -> str:
        """Give ``file``, ``s3``, ``gs`` or ``az``."""
        return self.url.partition(":")[0].lower()


_FIRST = ("storage", "documents")
"""The roles of the stores on whose documents decisions are made."""


@dataclass
class Patient:
    """What is looked at. Not frozen: checks note what later ones build on.

    Attributes:
        file: The policy file that was named, or None: look for it.
        cwd: Where the command was started.
        environ: Environment variables.
        clock: The time.
        read_only: Nothing may be written, not even to try.
        listener: Hears what is being tried.
        policy: Set once it is loaded.
        gone: Roles of the stores that do not answer: nothing more is asked of them.
    """

    file: Path | None
    cwd: Path
    environ: Mapping[str, str]
    clock: Clock = field(default_factory=SystemClock)
    read_only: bool = False
    listener: Listener = field(default_factory=Listener)
    policy: Policy | None = None
    gone: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """The app's folder: the policy's ``app.dir``, or where the command was started."""
        return self.policy.root if self.policy else self.cwd

    @property
    def places(self) -> tuple[Place, ...]:
        """Every store of the policy; none without one."""
        policy = self.policy
        if policy is None:
            return ()
        own = Place("storage", policy.storage, has_blobs=True, has_documents=policy.documents is None)
        apart = () if policy.documents is None else (Place("documents", policy.documents, False, True),)
        mirrors = (Place(f"mirrors[{at}]", url, True, True) for at, url in enumerate(policy.mirrors))
        return (own, *apart, *mirrors)

    @property
    def documents_gone(self) -> bool:
        """Whether the store of channels, rollouts and the ledger does not answer."""
        return any(place.has_documents and place.role in self.gone for place in self.places if place.role in _FIRST)

    @cached_property
    def facts(self) -> AppFacts:
        """What the app's own files say."""
        from otagate.policy.app import read_app  # noqa: PLC0415 - not for a doctor without an app

        return read_app(self.folder)

    @cached_property
    def workspace(self) -> Workspace | None:
        """Everything that the policy names; None without a policy."""
        from otagate.flow.workspace import Workspace  # noqa: PLC0415 - see the type
        from otagate.model import Context  # noqa: PLC0415 - likewise

        if self.policy is None:
            return None
        return Workspace(self.policy, Context(provider="none"), self.environ, self.clock, self.listener)


def public_words(error: OtagateError) -> str:
    """Say an error in one line, for why something was not checked."""
    return error.what if error.subject is None else f"{error.what}: {error.subject}"
