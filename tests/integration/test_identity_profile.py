"""A profile that takes a role, as botocore does it, against STS on loopback; and against nobody."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from otagate.errors import AccessError, UnavailableError
from otagate.identity.aws import aws_identity
from otagate.identity.interface import AwsKeys, Identity, Kind
from support.metric_server import send, serving

pytestmark = pytest.mark.integration

NAME = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
GIVEN = f"""<AssumeRoleResponse {NAME}><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>
<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-session</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
REFUSED = f"<ErrorResponse {NAME}><Error><Code>AccessDenied</Code><Message>not allowed to assume ota</Message></Error></ErrorResponse>"


def role_profile(home: Path, endpoint: str) -> Identity[AwsKeys]:
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(
        "[profile me]\naws_access_key_id = AKIAME\naws_secret_access_key = file-secret\n"
        "[profile ota]\nrole_arn = arn:aws:iam::123456789012:role/ota\nsource_profile = me\nregion = eu-west-1\n"
        f"max_attempts = 1\nservices = here\n[services here]\nsts =\n  endpoint_url = {endpoint}\n"
    )
    return aws_identity(None, "ota", Kind.PROFILE, {"HOME": str(home)})


def test_a_role_on_top_of_a_key(tmp_path: Path) -> None:
    asked: list[dict[str, list[str]]] = []

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(parse_qs(body.decode()))
        send(request, GIVEN.encode(), Content_Type="text/xml")

    with serving(answer) as url:
        found = role_profile(tmp_path, url)
        assert (found.used.detail, found.used.is_static, asked) == ("profile ota (takes a role)", False, [])
        keys = found.get()
        assert found.get() == keys

    assert (keys.access_key_id, keys.secret_access_key, keys.session_token) == ("ASIAROLE", "role-secret", "role-session")
    assert keys.expires is not None
    assert keys.expires.year == 2099
    assert [form["RoleArn"] for form in asked] == [["arn:aws:iam::123456789012:role/ota"]]


def test_a_role_that_is_refused(tmp_path: Path) -> None:
    with (
        serving(lambda request, _: send(request, REFUSED.encode(), status=403, Content_Type="text/xml")) as url,
        pytest.raises(AccessError, match="not allowed to assume ota") as caught,
    ):
        role_profile(tmp_path, url).get()
    assert "file-secret" not in str(caught.value)


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="EndpointConnectionError"):
        role_profile(tmp_path, "http://127.0.0.1:1").get()
