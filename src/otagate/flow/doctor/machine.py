"""The machine: Python, git, and the libraries that the policy's stores need."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from otagate import __version__
from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError
from otagate.flow.doctor.model import Check, from_error, trouble
from otagate.flow.doctor.patient import Patient

GROUP = "machine"
_NEEDS = {
    "s3": ("s3", ("obstore", "botocore")),
    "gs": ("gcs", ("google.auth",)),
    "az": ("azure", ("obstore",)),
    "cloudfront": ("s3", ("botocore",)),
    "cloud_cdn": ("gcs", ("google.auth",)),
}
"""What in a policy needs which extra, and the modules that it brings. **Source:** pyproject.toml."""


def check_machine(patient: Patient) -> Iterator[Check]:
    """Look at what is installed."""
    yield Check(GROUP, "otagate", f"{__version__} on Python {platform.python_version()}, {platform.system()}")
    yield _git(patient)
    yield _libraries(patient)


def _libraries(patient: Patient) -> Check:
    """Look for the libraries that the policy's stores and CDN need."""
    policy = patient.policy
    if policy is None:
        return Check(GROUP, "libraries", "the policy is not known", is_made=False)
    wanted = {place.scheme: f"{place.role}: {place.scheme}:" for place in reversed(patient.places)}
    if policy.cdn is not None:
        wanted |= {name: f"cdn.{name}" for name in ("cloudfront", "cloud_cdn") if getattr(policy.cdn, name)}
    needed = {name: subject for name, subject in wanted.items() if name in _NEEDS}
    troubles = []
    for name, subject in needed.items():
        extra, modules = _NEEDS[name]
        missing = [module for module in modules if not _is_there(module)]
        if missing:
            command = f"pip install 'otagate[{extra}]'"
            troubles.append(trouble("extra.missing", subject, f"no module {', '.join(missing)}", commands=[command]))
    extras = sorted({_NEEDS[name][0] for name in needed})
    return Check(GROUP, "libraries", ", ".join(extras) or "no store needs any", tuple(troubles))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a module within a package that is not there
        return False


def _git(patient: Patient) -> Check:
    from otagate.ci.detect import read_context  # noqa: PLC0415 - reads the checkout

    path = patient.environ.get("PATH", "")
    if shutil.which("git", path=path) is None:
        return Check(GROUP, "git", "", (trouble("git.missing", "git"),))
    try:
        context = read_context(patient.environ, patient.cwd)
    except (AccessError, UnavailableError) as error:
        return Check(GROUP, "git", "", (from_error("git.unusable", error, "git"),))
    if context.commit is None:
        return Check(GROUP, "git", "there, but this is no checkout with a commit")
    ref = context.branch or context.tag or "a commit without a branch"
    return Check(GROUP, "git", f"{harmless(ref, 80)} at {context.commit[:7]}, told by {context.provider}")
