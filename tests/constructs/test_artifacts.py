"""Constructs in compiled programs: saved, loaded, linked, run; written down and read again (P12, P13)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import construct_flows as flows

from cascade_compiler import RouteNotFound, Router, TargetSkipped, compile, cycle_id, run, task
from cascade_vm import CascadeError, assemble, disassemble, loads, verify
from cascade_vm.caching import MemoryCache

LIMITS = {"slots": 1, "amount": 1}


def again(target: Any) -> Any:
    return loads(compile(target).to_bytes(), allow=["construct_flows"])


def executable(program: Any, **options: Any) -> Any:
    return program.link(**options) if hasattr(program, "link") else program


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("key", ["a", "b", "z"])
def test_everything(key, flag):
    program = again(flows.everything)
    verify(program)
    want = run(flows.everything, {"key": key, "flag": flag}, capacity=LIMITS)
    assert executable(program, capacity=LIMITS).run(key=key, flag=flag) == want
    assert executable(compile(flows.everything), capacity=LIMITS).run(key=key, flag=flag) == want


def test_written_down_and_read_again():
    program = compile(flows.everything)
    text = disassemble(program)
    assert disassemble(assemble(text)) == text
    assert disassemble(loads(program.to_bytes(), allow=["construct_flows"])) == text
    again = assemble(text)
    assert (again.data, again.source_maps) == (program.data, program.source_maps)


def test_the_cycle_id_is_that_of_the_graph():
    for target in (flows.everything, flows.skipped, flows.routed):
        assert compile(target).cycle_id == cycle_id(target) == again(target).cycle_id


def test_a_skipped_target():
    program = again(flows.skipped)
    assert program.run(flag=True) == 101
    with pytest.raises(TargetSkipped) as caught:
        program.run(flag=False)
    with pytest.raises(TargetSkipped) as live:
        run(flows.skipped, {"flag": False})
    assert str(caught.value) == str(live.value)


def test_no_route():
    program = again(flows.routed)
    assert program.run(key=2) == 102
    with pytest.raises(RouteNotFound) as caught:
        program.run(key="?")
    with pytest.raises(RouteNotFound) as live:
        run(flows.routed, {"key": "?"})
    assert str(caught.value) == str(live.value)
    assert caught.value.__notes__ == live.value.__notes__


def test_a_loop():
    assert again(flows.loop(2_000)).run() == "end"


def test_constants_only():
    assert again(Router(1, {1: "one"})).run() == "one"
    assert again(Router(flows.give(1), {1: "one", 2: "two"})).run() == "one"
    assert again(flows.give("x").run_if(0, "other")).run() == "other"


def test_runs_do_not_share_what_they_were_given():
    """N12: routes, otherwise and common values that can be changed are fresh in each run"""
    program = again(Router(flows.give(1), {1: [1], 2: flows.give(2)}))
    first = program.run()
    first.append(2)
    assert program.run() == [1]


def test_what_no_artifact_can_hold():
    program = compile(flows.give(1).with_cache(MemoryCache()))
    assert program.run() == 1
    with pytest.raises(CascadeError, match="cache") as caught:
        program.to_bytes()
    assert "MemoryCache" in str(caught.value)

    class Local(Exception):
        pass

    with pytest.raises(CascadeError, match="Local"):
        compile(flows.give(1).with_retry(2, on=Local)).to_bytes()


def test_a_key_that_no_artifact_can_hold():
    class Key:
        pass

    with pytest.raises(CascadeError, match="rout"):
        compile(Router(flows.give(1), {Key(): flows.give(1)})).to_bytes()


def test_a_local_task_in_a_map():
    @task
    def local(x):
        return x

    with pytest.raises(CascadeError, match="local"):
        compile(local.map([1])).to_bytes()
