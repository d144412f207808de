"""``otagate init``: a first policy, keys, and the public key in the app's configuration.

Everything is read and checked before the first write. The policy is written last, so that an init that was interrupted is
finished by the next one; where a policy is, nothing is changed without ``force``. Keys that are there are always kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from otagate import _canonical
from otagate._bucket_url import parse_storage_url
from otagate._text import harmless
from otagate.errors import ConflictError, UsageError
from otagate.flow.init_detect import Surroundings, look_around
from otagate.flow.init_done import Deed, Initialised, Item
from otagate.flow.init_files import hand_text, read_text, write_text
from otagate.flow.init_fleet import Fitted, fit
from otagate.flow.init_text import policy_text
from otagate.flow.json_edit import get_text, set_text
from otagate.model import AppId
from otagate.policy.find import POLICY_NAMES

KEYS = ".otagate/keys"
STORAGE = "file:.otagate/store"
IGNORED = (".otagate/keys/", ".otagate/store/")
KEY_FILES = ("encryption.pem", "encryption.pub.pem", "signing.pem", "signing.pub.pem")
PUBLIC_KEY_PATH = ("plugins", "CapacitorUpdater", "publicKey")
"""Where @capgo/capacitor-updater reads the device's public key. **Source:** its README, section "Configuration"."""


def initialise(
    policy: Path,
    environ: Mapping[str, str],
    *,
    app_id: str | None,
    force: bool,
    dry_run: bool,
    storage: str = STORAGE,
    devices: int | None = None,
) -> Initialised:
    """Set up the app in the policy's folder.

    Args:
        policy: Where the policy shall stand.
        environ: For git.
        app_id: Instead of the one in Capacitor's configuration.
        force: Write a new policy over one that is there, and a new public key over another one.
        dry_run: Only say what would be done.
        storage: URL of the store, as a policy has it. Nothing is asked of it here.
        devices: That open the app within a week, at least 1: the policy's rollout fits them. None: not known.

    Raises:
        UsageError: The app id is unknown or none, ``storage`` is no URL of a store, the folder is none, or the configuration
            cannot be read.
        ConflictError: The app has another public key, or the set of keys is not complete. Nothing was changed.
        AccessError, UnavailableError: A file cannot be read or written.
    """
    if not policy.parent.is_dir():
        raise UsageError("there is no such folder", subject=harmless(str(policy.parent)), remedy="go to the app's folder")
    parse_storage_url(storage)
    found = look_around(policy.parent, environ)
    there = _existing_policy(policy)
    if there is not None and not force:
        return _report(there, found, app_id)
    fitted = None if devices is None else fit(devices)
    job = _Job(there or policy, found, _app_id(found, app_id), storage, fitted)
    job.check(force=force)
    planned = job.planned()
    return planned if dry_run else job.write(planned)


def _existing_policy(policy: Path) -> Path | None:
    names = POLICY_NAMES if policy.name in POLICY_NAMES else (policy.name,)
    return next((policy.with_name(name) for name in names if policy.with_name(name).exists()), None)


def _app_id(found: Surroundings, given: str | None) -> str:
    text = given or (found.app.app_id.value if found.app.app_id else None)
    if text is None:
        raise UsageError(
            "the app's id is not known",
            expected="`appId` in capacitor.config.json, .ts or .js in this folder",
            found=found.app.warnings[0] if found.app.warnings else "no Capacitor configuration",
            remedy="go to the app's folder, or give --app-id com.example.app",
        )
    return str(AppId(text))


def _report(policy: Path, found: Surroundings, given: str | None) -> Initialised:
    """Say what is there; a second init changes nothing."""
    folder = policy.parent
    keys = all((folder / KEYS / name).exists() for name in KEY_FILES)
    items = [
        Item(KEYS, Deed.KEEP if keys else Deed.MISSING, "there" if keys else "no complete set of keys is here"),
        Item(policy.name, Deed.KEEP, "there; --force writes a new one"),
    ]
    known = given or (found.app.app_id.value if found.app.app_id else "")
    return Initialised(folder, tuple(items), found, harmless(known))


