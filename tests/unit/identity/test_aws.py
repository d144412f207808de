"""Every link of AWS's chain, with the services' own answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.identity import _aws_sts
from otagate.identity.aws import aws_identity
from otagate.identity.interface import AwsKeys, Identity, Kind
from support.identities import World, answering, jwt, nobody

ROLE = "arn:aws:iam::123456789012:role/path/ota"
TOKEN = {"OTAGATE_OIDC_TOKEN": jwt()}
STORED = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "stored-secret"}
KEYS = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "short-secret",
    "Token": "session-secret",
    "Expiration": "2026-11-21T15:30:00Z",
    "Code": "Success",
}
GOT = AwsKeys("ASIAEXAMPLE", "short-secret", "session-secret", datetime(2026, 11, 21, 15, 30, tzinfo=UTC))
STS = """<?xml version="1.0"?><AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>short-secret</SecretAccessKey>
<SessionToken>session-secret</SessionToken><Expiration>2026-11-21T15:30:00Z</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def identity(environ: Mapping[str, str], world: World | None = None, only: Kind | None = None) -> Identity[AwsKeys]:
    return aws_identity(None, None, only, {"HOME": "/nowhere", **environ}, outside=(world or World()).outside())


def refused(code: str, message: str = "", status: int = 400) -> httpx.Response:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return httpx.Response(status, text=text)


def test_the_ci_takes_a_role() -> None:
    world = World(lambda _: httpx.Response(200, text=STS))
    environ = {**TOKEN, **STORED, "AWS_ROLE_ARN": ROLE, "AWS_REGION": "eu-west-1", "CI_JOB_ID": "7"}

    found = identity(environ, world)

    assert world.asked == []
    assert [(link.kind.value, link.found, link.is_static) for link in found.links if link.found] == [
        ("oidc", True, False),
        ("environment", True, True),
    ]
    assert found.get() == GOT
    assert str(world.asked[0].url) == "https://sts.eu-west-1.amazonaws.com/"
    form = {name: values[0] for name, values in parse_qs(world.asked[0].content.decode()).items()}
    assert form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "otagate-7",
        "WebIdentityToken": jwt(),
    }
    assert not [secret for secret in ("short-secret", "session-secret", jwt()) if secret in repr((found, found.get()))]


@pytest.mark.parametrize(
    ("role", "environ", "expected"),
    [
        (ROLE, {}, "https://sts.us-east-1.amazonaws.com"),
        (ROLE, {"AWS_DEFAULT_REGION": "ap-southeast-2"}, "https://sts.ap-southeast-2.amazonaws.com"),
        (ROLE, {"AWS_REGION": "auto"}, "https://sts.us-east-1.amazonaws.com"),
        (ROLE, {"AWS_REGION": "x.evil.example/"}, "https://sts.us-east-1.amazonaws.com"),
        (ROLE.replace("aws", "aws-cn"), {}, "https://sts.cn-north-1.amazonaws.com.cn"),
        (ROLE.replace("aws", "aws-us-gov"), {"AWS_REGION": "us-gov-east-1"}, "https://sts.us-gov-east-1.amazonaws.com"),
        (ROLE.replace("aws", "aws-moon"), {}, "https://sts.us-east-1.amazonaws.com"),
        (
            ROLE,
            {"AWS_ENDPOINT_URL_STS": "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com/"},
            "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
        ),
    ],
)
def test_endpoints(role: str, environ: dict[str, str], expected: str) -> None:
    assert _aws_sts.endpoint(role, environ) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "otagate"),
        ({"GITHUB_RUN_ID": "1"}, "otagate-1"),
        ({"BUILD_TAG": "jenkins-a/b c"}, "otagate-jenkins-a-b-c"),
        ({"AWS_ROLE_SESSION_NAME": "x"}, "x-"),
        ({"AWS_ROLE_SESSION_NAME": "y" * 99}, "y" * 64),
    ],
)
def test_session_names(environ: dict[str, str], expected: str) -> None:
    assert _aws_sts.session_name(environ) == expected


