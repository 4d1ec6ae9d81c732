"""Keys: what signs artifacts, and what checks signatures. And files of them.

A file says of each key what it is, since the same 32 bytes could be a secret or a public key, and whoever took one for the other would
accept what anybody has signed. Either each line is a key, such as ``cascade keygen`` writes it (``#`` begins a comment):

    hmac-sha256 <hex of the secret> [name]
    ed25519-private <hex of 32 bytes> [name]
    ed25519-public <hex of 32 bytes> [name]

or the whole file is one Ed25519 key as PEM, such as ``openssl genpkey -algorithm ed25519`` and ``openssl pkey -pubout`` write it.

A key without a name is named by a digest of itself, which tells nothing of a secret of at least 32 bytes.

No secret is in an error, in what is chained to one, or in a variable of a frame that one passes: hence the faults that functions here
return, and do not raise.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from typing import TYPE_CHECKING, Any, ClassVar

from cascade_vm.errors import BadKey
from cascade_vm.signing import ED25519, HMAC_SHA256, Key, SigningKey, fault_of_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

MIN_SECRET = 32  # bytes: as many as the digest has (RFC 2104, section 3)
_MAX_FILE = 64 * 1024


class HmacKey(SigningKey):
    """A secret that signs and checks: HMAC (RFC 2104) with SHA-256. Whoever can check can sign.

    :param secret: at least 32 bytes, drawn at random: no password.
    :raises BadKey: it is shorter, or the name is none.
    """

    __slots__ = ("_secret",)
    algorithm: ClassVar[str] = HMAC_SHA256

    def __init__(self, secret: bytes, name: str | None = None) -> None:
        fault = _fault_of_bytes(secret, "the secret of an HMAC key", MIN_SECRET, None) or _fault_of_given(name)
        if fault:
            del secret
            raise BadKey(fault)
        self._secret = bytes(secret)
        self.name = name if name is not None else hmac.digest(self._secret, b"name of a Cascade key", "sha256")[:8].hex()

    @classmethod
    def generate(cls, name: str | None = None) -> HmacKey:
        """A new one."""
        return cls(secrets.token_bytes(MIN_SECRET), name)

    def make(self, message: bytes | memoryview) -> bytes:
        return hmac.digest(self._secret, message, "sha256")

    def verifies(self, message: bytes | memoryview, signature: bytes) -> bool:
        return hmac.compare_digest(self.make(message), signature)

    def line(self) -> str:
        """The key as a line of a key file: the secret is in it."""
        return f"hmac-sha256 {self._secret.hex()} {self.name}"


class Ed25519PublicKey(Key):
    """A key that checks signatures: Ed25519 (RFC 8032). No secret.

    :param raw: the 32 bytes of RFC 8032.
    :raises BadKey: these are none, the name is none, or the ``cryptography`` package is missing.
    """

    __slots__ = ("_key", "_raw")
    algorithm: ClassVar[str] = ED25519

    def __init__(self, raw: bytes, name: str | None = None) -> None:
        fault = _fault_of_bytes(raw, "an Ed25519 public key", 32, 32) or _fault_of_given(name)
        if fault:
            del raw  # it may be something else, that is secret
            raise BadKey(fault)
        self._raw = bytes(raw)
        self._key = _ed25519().Ed25519PublicKey.from_public_bytes(self._raw)
        self.name = name if name is not None else hashlib.sha256(self._raw).digest()[:8].hex()

    def verifies(self, message: bytes | memoryview, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def line(self) -> str:
        """The key as a line of a key file."""
        return f"ed25519-public {self._raw.hex()} {self.name}"


class Ed25519PrivateKey(SigningKey):
    """A secret that signs; its ``public`` key checks.

    :param seed: the 32 bytes of RFC 8032, drawn at random.
    :raises BadKey: as ``Ed25519PublicKey``.
    """

    __slots__ = ("_key", "_seed", "public")
    algorithm: ClassVar[str] = ED25519

    def __init__(self, seed: bytes, name: str | None = None) -> None:
        fault = _fault_of_bytes(seed, "an Ed25519 private key", 32, 32) or _fault_of_given(name) or _fault_of_backend()
        if fault:
            del seed
            raise BadKey(fault)
        self._seed = bytes(seed)
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(self._seed)
        self.public = Ed25519PublicKey(self._key.public_key().public_bytes_raw(), name)
        self.name = self.public.name

    @classmethod
    def generate(cls, name: str | None = None) -> Ed25519PrivateKey:
        """A new one."""
        return cls(secrets.token_bytes(32), name)

    def make(self, message: bytes | memoryview) -> bytes:
        made: bytes = self._key.sign(message)
        return made

    def verifies(self, message: bytes | memoryview, signature: bytes) -> bool:
        return self.public.verifies(message, signature)

    def line(self) -> str:
        """The key as a line of a key file: the secret is in it."""
        return f"ed25519-private {self._seed.hex()} {self.name}"


def read_keys(path: str | os.PathLike[str], name: str | None = None) -> tuple[Key, ...]:
    """The keys in a file: one or several.

    :param name: what a key that has no name in the file is called; by default, by a digest of it.
    :raises BadKey: the file cannot be read, has no keys, or has something else in it. The text names file and line, never what is there.
    """
    if isinstance(path, (bytes, bytearray, memoryview)):
        del path
        raise TypeError("read_keys() takes the path of a key file; HmacKey(secret) takes a secret itself")
    where = os.fspath(path)
    if _LOOKS_LIKE_A_KEY.match(where):
        del path, where
        raise BadKey("what was given as the path of a key file looks like a key itself: write it to a file, which others cannot read")
    found, fault = _read(where, name)
    if fault:
        raise BadKey(f"{where}: {fault}")
    return tuple(found)


def read_signing_key(path: str | os.PathLike[str], name: str | None = None) -> SigningKey:
    """The one key in a file, which can sign.

    :raises BadKey: as ``read_keys``; there are several, or it is a public key.
    """
    found = read_keys(path, name)
    if len(found) > 1:
        raise BadKey(f"{os.fspath(path)}: there are {len(found)} keys in it, and one is to sign: give it a file of its own")
    if not isinstance(found[0], SigningKey):
        raise BadKey(f"{os.fspath(path)}: {found[0]} is a public key: it checks signatures, and the private key makes them")
    return found[0]


_LINES: dict[str, Callable[[bytes, str | None], Key]] = {
    "hmac-sha256": HmacKey, "ed25519-private": Ed25519PrivateKey, "ed25519-public": Ed25519PublicKey,
}  # fmt: skip
_LOOKS_LIKE_A_KEY = re.compile(rf"\s*({'|'.join(_LINES)})\s|\s*-----BEGIN |[0-9A-Fa-f]{{40,}}\s*$|[0-9A-Za-z+/_-]{{43}}=?\s*$")


def _read(path: str, name: str | None) -> tuple[list[Key], str]:
    """(the keys, the fault)."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as failure:
        return [], f"cannot be read: {failure.strerror or failure}"
    except ValueError:  # a path that no file can have
        return [], "cannot be read: no file has such a name"
    if len(content) > _MAX_FILE:
        return [], f"is no key file: it has more than {_MAX_FILE:,} bytes"
    if not content.isascii():
        return [], f"is no key file: it is no text. Raw bytes do not say what key they are; {_FORM}"
    text = content.decode("ascii")
    if text.lstrip().startswith("-----BEGIN"):
        return _pem(text.lstrip(), name)
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            key, fault = _key(words, name)
            if key is None:
                return [], f"line {number}: {fault}"
            found.append(key)
    return found, "" if found else f"there is no key in it; {_FORM}"


