"""No credential of a store comes out anywhere: not when all goes well, and not when the service repeats all that it was sent."""

from __future__ import annotations

import base64
import functools
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from e2e.test_secrets import github, hits, secrets_of
from support import buckets, sweeper
from support.servers import fake_gcs
from support.servers.meddling_proxy import Answer, meddling
from support.servers.wire import answering
from support.shop import Said, Shop, open_shop
from support.sweeper import Secret

pytestmark = pytest.mark.e2e

VERBS = (
    ("plan",),
    ("upload",),
    ("run",),
    ("status",),
    ("verify", "1.0.0"),
    ("history",),
    ("doctor",),
    ("doctor", "--read-only"),
    ("reconcile",),
    ("promote", "--channel", "live", "--release", "1.0.0"),
    ("rollback", "--channel", "live"),
    ("prune", "--grace", "24h", "--wait", "0s"),
)
READING = (("plan",), ("status",), ("verify", "1.0.0"), ("history",), ("doctor", "--read-only"))
WORDS = {
    "key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSWEPTKEY0",
    "session": "IQoJb3JpZ2luX2VjEN+/" + "q7Zx" * 180 + "==",
    "account-key": base64.b64encode(b"an account's key that is swept for, with all its 64 bytes in it!").decode(),
    "signature": "sYz4Qk2+8vJmT0/1aBcDeFgHiJkLmNoPqRsTuVwXyZ0=",
    "bearer": "ya29.a0AfB_swept-3Hq9ZpXwYv7TtRr5Nn1Mm",
    "webhook": "hooks-swept-71c2e9d04b5a4c58",
}


@functools.cache
def service_key() -> str:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def swept(shop: Shop) -> list[Secret]:
    found = [*secrets_of(shop), *(sweeper.token(name, word) for name, word in WORDS.items())]
    return [*found, sweeper.key("service-account", service_key())]


@dataclass(frozen=True)
class Kind:
    """A store's URL at an address, and an identity for it."""

    url: Callable[[str], str]
    environ: Callable[[str, Path], Mapping[str, str]]


def session(_base: str, _folder: Path) -> dict[str, str]:
    keys = {"AWS_ACCESS_KEY_ID": "AKIDSWEPTEXAMPLE0000", "AWS_SECRET_ACCESS_KEY": WORDS["key"]}
    return {**keys, "AWS_SESSION_TOKEN": WORDS["session"]}


def account_key(_base: str, _folder: Path) -> dict[str, str]:
    return {"AZURE_STORAGE_ACCOUNT_KEY": WORDS["account-key"]}


def signature(_base: str, _folder: Path) -> dict[str, str]:
    return {"AZURE_STORAGE_SAS_TOKEN": f"sv=2024-11-04&sr=c&sp=rwdl&sig={WORDS['signature'].replace('+', '%2B')}"}


def service_account(base: str, folder: Path) -> dict[str, str]:
    file = folder / "google.json"
    info = {"type": "service_account", "client_email": "ota@acme.iam.gserviceaccount.com", "private_key_id": "1"}
    file.write_text(json.dumps({**info, "private_key": service_key(), "token_uri": f"{base}/token"}))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}


KINDS = {
    "s3": Kind(lambda base: f"s3://acme-updates?endpoint={base}&identity=oidc", session),
    "az-key": Kind(lambda base: f"az://updates?account=acme&endpoint={base}", account_key),
    "az-signature": Kind(lambda base: f"az://updates?account=acme&endpoint={base}", signature),
    "gs": Kind(lambda base: f"gs://acme-updates?endpoint={base}&identity=environment", service_account),
}


def repeating(status: int, shape: str) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """Answer with all that came: in the form of an error that the service's library takes apart."""

    def respond(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.path == "/token":
            code, text = 200, json.dumps({"access_token": WORDS["bearer"], "expires_in": 3600, "token_type": "Bearer"})
        else:
            lines = [handler.path, *(f"{name}: {value}" for name, value in handler.headers.items())]
            lines += [f"{name}={value}" for name, value in parse_qsl(urlsplit(handler.path).query)]
            told = " ".join([*reversed(lines), *lines]).replace("&", "&amp;").replace("<", "")
            code = status
            text = f"<Error><Code>Odd</Code><Message>{told}</Message></Error>"
            if shape == "json":
                text = json.dumps({"error": {"code": status, "message": told, "errors": [{"reason": told}]}})
        data = text.encode()
        handler.send_response(code)
        handler.send_header("Content-Length", str(0 if handler.command == "HEAD" else len(data)))
        handler.send_header("Location", f"{handler.path}&to=elsewhere")
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data)

    return respond


