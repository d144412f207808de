"""Telling the CI host: outputs, summary and annotations. A host that cannot be told is a warning, never a failed release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from otagate.cli.output import Result
from otagate.cli.terminal import Terminal
from otagate.errors import OtagateError

_MARKS = (
    *("CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILD_TAG", "TF_BUILD", "BITBUCKET_BUILD_NUMBER", "CIRCLECI"),
    *("CODEBUILD_BUILD_ID", "BUILD_ID"),
)
"""One of these is set on every CI that is known; without them nothing is loaded."""


def folding(environ: Mapping[str, str]) -> Callable[[str], AbstractContextManager[None]]:
    """Give what folds lines on the CI host; elsewhere something that does nothing."""
    if not any(environ.get(mark) for mark in _MARKS):
        return lambda _title: nullcontext()
    from otagate.ci.report import reporter_here  # noqa: PLC0415 - only a CI job pays for it

    return reporter_here(environ).fold


def tell_result_to_ci(verb: str, result: Result, environ: Mapping[str, str], terminal: Terminal) -> None:
    """Hand a result to the CI host, for the verbs that a CI job calls."""
    if not any(environ.get(mark) for mark in _MARKS):
        return
    from otagate.ci.face import COMMANDS  # noqa: PLC0415 - only a CI job pays for it
    from otagate.ci.report import reporter_here, tell_result  # noqa: PLC0415 - likewise
    from otagate.cli.render import markdown  # noqa: PLC0415 - likewise

    if verb not in COMMANDS:
        return
    try:
        data = {"schema": result.schema, **result.data}
        tell_result(reporter_here(environ), result.outputs, data, markdown.draw(result.view))
    except (OtagateError, OSError) as error:
        terminal.warn(f"the CI host could not be told of the result: {error}")


def tell_failure_to_ci(error: OtagateError, environ: Mapping[str, str], terminal: Terminal) -> None:
    """Show a failure in the CI host's interface."""
    if not any(environ.get(mark) for mark in _MARKS):
        return
    from otagate.ci.report import reporter_here, tell_failure  # noqa: PLC0415 - only a CI job pays for it

    try:
        tell_failure(reporter_here(environ), error)
    except (OtagateError, OSError) as untold:
        terminal.warn(f"the CI host could not be told of the failure: {untold}")
