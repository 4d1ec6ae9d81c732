"""Signed artifacts of the golden corpus: their signatures stay right, and what is signed is what it was.

``signed/known-to-everyone.keys`` has the private keys. The artifacts are ``artifacts/tail.v3.cbp`` with signatures behind it.
"""

from __future__ import annotations

import json
from pathlib import Path

import corpus
import golden_flows
import pytest

from cascade_compiler.cli import main
from cascade_vm import LoadError, load, loads, read_keys, sign
from cascade_vm.keys import Ed25519PrivateKey
from cascade_vm.signing import Key, SigningKey

SIGNED = Path(__file__).with_name("signed")
KEYS = read_keys(SIGNED / "known-to-everyone.keys")
UNSIGNED = corpus.ARTIFACTS / "tail.v3.cbp"


def by(path: Path) -> list[Key]:
    """The keys that signed an artifact."""
    return [key for key in KEYS if key.algorithm in path.name or "both" in path.name]


@pytest.fixture(params=sorted(SIGNED.glob("*.cbp")), ids=lambda path: path.name)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_it_tells_and_gives_what_the_unsigned_one_does(path: Path) -> None:
    document = json.loads(UNSIGNED.with_suffix(".json").read_text(encoding="ascii"))
    for key in by(path):
        program = load(path, keys=[key.public if isinstance(key, Ed25519PrivateKey) else key])
        assert program.signed_by == "golden-test"
        assert corpus.told(path.read_bytes(), program) == document["told"]
        found = corpus.runs(program, golden_flows.RUNS["tail"], "interpreter")
        assert json.loads(json.dumps(found)) == document["runs"]


def test_signing_gives_these_bytes(path: Path) -> None:
    """Both algorithms give the same signature each time"""
    made = UNSIGNED.read_bytes()
    for key in by(path):
        assert isinstance(key, SigningKey)
        made = sign(made, key)
    assert made == path.read_bytes()


def test_a_changed_byte_is_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[70] ^= 1
    for key in by(path):
        with pytest.raises(LoadError, match=r"signature by 'golden-test' .* is wrong") as refused:
            loads(bytes(content), keys=[key])
        assert refused.value.code == "L12"


def test_inspect_tells_which_signature_is_right(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = SIGNED / "known-to-everyone.keys"
    assert main(["inspect", str(path), "--key", str(keys)]) == 0
    shown = capsys.readouterr().out
    assert all(f"'golden-test' ({key.algorithm}), right" in shown for key in by(path))
    one = tmp_path / "one.keys"
    one.write_text(f"{KEYS[0].line()}\n")  # type: ignore[attr-defined]
    code = main(["inspect", str(path), "--key", str(one), "--json"])
    said = capsys.readouterr()
    if KEYS[0] in by(path):
        told = {found["algorithm"]: found["right"] for found in json.loads(said.out)["signatures"]}
        assert (code, told[KEYS[0].algorithm]) == (0, True)
        assert {right for algorithm, right in told.items() if algorithm != KEYS[0].algorithm} <= {None}
    else:
        assert (code, json.loads(said.out)["error"]["exit_code"]) == (2, 2)


def test_inspect_of_what_no_key_signed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(UNSIGNED), "--key", str(SIGNED / "known-to-everyone.keys")]) == 2
    assert "the artifact is unsigned, and a signature is required" in capsys.readouterr().err
