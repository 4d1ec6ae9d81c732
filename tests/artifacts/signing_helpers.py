"""Keys and signed artifacts for the tests. The secrets are recognised wherever they turn up."""

from __future__ import annotations

import base64
import functools
import traceback
from typing import Any

import artifact_flows as flows

from cascade_compiler import compile
from cascade_vm import Ed25519PrivateKey, HmacKey, LoadError, sign
from cascade_vm.signing import Key, SigningKey

SECRET = b"this secret is in no error: 0123456789"
SEED = b"this seed is in no error at all!"

HMAC = HmacKey(SECRET, "ci")
PRIVATE = Ed25519PrivateKey(SEED, "release")
PUBLIC = PRIVATE.public

# (what signs, what checks)
PAIRS: list[tuple[SigningKey, Key]] = [(HMAC, HMAC), (PRIVATE, PUBLIC)]


@functools.cache
def small() -> bytes:
    return compile(flows.small).to_bytes()


def signed(key: SigningKey, *others: SigningKey) -> bytes:
    content = sign(small(), key)
    for other in others:
        content = sign(content, other)
    return content


def code_of(call: Any) -> str:
    """The code of the LoadError that ``call`` raises; "" where it raises none."""
    try:
        call()
    except LoadError as error:
        return error.code
    return ""


def forms(secret: bytes) -> list[str]:
    """How a secret could be written."""
    return [secret.hex(), repr(secret)[2:-1], base64.b64encode(secret).decode()[:-4], repr(list(secret))[1:-1]]


def leaks(shown: str, *secrets: bytes) -> list[str]:
    """The forms of secrets that are in ``shown``."""
    folded = shown.replace("\n", "").lower()
    return [form for secret in secrets for form in forms(secret) if form.lower() in folded]


def all_of(error: BaseException) -> str:
    """Whatever can be shown of an error: text, repr, notes, causes, contexts; and the variables of the frames of the library."""
    found, seen, waiting = [], set(), [error]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        found += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", [])]
        whole = traceback.TracebackException.from_exception(one, capture_locals=True)
        found += [repr(frame.locals) for frame in whole.stack if "cascade_" in frame.filename]
        waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
    return "\n".join(found)
