"""The port through which the plan becomes one comment on a pull request."""

from __future__ import annotations

from typing import Protocol


class Comments(Protocol):
    """The comments of one pull request (GitHub) or merge request (GitLab)."""

    def put(self, marker: str, markdown: str) -> str:
        """Make ``markdown`` the one comment that begins with ``marker``: create it, or change it in place.

        Only a comment that this token's account wrote is changed; the same text is not written again. Text above
        :data:`otagate.ci.comments.body.MAX_BYTES` is cut and says so, and mentions and host commands in it are made inert.

        Args:
            marker: One line of an HTML comment, as :func:`otagate.ci.comments.body.plan_marker` gives it.
            markdown: What people read.

        Returns:
            The comment's URL.

        Raises:
            AccessError: The host refuses: the token is wrong, or lacks a permission, which the message names.
            UnavailableError: The host did not answer after a few tries, wants fewer requests, or gave no usable answer.
        """
        ...