@pytest.mark.parametrize("role", ["ota", "arn:aws:iam::1:role/x", f"{ROLE}\nx", "arn:aws:s3:::bucket"])
def test_what_is_no_role(role: str) -> None:
    with pytest.raises(UsageError, match="not the ARN of a role"):
        identity({**TOKEN, "AWS_ROLE_ARN": role})


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (refused("AccessDenied", f"Not authorized {jwt()}", 403), AccessError, "AccessDenied: Not authorized ***\n"),
        (refused("InvalidIdentityToken", "No provider"), AccessError, "create the identity provider"),
        (refused("Strange"), AccessError, "found: Strange: \n"),
        (httpx.Response(403, text="<html>"), AccessError, "HTTP 403"),
        (httpx.Response(302), AccessError, "HTTP 302"),
        (refused("Throttling"), UnavailableError, "HTTP 400"),
        (refused("IDPCommunicationError"), UnavailableError, "HTTP 400"),
        (httpx.Response(200, text="<a/>"), UnavailableError, "without them"),
        (httpx.Response(200, text=STS.replace("2026-11-21T15:30:00Z", "soon")), UnavailableError, "without them"),
        (httpx.Response(200, text='<!DOCTYPE a [<!ENTITY b "c">]>' + STS), UnavailableError, "without them"),
        (httpx.Response(200, content=STS.encode("utf-16")), UnavailableError, "without them"),
        (httpx.Response(200, text="<a>"), UnavailableError, "without them"),
    ],
)
def test_sts_gives_none(answer: httpx.Response, kind: type[OtagateError], said: str) -> None:
    with pytest.raises(kind, match=re.escape(said)) as caught:
        identity({**TOKEN, "AWS_ROLE_ARN": ROLE}, World(lambda _: answer)).get()
    assert jwt() not in str(caught.value)


def test_a_refusal_shows_what_the_trust_policy_must_name() -> None:
    with pytest.raises(AccessError) as caught:
        identity({**TOKEN, "AWS_ROLE_ARN": ROLE}, World(lambda _: refused("AccessDenied", status=403))).get()
    assert (
        caught.value.expected
        == "a trust policy that allows sub repo:acme/app, aud sts.amazonaws.com, iss https://issuer.example"
    )
    assert caught.value.subject == ROLE


def test_a_step_before_exchanged_the_token() -> None:
    world = World(facts={"sys_vendor": "Amazon EC2"})
    found = identity({**STORED, "AWS_SESSION_TOKEN": "session-secret"}, world)
    assert (found.used.kind, found.used.is_static) == (Kind.OIDC, False)
    assert found.get() == AwsKeys("AKIAEXAMPLE", "stored-secret", "session-secret")
    assert not found.links[3].found
    assert world.asked == []


def test_a_token_without_a_role() -> None:
    found = identity({**TOKEN, **STORED})
    assert found.used.kind is Kind.ENVIRONMENT
    assert "no role is named" in found.links[0].detail


def test_a_pods_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(jwt())
    pod = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE}
    # A CI's runner in such a pod: the variable's role is the pod's, and believes the pod's token only.
    found = identity({**pod, **TOKEN}, World(lambda _: httpx.Response(200, text=STS)))
    assert (found.used.kind, found.used.detail) == (Kind.POD, f"the pod's token, as {ROLE}")
    assert found.get() == GOT


def test_a_pods_token_without_role_or_file(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="AWS_ROLE_ARN is not"):
        identity({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"})
    with pytest.raises(AccessError, match="cannot be read"):
        identity({"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "x"), "AWS_ROLE_ARN": ROLE}).get()


def test_a_container_by_path() -> None:
    world = World(answering({"GET /v2/credentials/1": KEYS}))
    found = identity({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}, world)
    assert (found.used.kind, found.get()) == (Kind.POD, GOT)
    assert world.asked[0].url.host == "169.254.170.2"
    assert "Authorization" not in world.asked[0].headers


def test_a_container_by_address_with_a_token_that_changes(tmp_path: Path) -> None:
    world = World(answering({"GET /v1/credentials": {**KEYS, "Expiration": "2026-11-21T09:31:00Z"}}))
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "unused",
    }
    found = identity(environ, world)
    for token in ("one", "two"):
        (tmp_path / "token").write_text(f"{token}\n")
        found.get()
        world._sleep(60)
    assert [request.headers["Authorization"] for request in world.asked] == ["one", "two"]


def test_a_container_with_a_token_in_a_variable() -> None:
    world = World(answering({"GET /c": KEYS}))
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://c.example/c", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "one"}
    assert identity(environ, world).get() == GOT
    assert world.asked[0].headers["Authorization"] == "one"


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/c"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example/c"},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@evil.example/"},
    ],
)
def test_containers_ask_nobody_else(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="AWS_CONTAINER"):
        identity(environ)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(403, json={"code": "AccessDenied", "message": "my-token is bad"}), AccessError, "AccessDenied ***"),
        (httpx.Response(200, json={"Code": "Failed"}), UnavailableError, "Failed"),
        (httpx.Response(200, text="x"), UnavailableError, "without them"),
    ],
)
def test_a_container_gets_none(answer: httpx.Response, kind: type[OtagateError], said: str) -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "my-token"}
    with pytest.raises(kind, match=re.escape(said)):
        identity(environ, World(lambda _: answer)).get()


