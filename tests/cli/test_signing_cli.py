"""Signatures on the command line: sign, keygen, and --key of run, dis and verify."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cascade_compiler.cli import main
from cascade_vm import HmacKey, load, read_keys, read_signing_key, signing
from cascade_vm.container import pack, unpack

MODULE = "flows_for_signing"
FLOWS = """
from cascade_compiler import task, workflow

print("imported")

@task
def twice(n):
    return 2 * n

@workflow
def double(n: int = 4):
    return twice(n)
"""


class Shell:
    """A folder with an artifact and keys of each kind; the tests run in it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr). No secret of any key in the folder is in either."""
        code = main(list(words))
        told = self.capsys.readouterr()
        for path in Path().glob("*.key"):
            words = path.read_text().split() if path.exists() else []
            assert not [word for word in words if len(word) == 64 and word in told.out + told.err]
        return code, told.out, told.err

    def json(self, *words: str) -> tuple[int, Any]:
        code, out, _ = self(*words, "--json")
        assert out.count("\n") == 1
        return code, json.loads(out)

    def refused(self, *words: str) -> str:
        """The error of a command that ends with 2 and does nothing."""
        code, out, err = self(*words)
        assert (code, out) == (2, "")
        assert err.startswith("error")
        return err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one])
    monkeypatch.delenv("CASCADE_KEYS", raising=False)
    monkeypatch.delenv("CASCADE_FULL_TRACEBACK", raising=False)
    Path(f"{MODULE}.py").write_text(FLOWS)
    made = Shell(capsys)
    assert made("compile", f"{MODULE}:double")[0] == 0
    assert made("keygen", "ci.key")[0] == made("keygen", "shared.key", "--algorithm", "hmac-sha256")[0] == 0
    sys.modules.pop(MODULE)
    yield made
    sys.modules.pop(MODULE, None)


def names(path: str) -> list[tuple[str, str]]:
    return [(one.algorithm, one.name) for one in signing.signatures(Path(path).read_bytes())]


# --- keygen -----------------------------------------------------------------------------------------------------------


def test_keygen_writes_both_keys_of_ed25519(shell: Shell) -> None:
    assert shell("keygen", "release.key") == (
        0,
        "wrote release.key: the key 'release' (ed25519), which signs. Keep it secret\n"
        "wrote release.pub: the public key, which checks\n",
        "",
    )
    private, (public,) = read_signing_key("release.key"), read_keys("release.pub")
    assert public.verifies(b"x", private.make(b"x"))
    assert public.name == private.name == "release"


def test_keygen_writes_one_secret_for_hmac(shell: Shell) -> None:
    code, out, err = shell("keygen", "a.key", "--algorithm", "hmac-sha256", "--name", "2026")
    assert (code, err) == (0, "")
    assert out == (
        "wrote a.key: the key '2026' (hmac-sha256), which signs. Keep it secret\n  it checks too: whoever can check can sign\n"
    )
    assert isinstance(read_signing_key("a.key"), HmacKey)
    assert not Path("a.pub").exists()


def test_keygen_as_json(shell: Shell) -> None:
    assert shell.json("keygen", "a.key", "--name", "x") == (
        0, {"path": "a.key", "public": "a.pub", "algorithm": "ed25519", "name": "x"},
    )  # fmt: skip
    assert shell.json("keygen", "b.key", "--algorithm", "hmac-sha256") == (
        0, {"path": "b.key", "public": None, "algorithm": "hmac-sha256", "name": "b"},
    )  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_private_files_are_only_for_their_owner(shell: Shell, umask: int) -> None:
    before = os.umask(umask)
    try:
        shell("keygen", "a.key")
        shell("keygen", "b.key", "--algorithm", "hmac-sha256")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in ("a.key", "b.key", "a.pub")] == [0o600, 0o600, 0o644 & ~umask]


def test_a_file_whose_name_is_no_name_of_a_key(shell: Shell) -> None:
    assert shell("keygen", "my key.key")[0] == 0
    assert len(read_signing_key("my key.key").name) == 16


@pytest.mark.parametrize("algorithm", ["ed25519", "hmac-sha256"])
def test_keygen_never_overwrites(shell: Shell, algorithm: str) -> None:
    Path("a.key").write_text("precious")
    assert "a.key is there already, and a key is never overwritten" in shell.refused("keygen", "a.key", "--algorithm", algorithm)
    assert Path("a.key").read_text() == "precious"
    assert not Path("a.pub").exists()


def test_keygen_writes_both_or_none(shell: Shell) -> None:
    Path("a.pub").write_text("precious")
    assert "a.pub is there already" in shell.refused("keygen", "a.key")
    assert Path("a.pub").read_text() == "precious"
    assert not Path("a.key").exists()


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_keygen_does_not_write_through_a_link(shell: Shell) -> None:
    os.symlink("elsewhere", "a.key")
    assert "is there already" in shell.refused("keygen", "a.key")
    assert not Path("elsewhere").exists()


def test_what_is_half_written_is_taken_away(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "a.key: cannot be written: No space left on device" in shell.refused("keygen", "a.key")
    assert not Path("a.key").exists()
    before = Path("double.cbp").read_bytes()
    assert "double.cbp: cannot be written: No space left" in shell.refused("sign", "double.cbp", "--key", "ci.key")
    assert Path("double.cbp").read_bytes() == before
    assert [path.name for path in Path().iterdir() if "tmp" in path.name] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.pub"], "a name for the private key is wanted"),
        (["none/a.key"], "none/a.key: cannot be written: No such file"),
        (["a.key", "--name", "no name"], "the name of a key is 1 to 64 letters"),
        (["a.key", "--algorithm", "rsa"], "ed25519"),
        ([], "requires an argument"),
    ],
)
def test_keygen_refuses(shell: Shell, words: list[str], expected: str) -> None:
    assert expected in shell.refused("keygen", *words)
    assert not Path("a.key").exists()


# --- sign -------------------------------------------------------------------------------------------------------------


def test_sign_in_place(shell: Shell) -> None:
    before = Path("double.cbp").read_bytes()
    code, out, err = shell("sign", "double.cbp", "--key", "ci.key")
    content = Path("double.cbp").read_bytes()
    assert (code, out, err) == (0, f"wrote double.cbp: {len(content):,} bytes, signed by 'ci' (ed25519)\n", "")
    assert unpack(content).signed == before
    assert load("double.cbp", keys=read_keys("ci.pub")).signed_by == "ci"


def test_sign_to_another_file_and_as_json(shell: Shell) -> None:
    before = Path("double.cbp").read_bytes()
    Path("out").mkdir()
    code, told = shell.json("sign", "double.cbp", "--key", "shared.key", "-o", "out/signed.cbp")
    assert (code, told) == (
        0,
        {
            "path": "out/signed.cbp", "bytes": Path("out/signed.cbp").stat().st_size,
            "signatures": [{"algorithm": "hmac-sha256", "name": "shared"}],
        },
    )  # fmt: skip
    assert Path("double.cbp").read_bytes() == before


def test_signatures_add_up_and_are_replaced(shell: Shell) -> None:
    for key in ("ci.key", "shared.key", "ci.key"):
        assert shell("sign", "double.cbp", "--key", key)[0] == 0
    assert names("double.cbp") == [("ed25519", "ci"), ("hmac-sha256", "shared")]


def test_sign_refuses(shell: Shell) -> None:
    good = Path("double.cbp").read_bytes()
    Path("bad.cbp").write_bytes(good[:-1])
    Path("ring.keys").write_text(Path("ci.key").read_text() + Path("shared.key").read_text())
    for words, expected in (
        (["double.cbp"], "requires an argument"),
        (["double.cbp", "--key", "ci.pub"], "ci.pub: 'ci' (ed25519) is a public key"),
        (["double.cbp", "--key", "ring.keys"], "ring.keys: there are 2 keys in it"),
        (["double.cbp", "--key", "none.key"], "none.key: cannot be read: No such file"),
        (["double.cbp", "--key", "double.cbp"], "double.cbp: is no key file"),
        (["none.cbp", "--key", "ci.key"], "none.cbp: cannot be read: No such file"),
        (["a\0b.cbp", "--key", "ci.key"], "cannot be read"),
        (["bad.cbp", "--key", "ci.key"], "bad.cbp: the artifact is cut short"),
        (["double.cbp", "--key", "ci.key", "-o", "."], "is a folder"),
        (["double.cbp", "--key", "ci.key", "-o", "none/x.cbp"], "none/x.cbp: cannot be written: No such file"),
    ):
        assert expected in shell.refused("sign", *words)
    assert Path("double.cbp").read_bytes() == good
    assert Path("bad.cbp").read_bytes() == good[:-1]


def test_sign_refuses_code_that_is_not_valid(shell: Shell) -> None:
    """Whole and canonical, but a blueprint has no registers"""
    parts = unpack(Path("double.cbp").read_bytes())
    tree = msgspec.msgpack.decode(parts.content)
    tree[1][0][1] = 0
    Path("invalid.cbp").write_bytes(pack(msgspec.msgpack.encode(tree), bytes(parts.about)))
    assert "error[V-" in (told := shell.refused("sign", "invalid.cbp", "--key", "ci.key"))
    assert "invalid.cbp: " in told
    assert names("invalid.cbp") == []


def test_a_secret_in_place_of_a_path_is_not_shown(shell: Shell) -> None:
    secret = Path("shared.key").read_text().splitlines()[1]
    for words in (["sign", "double.cbp"], ["verify", "double.cbp"], ["run", "double.cbp"]):
        for given in (secret, secret.split()[1]):
            assert "looks like a key itself" in shell.refused(*words, "--key", given)


# --- --key ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def signed(shell: Shell) -> Shell:
    shell("sign", "double.cbp", "--key", "ci.key", "-o", "signed.cbp")
    shell("sign", "double.cbp", "--key", "shared.key", "-o", "shared.cbp")
    return shell


def test_verify_tells_by_whom(signed: Shell) -> None:
    code, out, err = signed("verify", "signed.cbp", "--key", "ci.pub")
    assert (code, err) == (0, "")
    assert out.startswith("signed.cbp: ok ")
    assert out.endswith(", signed by 'ci'\n")
    assert "signed" not in signed("verify", "double.cbp")[1]
    assert signed.json("verify", "signed.cbp", "--key", "ci.key")[1]["artifacts"][0]["signed_by"] == "ci"
    assert "signed_by" not in signed.json("verify", "signed.cbp")[1]["artifacts"][0]


def test_verify_with_several_keys(signed: Shell) -> None:
    """Each artifact is signed by one of them"""
    code, out, err = signed("verify", "signed.cbp", "shared.cbp", "--key", "ci.pub", "--key", "shared.key")
    assert (code, err) == (0, "")
    assert [line.rpartition(" ")[2] for line in out.splitlines()] == ["'ci'", "'shared'"]
    Path("ring.keys").write_text(Path("ci.pub").read_text() + Path("shared.key").read_text())
    assert signed("verify", "signed.cbp", "shared.cbp", "--key", "ring.keys") == (code, out, err)


def test_verify_looks_at_all(signed: Shell) -> None:
    code, out, err = signed("verify", "double.cbp", "signed.cbp", "shared.cbp", "--key", "ci.pub")
    assert code == 2
    assert [line.partition(":")[0] for line in out.splitlines()] == ["signed.cbp"]
    assert "double.cbp: the artifact is unsigned, and a signature is required, by 'ci' (ed25519)" in err
    assert "shared.cbp: the artifact is signed by 'shared' (hmac-sha256), and accepted is only 'ci' (ed25519)" in err


def test_run_imports_nothing_that_is_not_signed(signed: Shell) -> None:
    assert signed("run", "signed.cbp", "--key", "ci.pub", "-p", "n=5") == (0, "imported\n10\n", "")
    sys.modules.pop(MODULE)
    damaged = bytearray(Path("signed.cbp").read_bytes())
    damaged[100] ^= 1
    Path("damaged.cbp").write_bytes(damaged)
    for path, expected in (("double.cbp", "L11"), ("shared.cbp", "L12"), ("damaged.cbp", "L12")):
        assert expected in signed.refused("run", path, "--key", "ci.pub")
        assert expected in signed.refused("dis", path, "--key", "ci.pub")
    assert MODULE not in sys.modules
    code, told = signed.json("run", "double.cbp", "--key", "ci.pub")
    assert (code, told["error"]["type"]) == (2, "LoadError")


def test_dis(signed: Shell) -> None:
    code, out, err = signed("dis", "signed.cbp", "--key", "ci.pub")
    assert (code, err) == (0, "")
    assert out == signed("dis", "double.cbp")[1]


@pytest.mark.parametrize("command", ["run", "dis"])
def test_a_workflow_has_no_signature(signed: Shell, command: str) -> None:
    assert "--key asks for the signature of an artifact" in signed.refused(command, f"{MODULE}:double", "--key", "ci.pub")


@pytest.mark.parametrize("command", ["run", "dis", "verify"])
def test_keys_that_cannot_be_read(signed: Shell, command: str) -> None:
    Path("empty.key").write_text("")
    assert "none.key: cannot be read" in signed.refused(command, "signed.cbp", "--key", "none.key")
    assert "empty.key: there is no key in it" in signed.refused(command, "signed.cbp", "--key", "ci.pub", "--key", "empty.key")


# --- CASCADE_KEYS -----------------------------------------------------------------------------------------------------


def test_the_environment_requires_keys(signed: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASCADE_KEYS", os.pathsep.join(["ci.pub", "shared.key"]))
    for path, expected in (("signed.cbp", 0), ("shared.cbp", 0), ("double.cbp", 2)):
        assert [signed(command, path)[0] for command in ("run", "dis", "verify")] == [expected] * 3
    assert signed("run", f"{MODULE}:double", "-p", "n=1")[0] == 0
    assert signed("verify", "shared.cbp", "--key", "ci.pub")[0] == 2  # --key takes the place of the variable


@pytest.mark.parametrize("value", ["", os.pathsep])
def test_the_variable_is_not_empty_by_mistake(signed: Shell, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CASCADE_KEYS", value)
    for command in ("run", "dis", "verify"):
        assert "CASCADE_KEYS names no key file" in signed.refused(command, "signed.cbp")


# --- with other programs ----------------------------------------------------------------------------------------------


def test_in_a_process_of_its_own_from_a_pipe(signed: Shell) -> None:
    """A key need not be in a file: /dev/stdin is one"""
    if not os.path.exists("/dev/stdin"):
        pytest.skip("no /dev/stdin here")
    root = str(Path(signing.__file__).parents[1])
    shown = subprocess.run(
        [sys.executable, "-m", "cascade_compiler.cli", "verify", "shared.cbp", "--key", "/dev/stdin"],
        input=Path("shared.key").read_text(), capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.endswith("signed by 'shared'\n")
