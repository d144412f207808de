from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otagate.ci.detect import read_context
from otagate.ci.git import Checkout
from otagate.ci.hosts import github
from otagate.model import Context

HEAD = "a" * 40
PULL_HEAD = "b" * 40
MERGE = "c" * 40
WHEN = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True)
class FixedGit:
    """A checkout as the port gives it."""

    checkout: Checkout | None

    def read(self, commit: str | None = None) -> Checkout | None:
        return self.checkout


NO_GIT = FixedGit(None)


def context(environ: Mapping[str, str], git: FixedGit = NO_GIT) -> Context:
    return read_context(environ, Path("/nonexistent"), git=git)


GITHUB = {
    "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SHA": HEAD, "GITHUB_REPOSITORY": "acme/app", "GITHUB_RUN_ID": "77", "GITHUB_RUN_NUMBER": "5",
    "GITHUB_SERVER_URL": "https://github.com", "GITHUB_ACTOR": "ada", "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch",
}  # fmt: skip
GITLAB = {
    "CI": "true", "GITLAB_CI": "true", "CI_COMMIT_SHA": HEAD, "CI_PROJECT_PATH": "acme/mobile/app", "CI_PROJECT_ID": "4", "CI_PIPELINE_ID": "900",
    "CI_JOB_URL": "https://gitlab.example/acme/mobile/app/-/jobs/3", "CI_PIPELINE_URL": "https://gitlab.example/p/900", "GITLAB_USER_LOGIN": "ada",
    "CI_PIPELINE_SOURCE": "push",
}  # fmt: skip
GITLAB_MERGE = GITLAB | {
    "CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_ID": "10001", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_PROJECT_ID": "4",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "4", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_COMMIT_REF_NAME": "fix",
}  # fmt: skip
JENKINS = {
    "JENKINS_URL": "https://ci.example/", "BUILD_TAG": "jenkins-app-main-12", "BUILD_NUMBER": "12", "BUILD_ID": "12", "WORKSPACE": "/w",
    "BUILD_URL": "https://ci.example/job/app/12/", "RUN_DISPLAY_URL": "https://ci.example/blue/12", "GIT_COMMIT": HEAD,
    "GIT_URL": "git@git.example:acme/app.git", "BUILD_USER_ID": "ada",
}  # fmt: skip
AZURE = {
    "TF_BUILD": "True", "BUILD_SOURCEVERSION": HEAD, "BUILD_SOURCEBRANCH": "refs/heads/main", "BUILD_SOURCEBRANCHNAME": "main",
    "BUILD_REPOSITORY_NAME": "acme/app", "BUILD_BUILDID": "31", "SYSTEM_COLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "Mobile App", "BUILD_REQUESTEDFOR": "Ada",
}  # fmt: skip
AZURE_PULL = AZURE | {
    "BUILD_REASON": "PullRequest", "BUILD_SOURCEBRANCH": "refs/pull/9/merge", "BUILD_SOURCEVERSION": MERGE,
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": PULL_HEAD, "SYSTEM_PULLREQUEST_PULLREQUESTID": "1009", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "9",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/team/fix", "SYSTEM_PULLREQUEST_TARGETBRANCH": "main", "SYSTEM_PULLREQUEST_ISFORK": "False",
}  # fmt: skip
BITBUCKET = {
    "CI": "true", "BITBUCKET_BUILD_NUMBER": "8", "BITBUCKET_COMMIT": HEAD, "BITBUCKET_REPO_FULL_NAME": "acme/app",
    "BITBUCKET_STEP_TRIGGERER_UUID": "{ada}",
}  # fmt: skip
CIRCLE = {
    "CI": "true", "CIRCLECI": "true", "CIRCLE_SHA1": HEAD, "CIRCLE_PROJECT_USERNAME": "acme", "CIRCLE_PROJECT_REPONAME": "app",
    "CIRCLE_BUILD_NUM": "44", "CIRCLE_WORKFLOW_ID": "w-1", "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/app/44", "CIRCLE_USERNAME": "ada",
}  # fmt: skip
CODEBUILD = {
    "CODEBUILD_BUILD_ID": "app:11-22", "CODEBUILD_CI": "true", "CODEBUILD_RESOLVED_SOURCE_VERSION": HEAD, "AWS_REGION": "eu-west-3",
    "CODEBUILD_SOURCE_REPO_URL": "https://github.com/acme/app.git", "CODEBUILD_INITIATOR": "GitHub-Hookshot/1",
}  # fmt: skip
CLOUDBUILD = {
    "BUILD_ID": "0f0e0d0c-1111-2222-3333-444455556666", "PROJECT_ID": "acme-ci", "LOCATION": "europe-west1", "COMMIT_SHA": HEAD,
    "REPO_FULL_NAME": "acme/app",
}  # fmt: skip

