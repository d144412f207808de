from __future__ import annotations

import base64
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from otagate.errors import ConflictError, OtagateError, UsageError
from otagate.seal import keys
from otagate.seal.keys import CreatedKeys, create_keys, key_id, load_ed25519_private, load_rsa_private, rsa_public_pem_pkcs1
from otagate.seal.registry import open_signer
from otagate.seal.trust import parse_public_key, trust_line

NAMES = ["encryption.pem", "encryption.pub.pem", "signing.pem", "signing.pub.pem"]


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_only_the_owner_can_read_new_keys_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with _umask(mask):
        create_keys(tmp_path / "keys")
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == NAMES
    assert {_mode(path) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert _mode(tmp_path / "keys") == 0o700


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> CreatedKeys:
    return create_keys(tmp_path_factory.mktemp("a") / "b" / "keys")


def test_the_encryption_key_is_pkcs1_and_fits_its_public_part(created: CreatedKeys) -> None:
    text = created.encryption.read_text()
    assert text.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert rsa_public_pem_pkcs1(load_rsa_private(text, "k")) == created.encryption_public_pem
    assert created.encryption_public.read_text() == created.encryption_public_pem
    assert created.encryption_public_pem.startswith("-----BEGIN RSA PUBLIC KEY-----\n")
    assert created.key_id == key_id(created.encryption_public_pem)
    assert created.key_id.startswith("MIIBCgKCAQEA")
    assert len(created.key_id) == 20


def test_the_signing_key_is_pkcs8_and_fits_its_public_part(created: CreatedKeys) -> None:
    text = created.signing.read_text()
    assert text.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert created.signing_public.read_text() == created.signing_public_pem
    public = parse_public_key(f"file:{created.signing_public}", environ={}, base=Path())
    assert load_ed25519_private(text, "k").public_key().public_bytes_raw() == public.raw
    assert created.trust == trust_line(public)


def test_new_keys_can_be_used_at_once(created: CreatedKeys) -> None:
    signer = open_signer("file:signing.pem", environ={}, base=created.signing.parent)
    assert trust_line(signer.public_key()) == created.trust


def test_the_result_shows_no_private_key(created: CreatedKeys) -> None:
    for private in (created.encryption, created.signing):
        assert private.read_text().splitlines()[1] not in repr(created)


def test_no_two_keys_are_the_same(tmp_path: Path, created: CreatedKeys) -> None:
    other = create_keys(tmp_path)
    assert other.trust != created.trust
    assert other.encryption_public_pem != created.encryption_public_pem


@pytest.mark.parametrize("name", NAMES)
def test_one_key_that_is_there_stops_everything(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConflictError) as caught:
        create_keys(tmp_path)
    assert caught.value.found == name
    assert "--force" in str(caught.value.remedy)
    assert _texts(tmp_path) == {name: "mine"}


def test_a_dangling_link_is_a_key_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError):
        create_keys(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_force_replaces_keys_and_links_and_keeps_modes_tight(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("not a key")
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys" / "signing.pem").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "keys" / "encryption.pem").write_text("old")
    (tmp_path / "keys" / "encryption.pem").chmod(0o644)
    create_keys(tmp_path / "keys", force=True)
    assert (tmp_path / "elsewhere").read_text() == "not a key"
    assert not (tmp_path / "keys" / "signing.pem").is_symlink()
    assert {_mode(path) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_keys(tmp_path)
    assert _mode(tmp_path) == 0o755


@pytest.mark.parametrize("place", ["file", "file/keys"])
def test_a_file_in_place_of_the_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError):
        create_keys(tmp_path / place)
    assert _texts(tmp_path) == {"file": "x"}


def test_a_folder_in_place_of_a_key_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").mkdir()
    with pytest.raises(OtagateError) as caught:
        create_keys(tmp_path, force=True)
    assert caught.value.exit_code == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp-")]


def test_of_several_at_once_one_wins_and_its_set_is_whole(tmp_path: Path) -> None:
    def attempt(_: int) -> CreatedKeys | ConflictError:
        start.wait()
        try:
            return create_keys(tmp_path)
        except ConflictError as error:
            return error

    start = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(attempt, range(4)))
    (won,) = [item for item in ended if isinstance(item, CreatedKeys)]
    assert won.signing_public.read_text() == won.signing_public_pem
    assert open_signer(f"file:{won.signing}", environ={}, base=tmp_path).public_key().raw in base64.b64decode(
        won.trust.removeprefix("ed25519:")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES


def test_a_set_is_never_mixed(tmp_path: Path) -> None:
    made = [tmp_path / f"made-{at}" for at in range(3)]
    for path in made:
        path.write_text(path.name)
    targets = [tmp_path / f"target-{at}" for at in range(3)]
    targets[2].write_text("mine")
    with pytest.raises(FileExistsError):
        keys._link_all(made, targets)
    assert [path.exists() for path in targets] == [False, False, True]