class _Job:
    """One init that may write."""

    def __init__(self, policy: Path, found: Surroundings, app_id: str, storage: str, fitted: Fitted | None) -> None:
        self._policy = policy
        self._folder = policy.parent
        self._found = found
        self._app_id = app_id
        self._storage = storage
        self._fitted = fitted
        config = found.app.config
        self._config = config.resolve() if config and config.suffix == ".json" else None
        self._config_text = ""
        self._ignore_text = ""
        self._has_keys = False

    def check(self, *, force: bool) -> None:
        """Read everything and refuse what must not be overwritten."""
        self._has_keys = self._check_keys()
        self._ignore_text = read_text(self._folder / ".gitignore", "the .gitignore cannot be read") or ""
        if self._config is None:
            return
        self._config_text = read_text(self._config, "the app's configuration cannot be read") or ""
        try:
            _canonical.loads(self._config_text.encode("utf-8"))
            now = get_text(self._config_text, PUBLIC_KEY_PATH)
            set_text(self._config_text, PUBLIC_KEY_PATH, "")
        except ValueError as error:
            subject, found = harmless(str(self._config)), harmless(str(error))
            raise UsageError(
                "the app's configuration cannot be used", subject, "a JSON object", found, "mend it first"
            ) from error
        if now and not force and now != self._public_key():
            raise ConflictError(
                "the app has another public key already",
                subject=f"{self._config.name}: {'.'.join(PUBLIC_KEY_PATH)}",
                remedy=f"put the key pair behind it into {KEYS} as encryption.pem and encryption.pub.pem beside a signing pair"
                " (`otagate keys create --out` elsewhere makes one), or replace it with --force: apps that are out there keep"
                " the old key until they are updated in the store",
            )

    def _check_keys(self) -> bool:
        there = [name for name in KEY_FILES if (self._folder / KEYS / name).exists()]
        if there and len(there) < len(KEY_FILES):
            missing = ", ".join(name for name in KEY_FILES if name not in there)
            raise ConflictError(
                "the set of keys is not complete",
                subject=KEYS,
                expected=", ".join(KEY_FILES),
                found=f"{', '.join(there)} without {missing}",
                remedy="put back what is missing, or move the others away",
            )
        return bool(there)

    def _public_key(self) -> str | None:
        return read_text(self._folder / KEYS / KEY_FILES[1], "the public key cannot be read") if self._has_keys else None

    def _missing_ignores(self) -> list[str]:
        lines = {line.strip().strip("/") for line in self._ignore_text.splitlines()}
        return [entry for entry in IGNORED if not {entry.strip("/"), ".otagate", ".otagate/*"} & lines]

    def planned(self) -> Initialised:
        """List every file with what happens to it."""
        config = self._found.app.config
        ignores = self._missing_ignores()
        ignore_deed = Deed.UPDATE if self._ignore_text else Deed.CREATE
        items = [
            Item(".gitignore", ignore_deed if ignores else Deed.KEEP, " ".join(ignores) or "has what is needed"),
            Item(KEYS, Deed.KEEP if self._has_keys else Deed.CREATE, "RSA-2048 for devices, ed25519 for signatures"),
        ]
        if config is not None:
            deed = Deed.BY_HAND if self._config is None else self._config_deed()
            items.append(Item(config.name, deed, ".".join(PUBLIC_KEY_PATH)))
        deed = Deed.UPDATE if self._policy.exists() else Deed.CREATE
        items.append(Item(self._policy.name, deed, f"policy of {self._app_id}"))
        return Initialised(self._folder, tuple(items), self._found, self._app_id, self._storage, fitted=self._fitted)

    def _config_deed(self) -> Deed:
        now = get_text(self._config_text, PUBLIC_KEY_PATH)
        return Deed.KEEP if now and now == self._public_key() else Deed.UPDATE

    def write(self, planned: Initialised) -> Initialised:
        """Write everything; the policy last."""
        ignores = self._missing_ignores()
        if ignores:
            gap = "" if not self._ignore_text or self._ignore_text.endswith("\n") else "\n"
            write_text(self._folder / ".gitignore", self._ignore_text + gap + "".join(f"{entry}\n" for entry in ignores))
        public, trust = self._keys()
        by_hand = None
        if self._config is not None:
            if self._config_deed() is Deed.UPDATE:
                write_text(self._config, set_text(self._config_text, PUBLIC_KEY_PATH, public))
        elif self._found.app.config is not None:
            by_hand = hand_text(public)
        write_text(self._policy, policy_text(self._found, self._app_id, trust, self._storage, self._fitted))
        return replace(planned, by_hand=by_hand)

    def _keys(self) -> tuple[str, str]:
        """Give the device's public key and the line for ``trust.keys``; make the keys when there are none."""
        from otagate.seal.keys import create_keys  # noqa: PLC0415 - brings cryptography
        from otagate.seal.trust import parse_public_key, trust_line  # noqa: PLC0415 - likewise

        folder = self._folder / KEYS
        if not self._has_keys:
            created = create_keys(folder)
            return created.encryption_public_pem, created.trust
        signing = parse_public_key(f"file:{KEYS}/{KEY_FILES[3]}", environ={}, base=self._folder)
        return self._public_key() or "", trust_line(signing)