def test_a_container_without_its_token(tmp_path: Path) -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c"}
    with pytest.raises(AccessError, match="token cannot be read"):
        identity({**environ, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "x")}).get()


def test_a_container_service_that_is_not_there() -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c", **STORED}
    assert identity(environ, World(nobody)).get().access_key_id == "AKIAEXAMPLE"


LISTING = "/latest/meta-data/iam/security-credentials/"
IMDS = {
    "PUT /latest/api/token": httpx.Response(200, text="imds-token"),
    f"GET {LISTING}": httpx.Response(200, text="ota-role\n"),
    f"GET {LISTING}ota-role": KEYS,
}


@pytest.mark.parametrize(
    "facts", [{"sys_vendor": "Amazon EC2"}, {"bios_vendor": "Amazon EC2"}, {"product_uuid": "EC2E1916-9099"}]
)
def test_a_machine(facts: dict[str, str]) -> None:
    world = World(answering(IMDS), facts)
    found = identity({}, world)
    assert world.asked == []
    assert (found.used.kind, found.get()) == (Kind.INSTANCE, GOT)
    assert [(request.method, request.url.host) for request in world.asked] == [("PUT", "169.254.169.254")] + [
        ("GET", "169.254.169.254")
    ] * 2
    assert world.asked[0].headers["X-aws-ec2-metadata-token-ttl-seconds"] == "300"
    assert [request.headers["X-aws-ec2-metadata-token"] for request in world.asked[1:]] == ["imds-token"] * 2


def test_a_machines_service_elsewhere() -> None:
    world = World(answering(IMDS))
    assert identity({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[fd00:ec2::254]/"}, world).get() == GOT
    with pytest.raises(UsageError, match="AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        identity({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://10.0.0.1/"}, world).get()


def test_a_machine_is_not_asked() -> None:
    with pytest.raises(AccessError, match="AWS_EC2_METADATA_DISABLED is true"):
        identity({"AWS_EC2_METADATA_DISABLED": "true"}, World(facts={"sys_vendor": "Amazon EC2"}))
    with pytest.raises(AccessError, match="does not say that it is EC2"):
        identity({}, World(facts={"sys_vendor": "LENOVO"}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({f"GET {LISTING}": httpx.Response(404)}, "the machine has no role"),
        ({f"GET {LISTING}": httpx.Response(200, text="<html>")}, "the machine has no role"),
        ({"PUT /latest/api/token": httpx.Response(403)}, "gives no token: HTTP 403"),
        ({f"GET {LISTING}": httpx.Response(401)}, "HTTP 401"),
        ({f"GET {LISTING}ota-role": httpx.Response(404)}, "HTTP 404"),
    ],
)
def test_a_machine_without_a_role(changes: dict[str, httpx.Response], said: str) -> None:
    world = World(answering({**IMDS, **changes}), {"sys_vendor": "Amazon EC2"})
    with pytest.raises(AccessError, match=said):
        identity({}, world).get()


def test_a_machine_that_is_not_let_through() -> None:
    world = World(nobody, {"sys_vendor": "Amazon EC2"})
    assert identity(STORED, world).get().secret_access_key == "stored-secret"
    with pytest.raises(AccessError, match="hop limit"):
        identity(STORED, world, Kind.INSTANCE).get()


def test_stored_keys_are_static() -> None:
    found = identity(STORED)
    assert (found.used.kind, found.used.is_static, found.get()) == (
        Kind.ENVIRONMENT,
        True,
        AwsKeys("AKIAEXAMPLE", "stored-secret"),
    )
    with pytest.raises(AccessError, match="not both set"):
        identity({"AWS_ACCESS_KEY_ID": "x"})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = AKIADEFAULT\naws_secret_access_key = file-secret\n"
        "[half]\naws_access_key_id = AKIAHALF\n"
    )
    # The program's words are a shell's own, so that nothing but /bin/sh is needed.
    (tmp_path / "give").write_text(
        """#!/bin/sh
echo '{"Version": 1, "AccessKeyId": "ASIAPROC", "SecretAccessKey": "proc-secret", "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}'
"""
    )
    (tmp_path / "fail").write_text("#!/bin/sh\necho proc-secret-words >&2\nexit 1\n")
    for name in ("give", "fail"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".aws" / "config").write_text(
        f"[profile proc]\ncredential_process = {tmp_path}/give\n[profile bad]\ncredential_process = {tmp_path}/fail\n"
        "[profile empty]\nregion = eu-west-1\n[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_start_url = https://acme.awsapps.com/start\nsso_region = eu-west-1\n"
    )
    return tmp_path


