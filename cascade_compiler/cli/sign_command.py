"""``cascade sign`` and ``cascade keygen``: signatures of artifacts, and keys for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cascade_compiler.cli import output, signing
from cascade_compiler.cli.app import Json, command
from cascade_vm.keys import read_signing_key
from cascade_vm.signing import signatures


@command()
def sign(
    artifact: str,
    /,
    *,
    key: Path,
    out: Annotated[Path | None, Parameter(name=("--output", "-o"), show_default=False)] = None,
    as_json: Json = False,
) -> int:
    """Sign an artifact: say that these are its bytes.

    It is checked first, as cascade verify does. A signature stands beside those
    that there are; one by a key of the same name is replaced.

    Examples:

        cascade keygen ci.key
        cascade sign report.cbp --key ci.key
        cascade verify report.cbp --key ci.pub

    :param artifact: the artifact.
    :param key: the file with the key that signs, such as cascade keygen writes it, or an Ed25519 private key as PEM.
    :param out: where to write what is signed. [default: in place of the artifact]
    :param as_json: print what was written as one JSON document.
    """
    signs = read_signing_key(key)
    path = out if out is not None else Path(artifact)
    content = signing.signed(artifact, signs)
    signing.write(path, content)
    found = signatures(content)
    if as_json:
        told = [{"algorithm": one.algorithm, "name": one.name} for one in found]
        output.say_json({"path": str(path), "bytes": len(content), "signatures": told})
    else:
        output.say(f"wrote {path}: {len(content):,} bytes, signed by {', '.join(str(one) for one in found)}", output.SUMMARY)
    return 0


@command()
def keygen(
    path: Path,
    /,
    *,
    algorithm: Literal["ed25519", "hmac-sha256"] = "ed25519",
    name: Annotated[str | None, Parameter(show_default=False)] = None,
    as_json: Json = False,
) -> int:
    """Make a key that signs artifacts, and write it to a new file.

    Ed25519 has two keys: the private one signs, and the public one, which is put
    beside it with the suffix .pub, checks. HMAC has one secret for both. Only you
    can read a private file; nothing is ever overwritten.

    Examples:

        cascade keygen ci.key
        cascade keygen shared.key --algorithm hmac-sha256 --name shared-2026

    :param path: where to write the key that signs.
    :param algorithm: what signs. ed25519 needs the cryptography package: pip install 'cascade-vm[sign]'.
    :param name: what the key is called in signatures. [default: the name of the file, without its suffix]
    :param as_json: print what was written as one JSON document, without the key.
    """
    key, public = signing.generate(path, algorithm, name)
    if as_json:
        told = {"path": str(path), "public": None if public is None else str(public), "algorithm": key.algorithm, "name": key.name}
        output.say_json(told)
        return 0
    lines = [f"wrote {path}: the key {key}, which signs. Keep it secret"]
    lines.append(f"wrote {public}: the public key, which checks" if public else "  it checks too: whoever can check can sign")
    output.say("\n".join(lines), output.SUMMARY)
    return 0
