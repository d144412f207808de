"""The pages on stores: their files are those of examples/iam, their lists those that are enforced, their commands ones that exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from otagate._bucket_url import OPTIONS, parse_bucket_url
from otagate._retry import Patience
from otagate.flow.doctor.codes import CODES
from otagate.identity.interface import Kind
from otagate.store.cloud_bucket import OPERATION, UPLOAD
from otagate.store.interface import MAX_DOCUMENT_BYTES
from otagate.store.obstore_objects import PART_BYTES, PARTS_AT_ONCE
from support.iam import FOLDER, many, policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stores.md").read_text("utf-8")
CLOUDS = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "docs" / "stores").glob("*.md"))}
BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(name, match) for name, text in CLOUDS.items() for match in BLOCK.finditer(text)]
SHELL = [pytest.param(match["text"], id=f"{name}-{match.start()}") for name, match in BLOCKS if match["language"] == "sh"]
ROLES = ("release", "sign", "prune")
BUCKET = "arn:aws:s3:::acme-updates/"
WRITTEN_ONCE = ("blobs/*", "apps/com.example.app/releases/*", "apps/com.example.app/ledger/*")


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_options_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`(?:s3|gs|az):`|all three) \| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)
    told = {
        (scheme, name): text for place, name, text in rows for scheme in (OPTIONS if place == "all three" else [place[1:3]])
    }
    assert told == {(scheme, name): text for scheme, options in OPTIONS.items() for name, text in options.items()}


def test_every_url_is_one() -> None:
    urls = re.findall(r"`((?:s3|gs|az)://[^`\s]+\?[^`\s]+)`", PAGE)
    assert len(urls) >= 9
    assert [parse_bucket_url(url).bucket for url in urls if "ACCOUNT" not in url.partition("?")[2].partition("account=")[2]]


def test_the_chain_is_the_code_s() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(PAGE, "Who otagate is to a cloud"), re.MULTILINE)
    assert rows == [str(kind) for kind in Kind]
    code = "".join(path.read_text("utf-8") for path in (ROOT / "src/otagate/identity").glob("*.py"))
    named = set(re.findall(r"`((?:AWS|AZURE|GOOGLE|OTAGATE|IDENTITY)_[A-Z_]+)`", section(PAGE, "Who otagate is to a cloud")))
    assert len(named) >= 12
    assert [name for name in named if f'"{name}"' not in code] == []


def test_numbers_are_the_code_s() -> None:
    patience = Patience()
    assert f"tried again for {OPERATION.total:.0f} seconds, an upload for {UPLOAD.total / 60:.0f} minutes" in PAGE
    assert f"up to {patience.longest:.0f} seconds" in PAGE
    assert (
        f"A document has at most {MAX_DOCUMENT_BYTES // 1024**2} MiB; a bundle {PART_BYTES * 10_000 // 10**9 // 10 * 10} GB on S3"
        in PAGE
    )
    assert PARTS_AT_ONCE == 6
    assert f"in parts of {PART_BYTES // 1024**2} MiB: six at once" in PAGE


def test_every_code_of_doctor_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:store|identity|public)\.[a-z-]+)`", PAGE)) - {"store.json"}
    assert named
    assert named <= {str(code) for code in CODES}


def test_every_file_is_included_as_it_is() -> None:
    included = [
        (match["mark"].removeprefix("file: "), match["text"])
        for _, match in BLOCKS
        if (match["mark"] or "").startswith("file:")
    ]
    assert {path: text == (ROOT / path).read_text("utf-8") for path, text in included} == {path: True for path, _ in included}
    assert sorted({Path(path).name for path, _ in included}) == sorted(path.name for path in FOLDER.iterdir())


def paths(role: str) -> set[str]:
    """Give the keys that a role may write: those of the policy that moto enforces."""
    puts = [statement for statement in policy(f"aws-{role}").statements if statement["Action"] == "s3:PutObject"]
    return {resource.removeprefix(BUCKET) for statement in puts for resource in many(statement["Resource"])}


def removed(role: str) -> set[str]:
    puts = [statement for statement in policy(f"aws-{role}").statements if statement["Action"] == "s3:DeleteObject"]
    return {resource.removeprefix(BUCKET) for statement in puts for resource in many(statement["Resource"])}


def google(name: str) -> set[str]:
    expression = json.loads((FOLDER / f"google-{name}.json").read_text("utf-8"))["expression"]
    # Google takes at most 12 logical operators.
    assert expression.count("||") <= 12
    found = set()
    for term in expression.split(" || "):
        match = re.fullmatch(
            r'resource\.name(?:(\.startsWith)\(| == )"projects/_/buckets/acme-updates/objects/([^"]+)"\)?', term
        )
        assert match
        found.add(match[2] + ("*" if match[1] else ""))
    return found


def azure(name: str, *actions: str) -> set[str]:
    text = (FOLDER / f"azure-{name}.txt").read_text("utf-8")
    assert text.count("(") == text.count(")")
    attribute = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
    assert re.findall(rf"!\(ActionMatches{{'{attribute}/([a-z/]+)'}}\)", text) == list(actions)
    terms = re.findall(rf"@Resource\[{attribute}:path\] (StringStartsWith|StringEquals) '([^']+)'", text)
    assert len(terms) == text.count("@Resource")
    return {path + ("*" if operator == "StringStartsWith" else "") for operator, path in terms}


@pytest.mark.parametrize("role", ROLES)
def test_each_cloud_lets_a_role_write_what_s3_lets_it_write(role: str) -> None:
    assert google(f"{role}-write") == paths(role)
    assert azure(f"{role}-write", "write", "add/action") == paths(role)


@pytest.mark.parametrize("role", ROLES)
def test_each_cloud_lets_a_role_remove_and_replace_no_more(role: str) -> None:
    assert azure(f"{role}-remove", "delete") == removed(role)
    # Overwriting is removing, to Google: what is written once is not in the list.
    assert google(f"{role}-replace") == (paths(role) - set(WRITTEN_ONCE)) | removed(role)


def test_no_role_may_write_what_is_another_s() -> None:
    app = "apps/com.example.app"
    assert not paths("release") & {f"{app}/channels/*", f"{app}/rollouts/*", f"{app}/active/*"}
    assert not paths("sign") & {"blobs/*", f"{app}/releases/*", f"{app}/bundles/*", f"{app}/serial.json"}
    assert not paths("prune") & {f"{app}/releases/*", f"{app}/channels/*", f"{app}/serial.json"}
    assert {grant.action for grant in policy("aws-read").grants()} == {"s3:GetObject", "s3:ListBucket"}
    assert [role for role in ROLES if "blobs/*" in removed(role)] == ["prune"]


def test_no_lifecycle_expires_what_is_current() -> None:
    rules = json.loads((FOLDER / "aws-lifecycle.json").read_text("utf-8"))["Rules"]
    assert all(rule["Status"] == "Enabled" and "Expiration" not in rule for rule in rules)
    assert [
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules if rule["Filter"]["Prefix"] == ""
    ] == [7]


@pytest.mark.parametrize("text", SHELL)
def test_shell_blocks_parse(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def aws_commands() -> list[list[str]]:
    lines = "\n".join(str(text.values[0]) for text in SHELL).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("aws ")]


@pytest.mark.parametrize("words", aws_commands(), ids=lambda words: " ".join(words[1:3]))
def test_commands_of_aws_have_just_the_options_that_there_are(words: list[str]) -> None:
    _, service, command, *rest = words
    name = {"s3api": "s3", "create-open-id-connect-provider": "CreateOpenIDConnectProvider"}
    model = botocore.session.Session().get_service_model(name.get(service, service))
    operation = name.get(command) or "".join(word.title() for word in command.split("-"))
    shape: Any = model.operation_model(operation).input_shape
    known = {_option(member) for member in shape.members}
    given = {word.removeprefix("--") for word in rest if word.startswith("--")} - {"region"}
    assert given <= known
    assert {_option(member) for member in shape.required_members} <= given
    assert all((FOLDER / word.removeprefix("file://")).is_file() for word in rest if word.startswith("file://"))


def _option(member: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", member).lower().replace("client-idlist", "client-id-list")


@pytest.mark.parametrize("cloud", sorted(CLOUDS))
def test_every_page_ends_with_doctor_and_has_one_line_of_policy(cloud: str) -> None:
    page = CLOUDS[cloud]
    assert [title[0] for title in re.findall(r"^## (.*)$", page, re.MULTILINE)] == ["1", "2", "3", "4", "5"]
    assert "```sh\notagate doctor\n```" in page.rpartition("\n## ")[2]
    (line,) = re.findall(r"^```yaml\n(storage: .*?)^```$", page, re.MULTILINE | re.DOTALL)
    parsed = parse_bucket_url(yaml.safe_load(line)["storage"])
    assert parsed.scheme == {"s3": "s3", "gcs": "gs", "azure": "az"}[cloud]
    assert parsed.public == "https://updates.example.com"


@pytest.mark.parametrize("cloud", ["azure", "gcs"])
def test_other_clouds_trust_whom_aws_trusts(cloud: str) -> None:
    commands = "".join(re.findall(r"^```sh\n(.*?)^```$", CLOUDS[cloud], re.MULTILINE | re.DOTALL))
    subjects = re.findall(r"(?:--subject |/subject/)([^\s\"]+)", commands)
    hosts = {
        "repo": ("aws-trust-github", "token.actions.githubusercontent.com"),
        "project_path": ("aws-trust-gitlab", "gitlab.com"),
    }
    assert {subject.partition(":")[0] for subject in subjects} == set(hosts)
    for subject in subjects:
        name, host = hosts[subject.partition(":")[0]]
        claims = {"sub": subject, "aud": "sts.amazonaws.com"}
        assert policy(name).trusts("sts:AssumeRoleWithWebIdentity", host, claims), subject
        assert f"https://{host}" in commands


@pytest.mark.integration
@pytest.mark.parametrize("cloud", sorted(CLOUDS))
@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_jobs_are_what_the_ci_takes(cloud: str, host: str, tmp_path: Path) -> None:
    ((_, match),) = [(name, match) for name, match in BLOCKS if name == cloud and match["mark"] == f"ci: {host} job"]
    job = yaml.safe_load(match["text"])
    whole = {"on": "push", "jobs": job} if host == "github" else {".otagate-oidc": {"script": ["true"]}, **job}
    (tmp_path / "ci.yml").write_text(yaml.safe_dump(whole), "utf-8")
    schema = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}[host]
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", schema, str(tmp_path / "ci.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
