from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import crypto_core_ed25519_add

from otagate.errors import KeyMaterialError
from otagate.seal.ed25519 import is_signed, public_key
from otagate.seal.file_signer import FileSigner
from support.keys import signer

# Source: RFC 8032, section 7.1, tests 1 to 3: secret, public, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_vectors_of_the_standard(secret: str, public: str, message: str, signature: str) -> None:
    own = FileSigner(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)), "vector")
    assert own.public_key() == public_key(bytes.fromhex(public), "vector")
    assert own.sign(bytes.fromhex(message)).hex() == signature
    assert is_signed(bytes.fromhex(message), bytes.fromhex(signature), own.public_key())


# Every encoding of a point whose order divides 8; the last six are not canonical either.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_points_of_small_order_are_refused(encoded: str) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        public_key(bytes.fromhex(encoded), "trust.keys")
    assert caught.value.what == "this ed25519 public key is unsafe"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("torsion", SMALL_ORDER[1:8:2])
def test_points_of_mixed_order_are_refused(torsion: str) -> None:
    mixed = crypto_core_ed25519_add(signer().public_key().raw, bytes.fromhex(torsion))
    with pytest.raises(KeyMaterialError):
        public_key(mixed, "trust.keys")


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), bytes(64)])
def test_other_lengths_are_refused(raw: bytes) -> None:
    with pytest.raises(KeyMaterialError) as caught:
        public_key(raw, "trust.keys")
    assert caught.value.found == f"{len(raw)} bytes"


def test_a_text_that_is_no_point_is_refused() -> None:
    no_point = (2).to_bytes(32, "little")  # y = 2 has no x on the curve
    with pytest.raises(KeyMaterialError):
        public_key(no_point, "trust.keys")


def test_a_coordinate_above_the_prime_is_refused() -> None:
    with pytest.raises(KeyMaterialError):
        public_key((PRIME + 3).to_bytes(32, "little"), "trust.keys")


def test_the_second_form_of_a_signature_is_refused() -> None:
    message = b"m"
    good = signer().sign(message)
    scalar = int.from_bytes(good[32:], "little") + ORDER
    assert not is_signed(message, good[:32] + scalar.to_bytes(32, "little"), signer().public_key())


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_signatures_of_other_lengths_never_hold(length: int) -> None:
    assert not is_signed(b"m", bytes(length), signer().public_key())


@pytest.mark.parametrize("message", [b"", b"M", b"m\0", b" m"])
def test_another_message_does_not_hold(message: bytes) -> None:
    assert not is_signed(message, signer().sign(b"m"), signer().public_key())


def test_another_key_does_not_hold() -> None:
    assert not is_signed(b"m", signer().sign(b"m"), signer("ed25519_other").public_key())


def test_the_key_id_is_a_short_digest() -> None:
    import hashlib

    own = signer().public_key()
    assert own.key_id == hashlib.sha256(own.raw).hexdigest()[:16]


def test_a_signer_shows_no_key() -> None:
    assert repr(signer()) == f"FileSigner({signer().public_key().key_id})"
    assert not hasattr(signer(), "__dict__")