GITHUB_CTX = Context(
    "github", HEAD, repository="acme/app", run_id="77", run_url="https://github.com/acme/app/actions/runs/77", actor="ada"
)
GITLAB_CTX = Context(
    "gitlab",
    HEAD,
    repository="acme/mobile/app",
    run_id="900",
    run_url="https://gitlab.example/acme/mobile/app/-/jobs/3",
    actor="ada",
)
JENKINS_CTX = Context(
    "jenkins", HEAD, repository="acme/app", run_id="jenkins-app-main-12", run_url="https://ci.example/job/app/12/", actor="ada"
)
AZURE_CTX = Context(
    "azure",
    HEAD,
    repository="acme/app",
    run_id="31",
    run_url="https://dev.azure.com/acme/Mobile%20App/_build/results?buildId=31",
    actor="Ada",
)
BITBUCKET_CTX = Context(
    "bitbucket", HEAD, repository="acme/app", run_id="8",
    run_url="https://bitbucket.org/acme/app/addon/pipelines/home#!/results/8", actor="{ada}",
)  # fmt: skip
CIRCLE_CTX = Context(
    "circleci", HEAD, repository="acme/app", run_id="w-1", run_url="https://circleci.com/gh/acme/app/44", actor="ada"
)
CODEBUILD_CTX = Context(
    "codebuild", HEAD, repository="acme/app", run_id="app:11-22", actor="GitHub-Hookshot/1",
    run_url="https://eu-west-3.console.aws.amazon.com/codesuite/codebuild/projects/app/build/app%3A11-22",
)  # fmt: skip
CLOUDBUILD_CTX = Context(
    "cloudbuild", HEAD, repository="acme/app", run_id="0f0e0d0c-1111-2222-3333-444455556666",
    run_url="https://console.cloud.google.com/cloud-build/builds;region=europe-west1/0f0e0d0c-1111-2222-3333-444455556666?project=acme-ci",
)  # fmt: skip

PULL_7: dict[str, Any] = {"pull_request": 7, "source_branch": "fix", "target_branch": "main"}

