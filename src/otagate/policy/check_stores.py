"""What the schema cannot say about stores: each URL's options, no store twice, what a CDN and `keep` need."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

from otagate._bucket_url import BucketUrl, parse_storage_url
from otagate._text import span
from otagate.errors import UsageError
from otagate.policy.build import storage_url
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import length_of

_CDNS = ("cloudfront", "cloud_cdn", "front_door", "webhook")
_MAX_WAIT = timedelta(hours=1)
_MIN_GRACE = timedelta(hours=1)
"""Longer than a publish takes: what it wrote first must outlive it until a release names it."""
_IDENTIFYING = ("endpoint", "account")
"""The options without which two URLs of one bucket's name may be two buckets."""


def check_stores(findings: Findings, folder: Path) -> None:
    """Check `storage` and `documents`; relative folders are relative to ``folder``, the policy's own."""
    stores = _stores(findings)
    known: dict[str, YamlPath] = {}
    said = {problem.path for problem in findings.errors}
    for path, text in stores:
        if path in said:  # a password in it, which was found where all texts are looked at
            continue
        parsed = _check(findings, path, text)
        name = _name(text, parsed, folder)
        if name in known:
            remedy = "remove it: what `storage` names first keeps channels anyway" if path == ("documents",) else "remove one"
            findings.error(path, "this store is named twice", expected="each store once", remedy=remedy)
        elif name:
            known[name] = path
    _warn_of_loss(findings, folder, [text for _, text in stores])


def _stores(findings: Findings) -> list[tuple[YamlPath, str]]:
    """List every store's URL that is text, in the order of the file's meaning: the store, its mirrors, the documents."""
    single = findings.text("storage")
    listed = findings.items("storage")
    documents = findings.text("documents")
    found: list[tuple[YamlPath, str]] = [(("storage",), single)] if single is not None else []
    found += [(("storage", index), text) for index, text in enumerate(listed) if isinstance(text, str)]
    return [*found, *([(("documents",), documents)] if documents is not None else [])]


def _check(findings: Findings, path: YamlPath, text: str) -> BucketUrl | None:
    """Give a bucket's URL taken apart; None for a folder, and for what is wrong and was noted."""
    try:
        return parse_storage_url(text)
    except UsageError as error:
        findings.error(path, error.what, expected=error.expected, found=error.found, remedy=error.remedy)
        return None


def _name(text: str, parsed: BucketUrl | None, folder: Path) -> str | None:
    """Give what two URLs of one store have in common, or None for a URL that is wrong."""
    if parsed is not None:
        where = [parsed.options.get(option, "") for option in _IDENTIFYING]
        return " ".join((parsed.scheme, parsed.bucket, parsed.prefix, *where))
    return storage_url(text, folder) if text.startswith("file:") else None


def _warn_of_loss(findings: Findings, folder: Path, texts: list[str]) -> None:
    """Warn when channels and rollouts are in the checkout although there is a bucket: who meant CI would lose them."""
    documents = findings.text("documents")
    path: YamlPath = ("documents",) if documents is not None else ("storage",)
    first = documents or (texts[0] if texts else "")
    is_inside = first.startswith("file:") and _is_inside(first, folder)
    if is_inside and any(not text.startswith("file:") for text in texts):
        findings.warn(
            path,
            "channels and rollouts are kept in a folder of this checkout: a CI job that starts from a fresh one loses them",
            remedy="name a bucket, or a folder that every job mounts",
        )


def _is_inside(url: str, folder: Path) -> bool:
    path = storage_url(url, folder).removeprefix("file:")
    return os.path.commonpath((path, os.path.abspath(folder))) == os.path.abspath(folder)  # noqa: PTH100 - as storage_url


def check_cdn(findings: Findings) -> None:
    """Check that a CDN is named, that it has an address, and that waiting for it ends."""
    cdn = findings.mapping("cdn")
    if not cdn:
        return
    if set(cdn) <= {"pointers", "wait"} and cdn.get("pointers") is not True:
        findings.error(("cdn",), "no CDN is named", expected=f"one of {', '.join(_CDNS)}, or `pointers: true`")
    wait = length_of(cdn.get("wait"))
    if wait is not None and wait > _MAX_WAIT:
        findings.error(("cdn", "wait"), "this is too long to wait", expected=f"at most {span(_MAX_WAIT)}", found=span(wait))
    _check_address(findings, is_followed=cdn.get("pointers") is True)


def _check_address(findings: Findings, *, is_followed: bool) -> None:
    """Check that the stores say which address the CDN serves."""
    stores = dict(_stores(findings))
    documents = stores.pop(("documents",), None)
    pointers = documents if documents is not None else next(iter(stores.values()), "")
    remedy = "add public=https://HOST to its URL, such as s3://BUCKET?public=https://updates.example.com"
    if is_followed and not _has_address(pointers):
        where = "documents" if documents is not None else "storage"
        findings.error(("cdn", "pointers"), f"`{where}` does not say at which address the CDN shows pointers", remedy=remedy)
    elif not any(_has_address(text) for text in stores.values()):
        findings.warn(
            ("cdn",),
            "`storage` does not say which address the CDN serves, so what devices get is not checked",
            remedy=remedy,
        )


def _has_address(url: str) -> bool:
    return re.search(r"[?&]public=", url) is not None


def check_keep(findings: Findings) -> None:
    """Check that `prune` leaves alone what a publish that is on its way has written."""
    grace = length_of(findings.mapping("keep").get("grace"))
    if grace is not None and timedelta(0) < grace < _MIN_GRACE:
        findings.error(
            ("keep", "grace"),
            "`prune` could remove what a publish has just written",
            expected=f"at least {span(_MIN_GRACE)}",
            found=span(grace),
        )
