"""One module per CI host: does it run us, and what does it say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from otagate.ci.hosts import azure, bitbucket, circleci, cloudbuild, codebuild, github, gitlab, jenkins
from otagate.model import Context


@dataclass(frozen=True, slots=True)
class Host:
    """A CI host.

    Attributes:
        name: As in ``Context.provider``.
        matches: Whether these variables are of a job on this host.
        read: What they say. ``commit`` may still be shortened; facts that only the checkout knows are left out.
    """

    name: str
    matches: Callable[[Mapping[str, str]], bool]
    read: Callable[[Mapping[str, str]], Context]


HOSTS = (
    Host("github", github.matches, github.read),
    Host("gitlab", gitlab.matches, gitlab.read),
    Host("azure", azure.matches, azure.read),
    Host("bitbucket", bitbucket.matches, bitbucket.read),
    Host("circleci", circleci.matches, circleci.read),
    Host("codebuild", codebuild.matches, codebuild.read),
    Host("cloudbuild", cloudbuild.matches, cloudbuild.read),
    Host("jenkins", jenkins.matches, jenkins.read),
)
"""In the order in which they are asked. GitHub comes first because its jobs also run on CodeBuild's machines; Jenkins last
because its agents stand inside other hosts' machines and its variable names are the least its own."""