# name, variables, what the host's common context differs in
TABLE: list[tuple[str, Mapping[str, str], Context]] = [
    # GitHub without an event file; those with one are below
    ("github branch", GITHUB, replace(GITHUB_CTX, branch="main")),
    ("github branch with slashes", GITHUB | {"GITHUB_REF": "refs/heads/release/1.x", "GITHUB_REF_NAME": "release/1.x"}, replace(GITHUB_CTX, branch="release/1.x")),
    ("github tag", GITHUB | {"GITHUB_REF": "refs/tags/v1", "GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, replace(GITHUB_CTX, tag="v1")),
    ("github branch by name only", {**GITHUB, "GITHUB_REF": ""}, replace(GITHUB_CTX, branch="main")),
    ("github tag by name only", {**GITHUB, "GITHUB_REF": "", "GITHUB_REF_NAME": "v2", "GITHUB_REF_TYPE": "tag"}, replace(GITHUB_CTX, tag="v2")),
    ("github schedule", GITHUB | {"GITHUB_EVENT_NAME": "schedule"}, replace(GITHUB_CTX, branch="main")),
    ("github rerun by somebody else", GITHUB | {"GITHUB_TRIGGERING_ACTOR": "bob"}, replace(GITHUB_CTX, branch="main", actor="bob")),
    ("github enterprise", GITHUB | {"GITHUB_SERVER_URL": "https://git.acme.example/"}, replace(GITHUB_CTX, branch="main", run_url="https://git.acme.example/acme/app/actions/runs/77")),
    ("gitea", GITHUB | {"GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": "https://gitea.example"}, replace(GITHUB_CTX, branch="main", run_url="https://gitea.example/acme/app/actions/runs/5")),
    ("forgejo", GITHUB | {"FORGEJO_ACTIONS": "true", "GITHUB_SERVER_URL": "https://forge.example"}, replace(GITHUB_CTX, branch="main", run_url="https://forge.example/acme/app/actions/runs/5")),
    ("act", GITHUB | {"ACT": "true"}, replace(GITHUB_CTX, branch="main")),
    ("github on codebuild's machines", GITHUB | CODEBUILD, replace(GITHUB_CTX, branch="main")),
    ("github inside jenkins", GITHUB | JENKINS, replace(GITHUB_CTX, branch="main")),
    ("github without a server address", {**GITHUB, "GITHUB_SERVER_URL": ""}, replace(GITHUB_CTX, branch="main", run_url=None)),
    ("github pull request without event", GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_SHA": MERGE, "GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main"}, replace(GITHUB_CTX, commit=MERGE, is_fork=True, **PULL_7)),
    ("github head ref alone means a pull request", GITHUB | {"GITHUB_HEAD_REF": "fix", "GITHUB_BASE_REF": "main"}, replace(GITHUB_CTX, is_fork=True, source_branch="fix", target_branch="main")),
    ("github pull ref alone means a pull request", GITHUB | {"GITHUB_REF": "refs/pull/7/head"}, replace(GITHUB_CTX, is_fork=True, pull_request=7)),
    ("github merge group", GITHUB | {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": "refs/heads/gh-readonly-queue/main/pr-7-0abc"}, replace(GITHUB_CTX, branch="gh-readonly-queue/main/pr-7-0abc", target_branch="main", is_fork=True)),
    ("github push of a queue branch", GITHUB | {"GITHUB_REF": "refs/heads/gh-readonly-queue/release/1/pr-7-0abc"}, replace(GITHUB_CTX, branch="gh-readonly-queue/release/1/pr-7-0abc", target_branch="release/1", is_fork=True)),
    ("github merge group without its ref", GITHUB | {"GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF": ""}, replace(GITHUB_CTX, branch="main", is_fork=True)),
    ("github workflow_run without event", GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"}, replace(GITHUB_CTX, commit=None, is_fork=True)),
    ("github comment without event", GITHUB | {"GITHUB_EVENT_NAME": "issue_comment"}, replace(GITHUB_CTX, is_fork=True)),
    ("github hostile branch", GITHUB | {"GITHUB_REF": 'refs/heads/$(id)";curl x|sh'}, replace(GITHUB_CTX, branch='$(id)";curl x|sh')),
    ("github commit that is none", GITHUB | {"GITHUB_SHA": "HEAD; rm -rf"}, replace(GITHUB_CTX, commit=None, branch="main")),
    ("github commit in capitals", GITHUB | {"GITHUB_SHA": HEAD.upper()}, replace(GITHUB_CTX, branch="main")),
    # GitLab
    ("gitlab branch", GITLAB | {"CI_COMMIT_BRANCH": "main"}, replace(GITLAB_CTX, branch="main")),
    ("gitlab tag", GITLAB | {"CI_COMMIT_TAG": "v1"}, replace(GITLAB_CTX, tag="v1")),
    ("gitlab tag wins over a branch", GITLAB | {"CI_COMMIT_TAG": "v1", "CI_COMMIT_BRANCH": "main"}, replace(GITLAB_CTX, tag="v1")),
    ("gitlab merge request", GITLAB_MERGE, replace(GITLAB_CTX, **PULL_7)),
    ("gitlab merge request with a branch left over", GITLAB_MERGE | {"CI_COMMIT_BRANCH": "main"}, replace(GITLAB_CTX, **PULL_7)),
    ("gitlab merged results", GITLAB_MERGE | {"CI_COMMIT_SHA": MERGE, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": PULL_HEAD}, replace(GITLAB_CTX, commit=PULL_HEAD, **PULL_7)),
    ("gitlab fork, pipeline in the fork", GITLAB_MERGE | {"CI_PROJECT_ID": "9", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "9"}, replace(GITLAB_CTX, is_fork=True, **PULL_7)),
    ("gitlab fork, pipeline in the parent", GITLAB_MERGE | {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "9"}, replace(GITLAB_CTX, is_fork=True, **PULL_7)),
    ("gitlab merge request of nobody knows whom", {**GITLAB_MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": ""}, replace(GITLAB_CTX, is_fork=True, **PULL_7)),
    ("gitlab merge request without variables", GITLAB | {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_BRANCH": "main"}, replace(GITLAB_CTX, is_fork=True)),
    ("gitlab child pipeline of a merge request", GITLAB | {"CI_PIPELINE_SOURCE": "parent_pipeline", "CI_COMMIT_REF_NAME": "refs/merge-requests/7/head"}, replace(GITLAB_CTX, pull_request=7, is_fork=True)),
    ("gitlab external pull request", GITLAB | {"CI_EXTERNAL_PULL_REQUEST_IID": "7", "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "acme/app", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY": "acme/app", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME": "fix", "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME": "main", "CI_COMMIT_BRANCH": "fix"}, replace(GITLAB_CTX, **PULL_7)),
    ("gitlab external pull request of a fork", GITLAB | {"CI_EXTERNAL_PULL_REQUEST_IID": "7", "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY": "eve/app", "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY": "acme/app", "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA": PULL_HEAD}, replace(GITLAB_CTX, commit=PULL_HEAD, pull_request=7, is_fork=True)),
    ("gitlab without a job address", {**GITLAB, "CI_JOB_URL": "", "CI_COMMIT_BRANCH": "main"}, replace(GITLAB_CTX, branch="main", run_url="https://gitlab.example/p/900")),
    # Jenkins
    ("jenkins multibranch", JENKINS | {"BRANCH_NAME": "feature/x"}, replace(JENKINS_CTX, branch="feature/x")),
    ("jenkins without an address", {**JENKINS, "JENKINS_URL": "", "BRANCH_NAME": "main"}, replace(JENKINS_CTX, branch="main")),
    ("jenkins tag", JENKINS | {"BRANCH_NAME": "v1", "TAG_NAME": "v1"}, replace(JENKINS_CTX, tag="v1")),
    ("jenkins change", JENKINS | {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_BRANCH": "fix", "CHANGE_TARGET": "main"}, replace(JENKINS_CTX, **PULL_7)),
    ("jenkins change of a fork", JENKINS | {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_BRANCH": "fix", "CHANGE_TARGET": "main", "CHANGE_FORK": "eve"}, replace(JENKINS_CTX, is_fork=True, **PULL_7)),
    ("jenkins change that is no number", JENKINS | {"BRANCH_NAME": "I0123", "CHANGE_ID": "I0123", "CHANGE_TARGET": "main"}, replace(JENKINS_CTX, target_branch="main", is_fork=True)),
    ("jenkins branch named like a change", JENKINS | {"BRANCH_NAME": "PR-7-merge"}, replace(JENKINS_CTX, pull_request=7, is_fork=True)),
    ("jenkins git plugin, local branch", JENKINS | {"GIT_LOCAL_BRANCH": "main", "GIT_BRANCH": "origin/other"}, replace(JENKINS_CTX, branch="main")),
    ("jenkins git plugin, remote branch", JENKINS | {"GIT_BRANCH": "origin/release/1.x"}, replace(JENKINS_CTX, branch="release/1.x")),
    ("jenkins git plugin, full remote ref", JENKINS | {"GIT_BRANCH": "refs/remotes/origin/main"}, replace(JENKINS_CTX, branch="main")),
    ("jenkins git plugin, tag", JENKINS | {"GIT_BRANCH": "refs/tags/v1"}, replace(JENKINS_CTX, tag="v1")),
    ("jenkins git plugin, short tag", JENKINS | {"GIT_BRANCH": "tags/v1"}, replace(JENKINS_CTX, tag="v1")),
    ("jenkins git plugin, pull ref", JENKINS | {"GIT_BRANCH": "origin/pr/7/merge"}, replace(JENKINS_CTX, pull_request=7, is_fork=True)),
    ("jenkins git plugin, full pull ref", JENKINS | {"GIT_BRANCH": "refs/pull/7/head"}, replace(JENKINS_CTX, pull_request=7, is_fork=True)),
    ("jenkins detached", JENKINS | {"GIT_BRANCH": "detached"}, JENKINS_CTX),
    ("jenkins scripted, no git variables", {**JENKINS, "GIT_COMMIT": ""}, replace(JENKINS_CTX, commit=None)),
    ("jenkins gitlab plugin", JENKINS | {"GIT_BRANCH": "origin/fix", "gitlabMergeRequestIid": "7", "gitlabSourceBranch": "fix", "gitlabTargetBranch": "main", "gitlabSourceRepoHttpUrl": "https://g.example/acme/app.git", "gitlabTargetRepoHttpUrl": "https://g.example/acme/app.git"}, replace(JENKINS_CTX, **PULL_7)),
    ("jenkins gitlab plugin, fork", JENKINS | {"gitlabMergeRequestIid": "7", "gitlabSourceBranch": "fix", "gitlabTargetBranch": "main", "gitlabSourceRepoHttpUrl": "https://g.example/eve/app.git", "gitlabTargetRepoHttpUrl": "https://g.example/acme/app.git"}, replace(JENKINS_CTX, is_fork=True, **PULL_7)),
    ("jenkins pull request builder", JENKINS | {"ghprbPullId": "7", "ghprbSourceBranch": "fix", "ghprbTargetBranch": "main", "ghprbActualCommit": PULL_HEAD}, replace(JENKINS_CTX, commit=PULL_HEAD, is_fork=True, **PULL_7)),
    ("jenkins with cloud build's variables around", JENKINS | {"PROJECT_ID": "p", "LOCATION": "l", "BRANCH_NAME": "main"}, replace(JENKINS_CTX, branch="main")),
    ("jenkins without who, url and display url only", {**JENKINS, "BUILD_USER_ID": "", "BUILD_URL": "", "GIT_URL": "https://u:p@g.example/acme/app", "BRANCH_NAME": "main"}, replace(JENKINS_CTX, branch="main", actor=None, run_url="https://ci.example/blue/12")),
    # Azure Pipelines
    ("azure branch", AZURE, replace(AZURE_CTX, branch="main")),
    ("azure branch with slashes", AZURE | {"BUILD_SOURCEBRANCH": "refs/heads/feature/login", "BUILD_SOURCEBRANCHNAME": "login"}, replace(AZURE_CTX, branch="feature/login")),
    ("azure by its build address", {**AZURE, "TF_BUILD": "", "BUILD_BUILDURI": "vstfs:///Build/Build/31"}, replace(AZURE_CTX, branch="main")),
    ("azure tag", AZURE | {"BUILD_SOURCEBRANCH": "refs/tags/v1"}, replace(AZURE_CTX, tag="v1")),
    ("azure pull request of github", AZURE_PULL, replace(AZURE_CTX, commit=PULL_HEAD, pull_request=9, source_branch="team/fix", target_branch="main")),
    ("azure pull request of azure repos", {**AZURE_PULL, "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": ""}, replace(AZURE_CTX, commit=PULL_HEAD, pull_request=1009, source_branch="team/fix", target_branch="main")),
    ("azure fork", AZURE_PULL | {"SYSTEM_PULLREQUEST_ISFORK": "True"}, replace(AZURE_CTX, commit=PULL_HEAD, pull_request=9, source_branch="team/fix", target_branch="main", is_fork=True)),
    ("azure pull request, fork unknown", {**AZURE_PULL, "SYSTEM_PULLREQUEST_ISFORK": ""}, replace(AZURE_CTX, commit=PULL_HEAD, pull_request=9, source_branch="team/fix", target_branch="main", is_fork=True)),
    ("azure pull request by its ref alone", AZURE | {"BUILD_SOURCEBRANCH": "refs/pull/9/merge"}, replace(AZURE_CTX, pull_request=9, is_fork=True)),
    ("azure pull request by its reason alone", AZURE | {"BUILD_REASON": "PullRequest"}, replace(AZURE_CTX, is_fork=True)),
    ("azure macro that was not filled in", AZURE | {"SYSTEM_PULLREQUEST_PULLREQUESTID": "$(System.PullRequest.PullRequestId)"}, replace(AZURE_CTX, branch="main")),
    ("azure without a project", {**AZURE, "SYSTEM_TEAMPROJECT": ""}, replace(AZURE_CTX, branch="main", run_url=None)),
    # Bitbucket
    ("bitbucket branch", BITBUCKET | {"BITBUCKET_BRANCH": "main"}, replace(BITBUCKET_CTX, branch="main")),
    ("bitbucket tag", BITBUCKET | {"BITBUCKET_TAG": "v1"}, replace(BITBUCKET_CTX, tag="v1")),
    ("bitbucket pull request", BITBUCKET | {"BITBUCKET_BRANCH": "fix", "BITBUCKET_PR_ID": "7", "BITBUCKET_PR_DESTINATION_BRANCH": "main"}, replace(BITBUCKET_CTX, is_fork=True, **PULL_7)),
    ("bitbucket pull request without id", BITBUCKET | {"BITBUCKET_BRANCH": "fix", "BITBUCKET_PR_DESTINATION_BRANCH": "main"}, replace(BITBUCKET_CTX, is_fork=True, source_branch="fix", target_branch="main")),
    ("bitbucket without a name", {**BITBUCKET, "BITBUCKET_REPO_FULL_NAME": "", "BITBUCKET_BRANCH": "main"}, replace(BITBUCKET_CTX, branch="main", repository=None, run_url=None)),
    # CircleCI
    ("circleci branch", CIRCLE | {"CIRCLE_BRANCH": "main"}, replace(CIRCLE_CTX, branch="main")),
    ("circleci tag", CIRCLE | {"CIRCLE_TAG": "v1"}, replace(CIRCLE_CTX, tag="v1")),
    ("circleci pull request", CIRCLE | {"CIRCLE_BRANCH": "fix", "CIRCLE_PULL_REQUEST": "https://github.com/acme/app/pull/7"}, replace(CIRCLE_CTX, pull_request=7, source_branch="fix")),
    ("circleci fork", CIRCLE | {"CIRCLE_BRANCH": "pull/7", "CIRCLE_PULL_REQUEST": "https://github.com/acme/app/pull/7", "CIRCLE_PR_NUMBER": "7", "CIRCLE_PR_USERNAME": "eve", "CIRCLE_PR_REPONAME": "app"}, replace(CIRCLE_CTX, pull_request=7, source_branch="pull/7", is_fork=True)),
    ("circleci fork by its names alone", CIRCLE | {"CIRCLE_BRANCH": "fix", "CIRCLE_PR_REPONAME": "app"}, replace(CIRCLE_CTX, source_branch="fix", is_fork=True)),
    ("circleci fork by its branch alone", CIRCLE | {"CIRCLE_BRANCH": "pull/7"}, replace(CIRCLE_CTX, pull_request=7, source_branch="pull/7", is_fork=True)),
    ("circleci without workflow and names", {**CIRCLE, "CIRCLE_WORKFLOW_ID": "", "CIRCLE_PROJECT_REPONAME": "", "CIRCLE_BRANCH": "main"}, replace(CIRCLE_CTX, branch="main", run_id="44", repository=None)),
    # CodeBuild
    ("codebuild branch trigger", CODEBUILD | {"CODEBUILD_WEBHOOK_TRIGGER": "branch/feature/x"}, replace(CODEBUILD_CTX, branch="feature/x")),
    ("codebuild head ref", CODEBUILD | {"CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main"}, replace(CODEBUILD_CTX, branch="main")),
    ("codebuild source version", CODEBUILD | {"CODEBUILD_SOURCE_VERSION": "refs/heads/main"}, replace(CODEBUILD_CTX, branch="main")),
    ("codebuild tag", CODEBUILD | {"CODEBUILD_WEBHOOK_TRIGGER": "tag/v1"}, replace(CODEBUILD_CTX, tag="v1")),
    ("codebuild tag head ref", CODEBUILD | {"CODEBUILD_WEBHOOK_HEAD_REF": "refs/tags/v1"}, replace(CODEBUILD_CTX, tag="v1")),
    ("codebuild pull request", CODEBUILD | {"CODEBUILD_WEBHOOK_TRIGGER": "pr/7", "CODEBUILD_SOURCE_VERSION": "pr/7", "CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/fix", "CODEBUILD_WEBHOOK_BASE_REF": "refs/heads/main"}, replace(CODEBUILD_CTX, is_fork=True, **PULL_7)),
    ("codebuild pull request by version", CODEBUILD | {"CODEBUILD_SOURCE_VERSION": "pr/7"}, replace(CODEBUILD_CTX, pull_request=7, is_fork=True)),
    ("codebuild pull request by event", CODEBUILD | {"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_UPDATED", "CODEBUILD_WEBHOOK_HEAD_REF": "refs/heads/main"}, replace(CODEBUILD_CTX, source_branch="main", is_fork=True)),
    ("codebuild by hand", CODEBUILD | {"CODEBUILD_SOURCE_VERSION": "main"}, CODEBUILD_CTX),
    ("codebuild by its flag alone", {**CODEBUILD, "CODEBUILD_BUILD_ID": "", "CODEBUILD_SOURCE_VERSION": "refs/heads/main"}, replace(CODEBUILD_CTX, branch="main", run_id=None, run_url=None)),
    ("codebuild with its own address", CODEBUILD | {"CODEBUILD_BUILD_URL": "https://c.example/1", "CODEBUILD_SOURCE_VERSION": "refs/heads/main"}, replace(CODEBUILD_CTX, branch="main", run_url="https://c.example/1")),
    # Cloud Build
    ("cloudbuild branch", CLOUDBUILD | {"BRANCH_NAME": "main"}, replace(CLOUDBUILD_CTX, branch="main")),
    ("cloudbuild tag", CLOUDBUILD | {"TAG_NAME": "v1", "BRANCH_NAME": ""}, replace(CLOUDBUILD_CTX, tag="v1")),
    ("cloudbuild pull request", CLOUDBUILD | {"BRANCH_NAME": "fix", "_PR_NUMBER": "7", "_HEAD_BRANCH": "fix", "_BASE_BRANCH": "main", "_HEAD_REPO_URL": "https://github.com/acme/app"}, replace(CLOUDBUILD_CTX, **PULL_7)),
    ("cloudbuild fork", CLOUDBUILD | {"BRANCH_NAME": "main", "_PR_NUMBER": "7", "_HEAD_BRANCH": "fix", "_BASE_BRANCH": "main", "_HEAD_REPO_URL": "https://github.com/eve/app"}, replace(CLOUDBUILD_CTX, is_fork=True, **PULL_7)),
    ("cloudbuild pull request, fork unknown", CLOUDBUILD | {"BRANCH_NAME": "main", "_PR_NUMBER": "7"}, replace(CLOUDBUILD_CTX, pull_request=7, is_fork=True)),
    # Nothing we know
    ("generic CI", {"CI": "true"}, Context("none")),
    ("GITHUB_ACTIONS=false", {"GITHUB_ACTIONS": "false"}, Context("none")),
    ("a build id alone is nobody's", {"BUILD_ID": "12", "PROJECT_ID": "p", "LOCATION": "l"}, Context("none")),
    ("laptop", {}, Context("none")),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_a_host_tells(environ: Mapping[str, str], expected: Context) -> None:
    assert context(environ) == expected


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len({row[0] for row in TABLE}) == len(TABLE) >= 60


def event_file(folder: Path, event: Any) -> dict[str, str]:
    path = folder / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    return {"GITHUB_EVENT_PATH": str(path)}


def pull_event(**head: Any) -> dict[str, Any]:
    return {
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {"ref": "fix", "sha": PULL_HEAD, "repo": {"full_name": "acme/app"}} | head,
            "base": {"ref": "main"},
        },
    }


def run_event(**run: Any) -> dict[str, Any]:
    common = {"event": "push", "head_branch": "main", "head_sha": PULL_HEAD, "head_repository": {"full_name": "acme/app"}}
    return {"workflow_run": common | {"pull_requests": []} | run}


PULL: dict[str, Any] = {"commit": PULL_HEAD, **PULL_7}
EVENTS: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("pull request", "pull_request", pull_event(), PULL),
    ("pull request, name in other case", "pull_request", pull_event(repo={"full_name": "Acme/App"}), PULL),
    ("pull request of a fork", "pull_request", pull_event(repo={"full_name": "eve/app"}), {**PULL, "is_fork": True}),
    ("pull request of a deleted fork", "pull_request", pull_event(repo=None), {**PULL, "is_fork": True}),
    ("pull_request_target", "pull_request_target", pull_event(), PULL),
    ("pull_request_target of a fork", "pull_request_target", pull_event(repo={"full_name": "eve/app"}), {**PULL, "is_fork": True}),
    ("review", "pull_request_review", pull_event(), PULL),
    ("review comment of a fork", "pull_request_review_comment", pull_event(repo=None), {**PULL, "is_fork": True}),
    ("number at the top only", "pull_request", {"number": 7, "pull_request": {"head": {"sha": PULL_HEAD}}}, {"commit": PULL_HEAD, "pull_request": 7, "is_fork": True}),
    ("number that is none", "pull_request", {"number": True, "pull_request": {"number": "7;x"}}, {"commit": HEAD, "is_fork": True}),
    ("parts of the wrong kind", "pull_request", {"pull_request": {"head": "x", "base": [], "number": {}}}, {"commit": HEAD, "is_fork": True}),
    ("event that is a list", "pull_request", [1], {"commit": HEAD, "is_fork": True}),
    ("event that is broken", "pull_request", "{", {"commit": HEAD, "is_fork": True}),
    ("event with a key twice", "pull_request", '{"number": 7, "number": 8}', {"commit": HEAD, "is_fork": True}),
    ("event that is nested too deeply", "pull_request", "[" * 100_000, {"commit": HEAD, "is_fork": True}),
    ("event that is empty", "pull_request", "", {"commit": HEAD, "is_fork": True}),
    ("run of a push", "workflow_run", run_event(), {"commit": PULL_HEAD, "branch": "main"}),
    ("run of a fork's branch called main", "workflow_run", run_event(head_repository={"full_name": "eve/app"}), {"commit": PULL_HEAD, "source_branch": "main", "is_fork": True}),
    ("run of a deleted fork", "workflow_run", run_event(head_repository=None), {"commit": PULL_HEAD, "source_branch": "main", "is_fork": True}),
    ("run of a pull request", "workflow_run", run_event(event="pull_request", head_branch="fix", pull_requests=[{"number": 7, "base": {"ref": "main"}}]), PULL),
    ("run of a fork's pull request", "workflow_run", run_event(event="pull_request", head_repository={"full_name": "eve/app"}), {"commit": PULL_HEAD, "source_branch": "main", "is_fork": True}),
    ("run of an unknown event", "workflow_run", run_event(event=None), {"commit": PULL_HEAD, "source_branch": "main"}),
    ("run with pull requests of the wrong kind", "workflow_run", run_event(event="pull_request", pull_requests=["7"]), {"commit": PULL_HEAD, "source_branch": "main"}),
    ("comment on an issue", "issue_comment", {"issue": {"number": 3}}, {"commit": HEAD, "branch": "main"}),
    ("comment on a pull request", "issue_comment", {"issue": {"number": 7, "pull_request": {"url": "x"}}}, {"commit": HEAD, "pull_request": 7, "is_fork": True}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "event", "expected"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
def test_what_a_github_event_tells(tmp_path: Path, name: str, event: Any, expected: dict[str, Any]) -> None:
    found = context(GITHUB | {"GITHUB_EVENT_NAME": name} | event_file(tmp_path, event))
    assert found == replace(GITHUB_CTX, **{"commit": None, **expected})


def test_an_event_that_is_missing_a_folder_or_too_large_makes_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = GITHUB | {"GITHUB_EVENT_NAME": "pull_request"}
    assert context(base | {"GITHUB_EVENT_PATH": str(tmp_path / "missing")}).is_fork
    assert context(base | {"GITHUB_EVENT_PATH": str(tmp_path)}).is_fork
    fitting = base | event_file(tmp_path, pull_event())
    assert not context(fitting).is_fork
    monkeypatch.setattr(github, "MAX_EVENT_BYTES", 100)
    assert context(fitting).is_fork


def test_without_our_own_name_every_pull_request_is_a_forks(tmp_path: Path) -> None:
    environ = GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REPOSITORY": ""} | event_file(tmp_path, pull_event())
    assert context(environ).is_fork


CHECKOUT = Checkout(HEAD, branch="main", tag=None, committed_at=WHEN)


def test_git_alone() -> None:
    git = FixedGit(replace(CHECKOUT, is_dirty=True, is_shallow=True))
    expected = Context("git", HEAD, branch="main", committed_at=WHEN, is_dirty=True, is_shallow=True)
    assert context({}, git) == expected


@pytest.mark.parametrize(
    ("environ", "checkout", "expected"),
    [
        pytest.param(GITHUB, CHECKOUT, {"commit": HEAD, "committed_at": WHEN, "is_dirty": False}, id="same commit"),
        pytest.param(GITHUB, replace(CHECKOUT, head=MERGE), {"commit": HEAD, "is_dirty": True}, id="another commit is checked out"),
        pytest.param(GITHUB, replace(CHECKOUT, branch="other"), {"branch": "main"}, id="the host knows the branch better"),
        pytest.param(
            BITBUCKET | {"BITBUCKET_COMMIT": HEAD[:12], "BITBUCKET_PR_ID": "7"},
            replace(CHECKOUT, head=MERGE, commit=HEAD),
            {"commit": HEAD, "is_dirty": False},
            id="twelve digits become forty",
        ),
        pytest.param(
            BITBUCKET | {"BITBUCKET_COMMIT": HEAD[:12]}, replace(CHECKOUT, head=MERGE), {"commit": MERGE}, id="twelve digits of nothing"
        ),
        pytest.param({**JENKINS, "GIT_COMMIT": ""}, CHECKOUT, {"commit": HEAD, "branch": "main"}, id="jenkins scripted"),
        pytest.param(
            {**JENKINS, "GIT_COMMIT": ""}, replace(CHECKOUT, branch=None, tag="v1"), {"tag": "v1", "branch": None}, id="jenkins scripted tag"
        ),
        pytest.param(CODEBUILD, CHECKOUT, {"branch": "main"}, id="codebuild by hand"),
        pytest.param(
            JENKINS | {"CHANGE_ID": "I01"}, CHECKOUT, {"branch": None, "is_fork": True}, id="a change without number is no branch of ours"
        ),
        pytest.param(
            GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"}, CHECKOUT, {"branch": None, "commit": HEAD, "is_fork": True}, id="nor is a fork's run"
        ),
        pytest.param(
            CODEBUILD | {"CODEBUILD_WEBHOOK_EVENT": "PULL_REQUEST_CREATED"}, CHECKOUT, {"branch": None, "is_fork": True}, id="nor codebuild's"
        ),
    ],
)  # fmt: skip
def test_the_checkout_fills_the_gaps(environ: Mapping[str, str], checkout: Checkout, expected: dict[str, Any]) -> None:
    found = context(environ, FixedGit(checkout))
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_shortened_commit_without_a_checkout_is_dropped() -> None:
    assert context(BITBUCKET | {"BITBUCKET_COMMIT": HEAD[:12]}).commit is None


def test_the_ref_of_a_fork_is_never_a_branch_rule_of_ours(tmp_path: Path) -> None:
    for name, event in (("workflow_run", run_event(head_repository=None)), ("pull_request_target", pull_event(repo=None))):
        found = context(GITHUB | {"GITHUB_EVENT_NAME": name} | event_file(tmp_path, event), FixedGit(CHECKOUT))
        assert found.ref in {None, "pulls/7"}


def test_by_default_the_git_program_is_asked(tmp_path: Path) -> None:
    assert read_context({"PATH": str(tmp_path)}, tmp_path) == Context("none")
