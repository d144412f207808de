"""The plan as a comment for the reviewers of a pull request: what a merge would ship, and what the request itself ships."""

from __future__ import annotations

from dataclasses import replace

from otagate._text import harmless
from otagate.ci.comments import open_comments
from otagate.ci.comments.body import plan_marker
from otagate.ci.comments.interface import Comments
from otagate.ci.comments.place import find_place
from otagate.cli.output import CommandEnv
from otagate.cli.render import markdown
from otagate.cli.render.blocks import Block, Heading, Line, Tone
from otagate.cli.render.plans import plan_view
from otagate.errors import AccessError, OtagateError, UnavailableError
from otagate.flow.prepare import Shipment, prepare
from otagate.flow.workspace import Workspace
from otagate.model import Version


def open_here(workspace: Workspace, env: CommandEnv) -> Comments | None:
    """Open the comments of this job's pull request; without one, or without a token, say so and give None.

    Raises:
        UsageError: The extra for this host is not installed.
    """
    place = find_place(workspace.context, env.environ)
    if place is None:
        env.note("no comment: this is not a job of a pull request on GitHub or of a merge request on GitLab")
        return None
    try:
        return open_comments(place, env.environ, env.clock)
    except AccessError as error:
        env.warn(f"no comment: {error}")
        return None


def write(comments: Comments, workspace: Workspace, shipment: Shipment, version: Version | None, env: CommandEnv) -> None:
    """Write the comment. The plan is what was asked for, so a host that does not take it is a warning.

    Args:
        comments: Where.
        workspace: Of the pull request.
        shipment: What the pull request itself ships.
        version: Overrides the policy's ``versioning``.
        env: Who is told.
    """
    text = markdown.draw(_view(workspace, shipment, version))
    try:
        url = comments.put(plan_marker(workspace.policy.app), text)
    except (AccessError, UnavailableError) as error:
        env.warn(f"no comment: {error}")
    else:
        env.note(f"the plan is a comment: {harmless(url)}")


def _view(workspace: Workspace, shipment: Shipment, version: Version | None) -> list[Block]:
    target = workspace.context.target_branch
    if target is None:
        return plan_view(shipment.plan)
    view = _merged(workspace, target, version)
    if shipment.target is not None:
        view += [Heading(f"this pull request itself: {shipment.plan.goal}"), *plan_view(shipment.plan)[1:]]
    return view


def _merged(workspace: Workspace, target: str, version: Version | None) -> list[Block]:
    """Show what `run` would do on the target branch. What is merged is ours, whoever wrote it."""
    context = replace(
        workspace.context, branch=target, pull_request=None, source_branch=None, target_branch=None, is_fork=False
    )
    title = f"after a merge into {harmless(target)}"
    try:
        plan = prepare(replace(workspace, context=context), version=version).plan
    except OtagateError as error:
        # Worth knowing before the merge, and no fault of this run.
        return [Heading(f"{title}: a failure"), Line(str(error), Tone.BAD)]
    return [Heading(f"{title}: {plan.goal}"), *plan_view(plan)[1:]]
