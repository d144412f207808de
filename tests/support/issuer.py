"""An OIDC issuer on loopback that plays a CI, and clouds on loopback that believe nothing they have not verified.

The clouds fetch the issuer's keys by discovery and check signature, ``iss``, ``aud``, ``exp``, ``nbf`` and ``sub`` of what they
are shown before they issue a credential; their refusals have the codes and the words of the real services.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jwt import JWT, JWTExpired, JWTInvalidClaimValue, JWTNotYetValid

from support.metric_server import send, serving

SUBJECT = "repo:acme/app:ref:refs/heads/main"
REQUEST_TOKEN = "ghs-request-token-of-this-job"


def unsigned(claims: dict[str, Any]) -> str:
    """Make a token with ``alg: none`` and something in place of a signature."""
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".AAAA"


@dataclass
class Issuer:
    """Issues tokens for one subject. ``tokens`` are all that it gave, so that a test can look for them where they must not be."""

    url: str = ""
    subject: str = SUBJECT
    key: JWK = field(default_factory=lambda: JWK.generate(kty="EC", crv="P-256", kid="1"))
    tokens: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def claims(self, audience: str, **changes: object) -> dict[str, Any]:
        """Give the claims of a token that holds now; ``changes`` replace some."""
        now = int(time.time())
        usual = {"iss": self.url, "sub": self.subject, "aud": audience, "iat": now, "nbf": now - 1, "exp": now + 600}
        return {**usual, **changes}

    def token(self, audience: str, key: JWK | None = None, **changes: object) -> str:
        """Sign a token, with another key when one is given."""
        made = JWT(header={"alg": "ES256", "kid": "1"}, claims=self.claims(audience, **changes))
        made.make_signed_token(key or self.key)
        self.tokens.append(made.serialize())
        return self.tokens[-1]

    def github(self) -> dict[str, str]:
        """Give the variables of a job of GitHub Actions that may ask for tokens."""
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_RUN_ID": "4711",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/github?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    def answer(self, request: BaseHTTPRequestHandler, _: bytes) -> None:
        """Serve discovery, keys, and the tokens of GitHub Actions."""
        parts = urlsplit(request.path)
        self.requests.append(parts.path)
        match parts.path:
            case "/.well-known/openid-configuration":
                found: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
            case "/jwks":
                found = {"keys": [self.key.export_public(as_dict=True)]}
            case "/github" if request.headers.get("Authorization") == f"bearer {REQUEST_TOKEN}":
                found = {"value": self.token(parse_qs(parts.query)["audience"][0]), "count": 1}
            case _:
                return send(request, b'{"message": "not authorized"}', status=401)
        return send(request, json.dumps(found).encode())


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Serve an issuer."""
    issuer = Issuer()
    with serving(issuer.answer) as url:
        issuer.url = url
        yield issuer


@dataclass(frozen=True)
class Trust:
    """Whom a cloud believes."""

    issuer: str
    audience: str
    subject: str = SUBJECT

    def refusal(self, token: str) -> str | None:
        """Verify a token; give the reason for which it is not believed."""
        found = httpx.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False).json()
        if found["issuer"] != self.issuer:
            return "issuer"
        keys = JWKSet.from_json(httpx.get(found["jwks_uri"], trust_env=False).text)
        must = {"iss": self.issuer, "aud": self.audience, "sub": self.subject, "exp": None, "nbf": None}
        checked = JWT(check_claims=must, algs=["ES256"])
        checked.leeway = 0
        try:
            checked.deserialize(token, keys)
        except JWTExpired:
            return "expired"
        except JWTNotYetValid:
            return "early"
        except JWTInvalidClaimValue as error:
            return next(name for name in ("aud", "sub", "iss") if f"'{name}'" in str(error))
        except (JWException, ValueError):
            return "signature"
        return None


_AWS = {
    "sub": ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    "aud": ("InvalidIdentityToken", "Incorrect token audience"),
    "iss": ("InvalidIdentityToken", "No OpenIDConnect provider found in your account for that issuer"),
    "expired": ("ExpiredTokenException", "Token expired: current date/time must be before the expiration date/time"),
    "early": ("InvalidIdentityToken", "Token is not valid yet"),
    "signature": ("InvalidIdentityToken", "Couldn't verify the signature of the token"),
}
_AZURE = {
    "sub": "AADSTS700213: No matching federated identity record found for presented assertion subject",
    "aud": "AADSTS700212: No matching federated identity record found for presented assertion audience",
    "iss": "AADSTS700211: No matching federated identity record found for presented assertion issuer",
    "expired": "AADSTS700024: Client assertion is not within its valid time range",
    "early": "AADSTS700024: Client assertion is not within its valid time range",
    "signature": "AADSTS700027: Client assertion contains an invalid signature",
}
_GOOGLE = {
    "sub": ("unauthorized_client", "The given credential is rejected by the attribute condition."),
    "aud": ("invalid_grant", "The audience in ID Token does not match the expected audience."),
    "iss": ("invalid_grant", "The issuer in ID Token does not match the expected one."),
    "expired": ("invalid_grant", "ID Token is stale to sign-in."),
    "early": ("invalid_grant", "ID Token is used before its time."),
    "signature": ("invalid_grant", "Error verifying the ID token signature."),
}


