"""``cascade inspect``: all that an artifact says, and nothing of it imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cascade_compiler import compile
from cascade_compiler.cli import inspecting, main
from cascade_vm import load
from cascade_vm.keys import HmacKey
from cascade_vm.policies import CallPolicy, RateLimit, Retry
from cascade_vm.signing import sign

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden" / "artifacts").glob("*.cbp"))


def artifact(name: str) -> Path:
    return next(path for path in GOLDEN if path.name == f"{name}.cbp")


def inspected(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["inspect", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found: dict[str, Any] = json.loads(said.out)
    return found


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_every_artifact_that_loads_can_be_inspected(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = inspected(path, capsys)
    program = load(path)
    content = path.read_bytes()
    assert told["path"] == str(path)
    assert list(told["versions"].values()) == [int.from_bytes(content[at : at + 2], "big") for at in (8, 10, 12)]
    assert told["content_hash"] == content[24:56].hex()
    assert told["cycle_id"] == program.cycle_id
    sizes = told["bytes"]
    header = 64 if told["versions"]["container"] >= 3 else 56
    assert sizes["file"] == len(content) == header + sizes["content"] + sizes["about"] + sizes["signatures"]
    counts = told["counts"]
    assert (counts["blueprints"], counts["constants"]) == (len(program.data.blueprints), len(program.data.constants))
    assert counts["instructions"] == sum(len(one.instructions) for one in program.data.blueprints)
    assert counts["registers"] == max(one.registers for one in program.data.blueprints)
    assert [one["name"] for one in told["inputs"]] == list(program.inputs)
    assert [one["name"] for one in told["tasks"]] == [one.name for one in program.symbols]
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    for text in (program.cycle_id, told["content_hash"], *(f"{name}: " for name in program.inputs), *(one.name for one in program.symbols)):
        assert text in shown


def test_what_it_says_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    path = artifact("policies.v3")
    assert main(["inspect", str(path)]) == 0
    told = inspecting.inspect(str(path))
    lines = inspecting.text(told).splitlines()
    assert lines[0] == f"{path}: {path.stat().st_size:,} bytes"
    assert "  versions      container 3, instruction set 2, operation set 2" in lines
    assert "  inputs        n: int" in lines
    assert "  imports       golden_flows" in lines
    assert "  resources     none" in lines
    assert "  source files  golden_flows.py" in lines
    assert any(line.endswith("golden_flows:later(x, *, by=…)   async, version 1") for line in lines)
    assert (
        "                golden_flows:later   3 attempts on ValueError; timeout 30.5 s; holds slots 2; at most 5000 starts in 0.5 s, "
        "shared as 'r'" in lines
    )


def test_what_would_be_imported() -> None:
    """What linking imports: also for resources, and for exceptions that are retried; nothing for the builtin ones"""
    assert inspecting.inspect(str(artifact("policies.v3")))["modules"] == ["golden_flows"]
    assert inspecting.inspect(str(artifact("given.v3")))["modules"] == []
    resources = inspecting.inspect(str(artifact("resources.v3")))
    assert resources["modules"] == ["golden_flows"]
    assert resources["resources"] == [
        {"name": "golden_flows:golden_database", "scope": "run", "kind": "async"},
        {"name": "golden_flows:golden_seat", "scope": "step", "kind": "sync"},
        {"name": "golden_flows:golden_settings", "scope": "run", "kind": "sync"},
    ]


def test_modes_maps_and_jumps() -> None:
    tasks = {one["name"]: (one["kind"], one["mode"]) for one in inspecting.inspect(str(artifact("modes.v3")))["tasks"]}
    assert tasks["golden_flows:in_thread"] == ("sync", "thread")
    assert tasks["golden_flows:in_process"] == ("sync", "process")
    maps = inspecting.inspect(str(artifact("mapped.v3")))["policies"]
    assert {"task": "golden_flows:later", "policy": "mapped; at most 2 in progress"} in maps
    assert {"task": "golden_flows:add", "policy": "mapped; 2 attempts on Exception"} in maps
    jumps = inspecting.inspect(str(artifact("jumps.v3")))
    assert any(one["jumps"] for one in jumps["tasks"])
    assert jumps["counts"]["parts"] > 0
    assert "may jump" in inspecting.text(jumps)


def test_inputs_have_types_and_defaults() -> None:
    inputs = {one["name"]: one for one in inspecting.inspect(str(artifact("environment.v3")))["inputs"]}
    assert inputs["GOLDEN_TEXT"] == {
        "name": "GOLDEN_TEXT", "source": "env", "type": "str", "required": False, "default": "unset",
        "text": "env GOLDEN_TEXT: str = 'unset'",
    }  # fmt: skip
    assert inputs["GOLDEN_NUMBER"]["required"]
    assert "v: bytearray = bytearray(b'v')" in inspecting.text(inspecting.inspect(str(artifact("types_of_inputs.v3"))))
    assert "env GOLDEN_TEXT: str = 'unset'" in inspecting.text(inspecting.inspect(str(artifact("environment.v3"))))


def test_signatures_and_provenance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = load(artifact("tail.v3"))
    path = tmp_path / "signed.cbp"
    program.save(path, provenance={"time": "2026-01-31", "by": "a\x1b[31mline\n  cycle_id  feigned"})
    secret = b"a secret of thirty-two bytes or so"
    path.write_bytes(sign(path.read_bytes(), HmacKey(secret, "release")))
    told = inspected(path, capsys)
    assert told["signatures"] == [{"algorithm": "hmac-sha256", "key": "release", "right": None}]
    assert told["bytes"]["signatures"] > 0
    assert told["provenance"]["time"] == "2026-01-31"
    shown = inspecting.text(told)
    assert "  signatures    'release' (hmac-sha256), not checked" in shown
    assert r"by: a\x1b[31mline\n  cycle_id  feigned" in shown  # nothing that a file says moves the cursor or begins a line
    assert "\x1b" not in shown
    assert inspecting.inspect(str(artifact("tail.v3")))["signatures"] == []


def test_nothing_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom cascade_compiler.cli import main\n"
        f"code = main(['inspect', {str(artifact('resources.v3'))!r}])\n"
        "print(code, 'golden_flows' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'golden'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "0 False"


# --- what is no artifact ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "LoadError"),
        (b"", "LoadError"),
        (b"garbage", "LoadError"),
        ("cut", "LoadError"),
        ("newer", "LoadError"),
    ],
)
def test_errors_are_those_of_the_other_commands(content: Any, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.cbp"
    good = artifact("tail.v3").read_bytes()
    if content is not None:
        path.write_bytes({"cut": good[:-9], "newer": good[:13] + b"\x63" + good[14:]}.get(content, content))
    assert main(["inspect", str(path), "--json"]) == 2
    inspect_said = capsys.readouterr()
    assert main(["dis", str(path), "--json"]) == 2
    assert capsys.readouterr() == inspect_said
    found = json.loads(inspect_said.out)["error"]
    assert found["type"] == error
    assert str(path) in found["message"]


def test_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect"]) == 2
    assert "inspect --help" in capsys.readouterr().err
    assert main(["inspect", "flows.py"]) == 2
    assert "is Python source, not an artifact" in capsys.readouterr().err


# --- policies in words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (CallPolicy(), "none"),
        (CallPolicy(retry=Retry(3, on=("builtins:ValueError", "shop:Busy"))), "3 attempts on ValueError, shop:Busy"),
        (
            CallPolicy(retry=Retry(9, 0.5, 2.0, 30.0, 0.1, 1, ("builtins:OSError",))),
            "9 attempts on OSError, 0.5 s between them, times 2 each time, at most 30 s, jitter 0.1",
        ),
        (CallPolicy(timeout=5.0), "timeout 5 s"),
        (CallPolicy(cache="rates"), "cache 'rates'"),
        (CallPolicy(constraints=(("gpu", 1.0), ("memory", None))), "holds gpu 1, memory as computed"),
        (CallPolicy(rate=RateLimit("api", 10.0)), "at most 10 starts in 1 s, shared as 'api'"),
    ],
)
def test_policies_in_words(policy: CallPolicy, text: str) -> None:
    assert inspecting.policy_text(policy) == text


def test_a_program_of_no_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "constant.cbp"
    compile([1, 2]).save(path)
    told = inspected(path, capsys)
    assert (told["tasks"], told["modules"], told["policies"]) == ([], [], [])
