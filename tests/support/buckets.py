"""Every adapter of the raw port of one bucket, on a real server: a new one joins by one line in ADAPTERS."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from otagate.store.guarded import MARKER, SCHEMA
from otagate.store.jsondoc import write_json
from otagate.store.objects import Objects
from otagate.store.probe import PROBE_VERSION
from otagate.store.registry import open_untried
from otagate.store.url import parse_bucket_url
from support.servers import azurite, fake_gcs, moto_s3, seaweedfs

_MODULES = {"s3": "otagate.store.s3", "gs": "otagate.store.gcs", "az": "otagate.store.azure"}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket on a running server, with an empty prefix in it.

    Attributes:
        url: The store's URL, prefix and options included.
        environ: The environment that gives an identity with all rights.
        prefix: What keys begin with, with a slash at its end.
    """

    url: str
    environ: Mapping[str, str] = field(repr=False)
    prefix: str

    def open(self) -> Objects:
        """Open it anew."""
        parsed = parse_bucket_url(self.url)
        objects: Objects = import_module(_MODULES[parsed.scheme]).open_objects(parsed, self.environ)
        return objects

    def tried(self) -> Bucket:
        """Leave the marker of a trial that passed: SeaweedFS lets who lost a race wait for seconds, and a trial has many."""
        store = open_untried(self.url, self.environ)
        body = {"where": store.where, "probed_at": "2026-11-21T00:00:00.000Z", "probe": PROBE_VERSION}
        write_json(store.documents, MARKER, SCHEMA, body, None)
        return self


Factory = Callable[[], Bucket]
"""Gives a bucket with a fresh, empty prefix; the server is started when it is first needed."""


def fresh_prefix() -> str:
    """Give a prefix that no other test uses, in this process or beside it."""
    return f"test/{os.getpid()}-{next(_numbers)}/"


def _seaweedfs() -> Bucket:
    return s3(seaweedfs.shared(), seaweedfs.BUCKET, seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY)


def _moto() -> Bucket:
    return s3(moto_s3.shared(), moto_s3.BUCKET, moto_s3.ACCESS_KEY, moto_s3.SECRET_KEY)


def s3(base: str, bucket: str, key: str, secret: str) -> Bucket:
    """Give a bucket of an S3 service at an address."""
    prefix = fresh_prefix()
    environ = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return Bucket(f"s3://{bucket}/{prefix}?endpoint={base}&identity=environment", environ, prefix)


def azure(base: str) -> Bucket:
    """Give the container of an Azurite at an address."""
    prefix = fresh_prefix()
    url = f"az://{azurite.CONTAINER}/{prefix}?account={azurite.ACCOUNT}&endpoint={base}&identity=environment"
    return Bucket(url, {"AZURE_STORAGE_ACCOUNT_KEY": azurite.KEY}, prefix)


def _azurite() -> Bucket:
    return azure(azurite.shared())


def _google() -> Bucket:
    base = fake_gcs.shared()
    prefix = fresh_prefix()
    return Bucket(f"gs://{fake_gcs.new_bucket(base)}/{prefix}?endpoint={base}", {}, prefix)


ADAPTERS: dict[str, Factory] = {
    "s3 on SeaweedFS": _seaweedfs,
    "s3 on moto": _moto,
    "azure on Azurite": _azurite,
    "gcs on fake-gcs-server": _google,
}