@dataclass
class Clouds:
    """The token endpoints of the three clouds. ``life`` is how long what they issue lasts; ``secrets`` is all that they issued."""

    trust: Trust
    url: str = ""
    life: timedelta = timedelta(hours=1)
    role: str = "arn:aws:iam::123456789012:role/ota"
    account: str = "ota@acme.iam.gserviceaccount.com"
    exchanges: int = 0
    secrets: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)

    @property
    def end(self) -> str:
        """Give the end of what is issued now."""
        return (datetime.now(UTC) + self.life).strftime("%Y-%m-%dT%H:%M:%SZ")

    def environ(self) -> dict[str, str]:
        """Give the variables that send the exchanges here."""
        return {
            "AWS_ENDPOINT_URL_STS": self.url,
            "AZURE_AUTHORITY_HOST": self.url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STS": self.url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": self.url,
        }

    def secret(self, word: str) -> str:
        """Make a credential."""
        self.exchanges += 1
        self.secrets.append(f"{word}-{self.exchanges}-of-this-exchange")
        return self.secrets[-1]

    def answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Serve all of them; paths and forms differ."""
        if request.path.endswith(":generateAccessToken"):
            return self._act(request, json.loads(body))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.forms.append(form)
        if form.get("Action") == "AssumeRoleWithWebIdentity":
            return self._aws(request, form)
        if form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return self._azure(request, form)
        if form.get("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange":
            return self._google(request, form)
        return send(request, b"what is this", status=400)

    def _aws(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        reason = self.trust.refusal(form["WebIdentityToken"]) or (None if form["RoleArn"] == self.role else "sub")
        name = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
        if reason is not None:
            code, told = _AWS[reason]
            text = f"<ErrorResponse {name}><Error><Type>Sender</Type><Code>{code}</Code><Message>{told}</Message></Error></ErrorResponse>"
            return send(request, text.encode(), status=403 if reason == "sub" else 400, Content_Type="text/xml")
        fields = {
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": self.secret("aws-secret"),
            "SessionToken": self.secret("aws-session"),
            "Expiration": self.end,
        }
        leaves = "".join(f"<{leaf}>{text}</{leaf}>" for leaf, text in fields.items())
        top = "AssumeRoleWithWebIdentity"
        text = f"<{top}Response {name}><{top}Result><Credentials>{leaves}</Credentials></{top}Result></{top}Response>"
        return send(request, text.encode(), Content_Type="text/xml")

    def _azure(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        reason = self.trust.refusal(form["client_assertion"])
        if reason is not None:
            told = f"{_AZURE[reason]} Trace ID: 1 Correlation ID: 2"
            return send(request, json.dumps({"error": "invalid_client", "error_description": told}).encode(), status=401)
        found = {
            "token_type": "Bearer",
            "expires_in": int(self.life.total_seconds()),
            "access_token": self.secret("azure-token"),
        }
        return send(request, json.dumps(found).encode())

    def _google(self, request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        reason = self.trust.refusal(form["subject_token"])
        if reason is not None:
            code, told = _GOOGLE[reason]
            return send(request, json.dumps({"error": code, "error_description": told}).encode(), status=400)
        found = {
            "access_token": self.secret("google-federated"),
            "expires_in": int(self.life.total_seconds()),
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        return send(request, json.dumps(found).encode())

    def _act(self, request: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        bearer = request.headers.get("Authorization", "")
        is_ours = request.path == f"/v1/projects/-/serviceAccounts/{self.account}:generateAccessToken"
        if not is_ours or bearer.removeprefix("Bearer ") not in self.secrets or not asked["scope"]:
            error = {
                "code": 403,
                "message": "Permission 'iam.serviceAccounts.getAccessToken' denied",
                "status": "PERMISSION_DENIED",
            }
            return send(request, json.dumps({"error": error}).encode(), status=403)
        return send(request, json.dumps({"accessToken": self.secret("google-token"), "expireTime": self.end}).encode())


@contextmanager
def clouds_that_trust(trust: Trust) -> Iterator[Clouds]:
    """Serve the clouds."""
    clouds = Clouds(trust)
    with serving(clouds.answer) as url:
        clouds.url = url
        yield clouds