def of_profile(name: str | None, home: Path, **environ: str) -> Identity[AwsKeys]:
    return aws_identity(None, name, None, {"HOME": str(home), **environ}, outside=World().outside())


def test_a_profile_with_a_key(home: Path) -> None:
    found = of_profile(None, home)
    assert (found.used.kind, found.used.is_static, found.used.detail) == (Kind.PROFILE, True, "profile default (a stored key)")
    assert found.get() == AwsKeys("AKIADEFAULT", "file-secret")


def test_a_profile_with_a_program(home: Path) -> None:
    found = of_profile(None, home, AWS_PROFILE="proc")
    assert not found.used.is_static
    assert found.get() == AwsKeys("ASIAPROC", "proc-secret", "t", datetime(2099, 1, 1, tzinfo=UTC))
    assert "proc-secret" not in repr((found, found.get()))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bad", "the program of `credential_process` failed"),
        ("sso", "aws sso login"),
        ("half", "PartialCredentialsError"),
    ],
)
def test_a_profile_that_gives_nothing(name: str, said: str, home: Path) -> None:
    with pytest.raises(AccessError, match=said) as caught:
        of_profile(name, home).get()
    assert "proc-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"), [("none", "there is no profile none in "), ("empty", "holds no way"), ("x\x1b[2J", "x\\\\x1b\\[2J")]
)
def test_a_profile_that_is_not_there(name: str, said: str, home: Path) -> None:
    with pytest.raises(AccessError, match=said):
        of_profile(name, home)


def test_profiles_in_other_files(home: Path) -> None:
    (home / "keys").write_text("[me]\naws_access_key_id = AKIAME\naws_secret_access_key = file-secret\naws_session_token = t\n")
    found = of_profile("me", home, AWS_SHARED_CREDENTIALS_FILE="~/keys", AWS_CONFIG_FILE=str(home / "none"))
    assert not found.used.is_static
    assert found.get() == AwsKeys("AKIAME", "file-secret", "t")


def test_a_broken_file_holds_no_profile(home: Path) -> None:
    (home / ".aws" / "credentials").write_text("what is this\n[x")
    (home / ".aws" / "config").write_bytes(b"\xff")
    with pytest.raises(AccessError, match="there is no profile default"):
        of_profile(None, home)


def test_without_botocore(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_profile(None, home)
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(UsageError, match=r"pip install 'otagate\[s3\]'"):
        found.get()
    with pytest.raises(AccessError, match=r"pip install 'otagate\[s3\]'"):
        of_profile(None, home)


def test_keys_without_an_end() -> None:
    world = World(answering({"GET /c": {"AccessKeyId": "a", "SecretAccessKey": "b"}}))
    assert identity({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/c"}, world).get() == AwsKeys("a", "b")


def foreign(environ: Mapping[str, str], world: World, only: Kind | None = None) -> Identity[AwsKeys]:
    return aws_identity(None, None, only, {"HOME": "/nowhere", **environ}, is_foreign=True, outside=world.outside())


RICH = {
    **TOKEN,
    "AWS_ROLE_ARN": ROLE,
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere/token",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://169.254.169.254",
}


def test_for_an_endpoint_that_is_not_aws_s_the_keys_of_the_environment_come_first() -> None:
    world = World(lambda _: httpx.Response(200, text=STS))
    found = foreign({**RICH, **STORED}, world)
    assert found.used.kind is Kind.ENVIRONMENT
    assert found.get() == AwsKeys("AKIAEXAMPLE", "stored-secret")
    assert world.asked == []
    assert [link.kind for link in found.links if link.found] == [Kind.ENVIRONMENT]
    assert "identity=pod" in next(link.detail for link in found.links if link.kind is Kind.POD)


@pytest.mark.parametrize("environ", [RICH, {**STORED, "AWS_SESSION_TOKEN": "session-secret"}], ids=["roles", "session"])
def test_an_endpoint_that_is_not_aws_s_gets_neither_role_nor_session(environ: dict[str, str]) -> None:
    world = World(lambda _: httpx.Response(200, text=STS))
    with pytest.raises(AccessError) as caught:
        foreign(environ, world)
    assert world.asked == []
    assert any("identity=" in line for line in caught.value.details)
    assert "session-secret" not in str(caught.value)


def test_an_endpoint_that_is_not_aws_s_gets_what_the_url_says() -> None:
    session = {**STORED, "AWS_SESSION_TOKEN": "session-secret"}
    assert foreign(session, World(), Kind.OIDC).get() == AwsKeys("AKIAEXAMPLE", "stored-secret", "session-secret")