@pytest.mark.parametrize("status", [301, 400, 403, 404, 412])
@pytest.mark.parametrize("name", KINDS)
def test_a_service_that_repeats_the_credentials_does_not_get_them_printed(
    name: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = open_shop(tmp_path / "shop")
    said = []
    with answering(repeating(status, "json" if name == "gs" else "xml")) as server:
        environ = {**github(tmp_path / "ci"), **KINDS[name].environ(server.base, shop.folder)}
        shop.edit("otagate.yml", "storage: file:.otagate/store", f'storage: "{KINDS[name].url(server.base)}"')
        for argv, shown in zip(VERBS, itertools.cycle(("text", "json")), strict=False):
            said.append(shop.run(*argv, *(("--format", shown) if argv[0] != "doctor" else ()), **environ))
            assert said[-1].code in range(0 if status == 404 or argv[0] == "doctor" else 1, 9), (argv, said[-1])
            assert "bug in otagate" not in said[-1].err
        assert len(server.requests) > len(VERBS)
    said.append(Said(0, *capsys.readouterr()))
    (shop.path("google.json")).unlink(missing_ok=True)
    assert hits(swept(shop), said, tmp_path) == []


@pytest.mark.parametrize("name", ["s3 on SeaweedFS", "azure on Azurite"])
def test_no_verb_on_a_real_store_shows_or_stores_a_credential(name: str, tmp_path: Path) -> None:
    bucket = buckets.ADAPTERS[name]()
    shop = open_shop(tmp_path / "shop", published=False)
    shop.edit("otagate.yml", "storage: file:.otagate/store", f'storage: ["{bucket.url}", "file:mirror"]')
    environ = {**github(tmp_path / "ci"), **bucket.environ}
    secrets = [sweeper.token(key, value) for key, value in bucket.environ.items() if key.endswith("_KEY")]
    said = [shop.run(*argv, **environ) for argv in (("run",), *VERBS)]
    assert [one.code for one in said[:4]] == [0, 0, 0, 0], said
    assert len(secrets) == 1
    assert hits(secrets, said, tmp_path) == []
    objects = bucket.open()
    for head in list(objects.list(bucket.prefix)):
        found = objects.read(head.key, 1 << 24)
        assert found is not None
        assert sweeper.found_in(found[0], [*secrets_of(shop), *secrets]) == [], head.key


@pytest.mark.parametrize("status", [301, 400, 403, 404])
def test_a_webhook_that_repeats_its_address_does_not_get_it_printed(status: int, tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop")
    shop.edit("otagate.yml", "storage: file:.otagate/store", "storage: file:.otagate/store\ncdn: {webhook: env:HOOK}")
    with answering(repeating(status, "json")) as server:
        environ = {**github(tmp_path / "ci"), "HOOK": f"{server.base}/{WORDS['webhook']}?token={WORDS['webhook']}"}
        verbs = (("promote", "--channel", "other", "--release", "1.0.0"), ("rollback", "--channel", "other"), ("doctor",))
        said = [shop.run(*argv, **environ) for argv in verbs]
        assert server.requests
    assert hits(swept(shop), said, tmp_path) == []
    assert "webhook env:HOOK" in said[0].err


def test_every_reading_verb_works_with_an_identity_that_may_only_read(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "shop", published=False)
    base = fake_gcs.shared()
    name = fake_gcs.new_bucket(base)
    with meddling(base) as proxy:
        shop.edit("otagate.yml", "storage: file:.otagate/store", f'storage: "gs://{name}?endpoint={proxy.base}"')
        said = [shop.run(*argv) for argv in (("upload",), ("promote", "--channel", "live", "--release", "1.0.0"))]
        assert [one.code for one in said] == [0, 0], said
        proxy.seen.clear()
        proxy.meddle = lambda method, _path: Answer(403, b"no") if method != "GET" else None
        said = [shop.run(*argv) for argv in READING]
        assert [one.code for one in said] == [0] * len(READING), said
        assert {one.method for one in proxy.seen} == {"GET"}
        written = shop.run("promote", "--channel", "other", "--release", "1.0.0")
    assert written.code == 2, written
    assert "storage.objects.create" in written.err