_FORM = "a line of a key file is: hmac-sha256, ed25519-private or ed25519-public; the key in hexadecimal; and perhaps a name"


def _key(words: list[str], name: str | None) -> tuple[Key | None, str]:
    if len(words) not in (2, 3) or words[0] not in _LINES:
        return None, f"this is no key; {_FORM}"
    try:
        raw = bytes.fromhex(words[1])
    except ValueError:
        return None, "the key is not hexadecimal"
    try:
        return _LINES[words[0]](raw, words[2] if len(words) == 3 else name), ""
    except BadKey as fault:
        return None, str(fault)


def _pem(text: str, name: str | None) -> tuple[list[Key], str]:
    """The key of a PEM file: PKCS #8, or SubjectPublicKeyInfo (RFC 8410)."""
    fault = _fault_of_backend()
    if fault:
        return [], fault
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    content = text.encode("ascii")
    found: Any
    try:
        found = load_pem_public_key(content) if text.startswith("-----BEGIN PUBLIC") else load_pem_private_key(content, None)
    except TypeError:  # so it tells that a password is missing
        return [], "the key is encrypted: decrypt it first (openssl pkey -in FILE)"
    except (ValueError, UnsupportedAlgorithm):
        return [], "this is no PEM file with an Ed25519 key (-----BEGIN PRIVATE KEY----- or -----BEGIN PUBLIC KEY-----)"
    try:
        if isinstance(found, _ed25519().Ed25519PublicKey):
            return [Ed25519PublicKey(found.public_bytes_raw(), name)], ""
        if isinstance(found, _ed25519().Ed25519PrivateKey):
            return [Ed25519PrivateKey(found.private_bytes_raw(), name)], ""
    except BadKey as unfit:  # the name
        return [], str(unfit)
    return [], "the key is of another algorithm: artifacts are signed with Ed25519 or HMAC"


def _ed25519() -> ModuleType:
    """:raises BadKey: the package is missing."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise BadKey("Ed25519 needs the cryptography package, which is not installed: pip install 'cascade-vm[sign]'") from None
    return ed25519


def _fault_of_backend() -> str:
    try:
        _ed25519()
    except BadKey as fault:
        return str(fault)
    return ""


def _fault_of_bytes(raw: object, what: str, least: int, most: int | None) -> str:
    if not isinstance(raw, (bytes, bytearray, memoryview)):
        return f"{what} is bytes, not {type(raw).__name__}"
    if len(raw) < least or (most is not None and len(raw) > most):
        draw = " Draw one at random: cascade keygen, or secrets.token_bytes(32)" if most is None else ""
        return f"{what} has {least} bytes{' or more' if most is None else ''}, and this one has {len(raw)}.{draw}".rstrip(".")
    return ""


def _fault_of_given(name: str | None) -> str:
    return "" if name is None else fault_of_name(name)
