"""Signatures on the command line: which keys are required, new keys in files, artifacts signed in place."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cascade_compiler.cli.app import Words
from cascade_compiler.cli.failures import UsageError
from cascade_vm.codec import loads
from cascade_vm.errors import LoadError, VerifyError
from cascade_vm.files import write_whole
from cascade_vm.keys import Ed25519PrivateKey, HmacKey, read_keys
from cascade_vm.load_limits import DEFAULT
from cascade_vm.signing import ED25519, fault_of_name, sign

if TYPE_CHECKING:
    from cascade_vm.signing import Key, SigningKey

Keys = Annotated[Words, Parameter(name="--key", negative=(), show_default=False)]

VARIABLE = "CASCADE_KEYS"


def required(paths: Words) -> tuple[Key, ...] | None:
    """The keys of which one must have signed an artifact: those in ``paths``, or else in the files that CASCADE_KEYS names; None where
    neither is given.

    :raises BadKey: a file has no keys, or something else in it.
    :raises UsageError: CASCADE_KEYS is there and names nothing: no signature would be asked for by mistake.
    """
    if not paths:
        named = os.environ.get(VARIABLE)
        if named is None:
            return None
        paths = tuple(path for path in named.split(os.pathsep) if path)
        if not paths:
            raise UsageError(f"{VARIABLE} names no key file: name those whose keys are accepted, or unset it if no signature is needed")
    return tuple(key for path in paths for key in read_keys(path))


def only_for_artifacts(paths: Words) -> None:
    """:raises UsageError: keys are given for what is no artifact."""
    if paths:
        raise UsageError("--key asks for the signature of an artifact; a workflow is imported, and has none")


def signed(path: str, key: SigningKey) -> bytes:
    """The artifact at ``path``, signed: after it was found to be one that could be run.

    :raises LoadError, VerifyError: it is not. The text names the path.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(DEFAULT.bytes + 1)
    except OSError as fault:
        raise LoadError(f"{path}: cannot be read: {fault.strerror or fault}", code="L09") from None
    except ValueError:
        raise LoadError(f"{path!r}: cannot be read: no file has such a name", code="L09") from None
    try:
        loads(content)
        return sign(content, key)
    except LoadError as fault:
        raise LoadError(f"{path}: {fault}", code=fault.code) from None
    except VerifyError as fault:
        raise VerifyError(f"{path}: {fault}", fault.faults) from None


def write(path: Path, content: bytes) -> None:
    """Write an artifact, whole or not at all.

    :raises UsageError: it cannot be written there.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the file")
    try:
        write_whole(path, content)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise UsageError(f"{path}: cannot be written: {reason}") from None


def generate(path: Path, algorithm: str, name: str | None) -> tuple[SigningKey, Path | None]:
    """Write a new key to ``path``, which only its owner may read, and the public key, if there is one, beside it: both or none.

    :returns: the key, and where the public key is.
    :raises UsageError: a file is there already, or cannot be written.
    """
    if path.suffix == ".pub":
        raise UsageError(f"{path}: a name for the private key is wanted; the public key is put beside it, with .pub")
    if name is None and not fault_of_name(path.stem):
        name = path.stem
    if algorithm != ED25519:
        secret = HmacKey.generate(name)
        _write_new(path, f"# Whoever has this key can sign, and can check signatures. Keep it secret.\n{secret.line()}\n", 0o600)
        return secret, None
    key, public = Ed25519PrivateKey.generate(name), path.with_suffix(".pub")
    _write_new(path, f"# Whoever has this key can sign. Keep it secret.\n{key.line()}\n", 0o600)
    try:
        _write_new(public, f"# This key checks signatures. It is no secret.\n{key.public.line()}\n", 0o644)
    except BaseException:
        path.unlink()
        raise
    return key, public


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise UsageError(f"{path} is there already, and a key is never overwritten: name another file") from None
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise UsageError(f"{path}: cannot be written: {reason}") from None
    try:
        with open(number, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as fault:
        with suppress(OSError):
            path.unlink()
        if isinstance(fault, OSError):
            raise UsageError(f"{path}: cannot be written: {fault.strerror or fault}") from None
        raise
