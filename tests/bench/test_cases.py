"""The benchmarks measure what they say: each side of each case, at a tiny size, gives the result that all of them must give."""

from __future__ import annotations

from importlib import import_module, metadata

import pytest

from bench import case as cases
from bench.case import BY_HAND, Cannot, Case, Peers, Work
from bench.peers import PEERS, side
from bench.tasks import Layers
from bench.worker import MODULES
from cascade_compiler import run

ALL = [(module, case) for module in MODULES for case in import_module(f"bench.{module}").cases()]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "LIMIT", 40)


@pytest.mark.parametrize(("module", "case"), ALL, ids=[f"{module}-{case.name}" for module, case in ALL])
def test_every_side_gives_the_result(module: str, case: Case) -> None:
    for make in case.sides.values():
        work = make()
        work.check()
        assert work.count > 0


def test_names_are_unique_and_reaches_name_sides_that_can_exist() -> None:
    names = [case.name for _, case in ALL]
    assert len(set(names)) == len(names)
    for _, case in ALL:
        for reach in case.reaches:
            assert reach.side in case.sides or reach.side == "codegen", case.name
            assert (reach.most is None) != (reach.least is None)


def test_a_wrong_result_is_found() -> None:
    with pytest.raises(AssertionError, match="expected 3, got 4"):
        Work(lambda: 4, 1, expect=3).check()


@pytest.mark.parametrize("nodes", [10, 500, 1_000])
def test_by_hand_and_graph_mode_agree_on_layers(nodes: int) -> None:
    layers = Layers(nodes)
    assert layers.lines()() == layers.loops() == run(layers.graph(), engine="graph")
    assert abs(layers.size - nodes) <= max(2, nodes // 100)


ASKED = [case.peers for _, case in ALL if case.peers is not None]


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_does_the_work_or_says_why_not(peer: str) -> None:
    try:
        metadata.version(PEERS[peer].distribution)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")
    for asked in ASKED:
        small = Peers(asked.work, {name: min(count, 30) for name, count in asked.given.items()})
        try:
            work = side(peer, small)
        except Cannot:
            continue  # why is in the table
        work.check()


def test_a_peer_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEERS, "nothing", PEERS["pipefunc"]._replace(module="bench.peers.no_such_file"))
    with pytest.raises(Cannot, match="not installed"):
        side("nothing", Peers("chain", {"length": 3}))


def test_by_hand_is_a_reference_wherever_engines_are() -> None:
    for module, case in ALL:
        if "interpreter" in case.sides:
            assert next(iter(case.sides)) == BY_HAND, (module, case.name)
