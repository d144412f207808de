"""``otagate plan``: what ``run`` would do here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from otagate._text import harmless
from otagate.cli.commands._open import open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import AccessError, UnavailableError
from otagate.flow.prepare import prepare
from otagate.flow.workspace import Workspace
from otagate.model import AppId, Version

if TYPE_CHECKING:
    from otagate.ci.comments.interface import Comments

HELP = "show what `run` would do here, and do nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--version", metavar="V", help="the release's version (default: as the policy's `versioning` says)")
    parser.add_argument(
        "--comment",
        action="store_true",
        help="also write the plan as one comment on this CI job's pull request, updated in place (GitHub, GitLab)",
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Plan; reads the store, writes nothing but, when asked to, the comment."""
    workspace = open_workspace(args, env, warn=True)
    comments = _comments(workspace, env) if args.comment else None
    shipment = prepare(workspace, version=Version(args.version) if args.version else None)
    result = Result("otagate/plan/v1", plan_data(shipment.plan), plan_view(shipment.plan))
    if comments:
        _comment(comments, workspace.policy.app, result, env)
    return result


def _comments(workspace: Workspace, env: CommandEnv) -> Comments | None:
    """Open the pull request's comments, or say why there are none. Before planning, so that a missing library is told first."""
    from otagate.ci.comments import open_comments  # noqa: PLC0415 - only this option pays for it
    from otagate.ci.comments.place import find_place  # noqa: PLC0415 - likewise

    place = find_place(workspace.context, env.environ)
    if place is None:
        env.note("no comment: this is not a job of a pull request on GitHub or of a merge request on GitLab")
        return None
    try:
        return open_comments(place, env.environ, env.clock)
    except AccessError as error:
        env.warn(f"no comment: {error}")
        return None


def _comment(comments: Comments, app: AppId, result: Result, env: CommandEnv) -> None:
    """Write the comment. The plan is what was asked for: a host that does not take it is a warning."""
    from otagate.ci.comments.body import plan_marker  # noqa: PLC0415 - only this option pays for it
    from otagate.cli.render import markdown  # noqa: PLC0415 - likewise

    try:
        url = comments.put(plan_marker(app), markdown.draw(result.view))
    except (AccessError, UnavailableError) as error:
        env.warn(f"no comment: {error}")
    else:
        env.note(f"the plan is a comment: {harmless(url)}")
