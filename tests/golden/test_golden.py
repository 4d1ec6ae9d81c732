"""The golden corpus is loaded, verified, linked and run as it always was (docs/compatibility.md)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import corpus
import golden_flows
import pytest

from cascade_compiler import compile
from cascade_vm import LoadError, Program, constants, isa, loads, verify
from cascade_vm.container import CONTAINER_VERSION, OLDEST, unpack

ARTIFACTS = sorted(corpus.ARTIFACTS.glob("*.cbp"))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLDEN_TEXT", raising=False)
    for name, value in golden_flows.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
    return found


@pytest.mark.parametrize("path", ARTIFACTS, ids=lambda path: path.name)
class TestEachArtifact:
    def test_it_tells_what_it_told(self, path: Path) -> None:
        artifact = path.read_bytes()
        program = loads(artifact)
        verify(program)
        assert corpus.told(artifact, program) == document(path)["told"]

    @pytest.mark.parametrize("engine", ["interpreter", "codegen"])
    def test_it_gives_what_it_gave(self, path: Path, engine: str, request: pytest.FixtureRequest) -> None:
        program = loads(path.read_bytes())
        processes = any(symbol.mode == "process" for symbol in program.symbols)
        pools = {"process": request.getfixturevalue("processes")} if processes else None
        found = corpus.runs(program, golden_flows.RUNS[corpus.flow_of(path)], engine, pools)
        assert json.loads(json.dumps(found)) == document(path)["runs"]


def test_nothing_is_missing() -> None:
    """A flow has artifacts of every version of the container that could hold it, and each artifact has its JSON."""
    assert {path.stem for path in corpus.ARTIFACTS.glob("*.json")} == {path.stem for path in ARTIFACTS}
    assert set(golden_flows.RUNS) == set(golden_flows.FLOWS)
    versions: dict[int, set[str]] = {}
    for path in ARTIFACTS:
        versions.setdefault(path.read_bytes()[9], set()).add(corpus.flow_of(path))
    assert set(versions) == set(range(OLDEST["container format"], CONTAINER_VERSION + 1))
    assert versions[1] | versions[2] == versions[3] == set(golden_flows.FLOWS)


@pytest.mark.parametrize("name", golden_flows.FLOWS)
def test_the_compiler_still_writes_the_same_content(name: str) -> None:
    newest = corpus.of_flow(name, CONTAINER_VERSION)[-1]
    assert unpack(compile(golden_flows.FLOWS[name]).to_bytes()).content == unpack(newest.read_bytes()).content, (
        f"the compiler makes something else of {name} than {newest.name}. If that is meant: run tests/golden/make_corpus.py, which adds an "
        "artifact and leaves the old ones, and say in the CHANGELOG what changed. If it is not meant, programs that were compiled before "
        "and after are not the same any more"
    )


@pytest.mark.parametrize("name", golden_flows.FLOWS)
def test_the_cycle_id_is_the_same_in_every_version(name: str) -> None:
    known = {loads(path.read_bytes()).cycle_id for path in ARTIFACTS if corpus.flow_of(path) == name}
    assert known == {compile(golden_flows.FLOWS[name]).cycle_id}


# --- what the corpus covers -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    return [loads(path.read_bytes()) for path in ARTIFACTS]


@pytest.mark.parametrize("opcode", isa.OPCODES, ids=lambda opcode: opcode.name)
def test_every_opcode_is_in_the_corpus(opcode: isa.Opcode, programs: list[Program]) -> None:
    used = {one.opcode for program in programs for blueprint in program.data.blueprints for one in blueprint.instructions}
    assert opcode.code in used, f"add a flow that is compiled to {opcode.name!r} to the end of golden_flows.py, and run make_corpus.py"


def test_every_container_is_in_the_corpus(programs: list[Program]) -> None:
    """But for the `-like` ones, which need an instance, and are in no program"""
    built = {
        isa.CONTAINERS[one.aux]
        for program in programs
        for blueprint in program.data.blueprints
        for one in blueprint.instructions
        if one.opcode == isa.BUILD
    }
    assert built == {name for name in isa.CONTAINERS if not name.endswith("-like")}


def test_every_kind_of_constant_is_in_the_corpus(programs: list[Program]) -> None:
    kinds: set[str] = set()
    for program in programs:
        waiting = [constants.decode(one) for one in program.data.constants]
        while waiting:
            value = waiting.pop()
            big = type(value) is int and not -(2**63) <= value < 2**64
            kinds.add("big int" if big else type(value).__name__)
            if isinstance(value, (list, tuple, set, frozenset)):
                waiting += value
            elif isinstance(value, dict):
                waiting += [*value, *value.values()]
    tags = {*constants._CONTAINERS, *constants._FROM_TEXT} - {"int"}
    assert kinds >= tags - {"ellipsis"} | {"ellipsis", "big int", "int", "NoneType", "bool", "float", "str", "bytes"}


def test_everything_else_that_an_artifact_can_say_is_in_the_corpus(programs: list[Program]) -> None:
    blueprints = [blueprint for program in programs for blueprint in program.data.blueprints]
    policies = [policy for blueprint in blueprints for policy in blueprint.policies]
    assert {symbol.mode for one in blueprints for symbol in one.symbols} == {"inline", "thread", "process"}
    assert {symbol.is_async for one in blueprints for symbol in one.symbols} == {False, True}
    assert any(symbol.bound for one in blueprints for symbol in one.symbols)
    assert {one.scope for blueprint in blueprints for one in blueprint.resources} == {"run", "step"}
    assert {one.keyed for blueprint in blueprints for one in blueprint.choices} == {False, True}
    assert any(map_.max_concurrency for one in blueprints for map_ in one.maps)
    assert any(map_.policy >= 0 for one in blueprints for map_ in one.maps)
    assert {part.source for program in programs for part in program.data.inputs} == {"param", "env"}
    for field in ("retry", "timeout", "rate"):
        assert any(getattr(policy, field) is not None for policy in policies), field
    amounts = {amount is None for policy in policies for _, amount in policy.constraints}
    assert amounts == {False, True}
    for field in ("parts", "tables", "shapes"):
        assert any(getattr(program.data, field) for program in programs), field
    assert all(program.source_maps for program in programs)


# --- newer and older versions -----------------------------------------------------------------------------------------

_FIELDS = {"container format": 8, "instruction set": 10, "operation set": 12}


@pytest.mark.parametrize("what", _FIELDS)
@pytest.mark.parametrize("artifact", [corpus.of_flow("tail", version)[0] for version in (1, 3)], ids=lambda path: path.name)
class TestVersions:
    def changed(self, artifact: Path, what: str, version: int) -> bytes:
        content = bytearray(artifact.read_bytes())
        struct.pack_into(">H", content, _FIELDS[what], version)
        return bytes(content)

    def known(self, what: str) -> int:
        return {"container format": CONTAINER_VERSION, "instruction set": isa.ISA_VERSION, "operation set": isa.OPSET_VERSION}[what]

    @pytest.mark.parametrize("ahead", [1, 2, 60_000])
    def test_a_newer_one_is_refused(self, artifact: Path, what: str, ahead: int) -> None:
        known = self.known(what)
        with pytest.raises(LoadError) as refused:
            loads(self.changed(artifact, what, known + ahead))
        assert refused.value.code == "L03"
        text = str(refused.value)
        assert f"has version {known + ahead} of the {what}, and this version of Cascade reads {OLDEST[what]} to {known}." in text
        assert text.endswith("Compile it again, or upgrade cascade-vm")

    def test_an_older_one_than_those_that_are_read_is_refused(self, artifact: Path, what: str) -> None:
        older = OLDEST[what] - 1
        with pytest.raises(LoadError) as refused:
            loads(self.changed(artifact, what, older))
        assert refused.value.code == "L03"
        assert f"has version {older} of the {what}, and this version of Cascade reads {OLDEST[what]} to " in str(refused.value)
        assert str(refused.value).endswith("Compile it again, or use the cascade-vm that wrote it")
