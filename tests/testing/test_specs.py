"""Specs rebuild themselves from their repr; the evaluators that share no code agree on them; what is wrong is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from drawn import Pools
from hypothesis import given, settings

import cascade_compiler.testing as testing
from cascade_compiler.lazy import LazyResult
from cascade_compiler.testing import (
    DEFAULT_FEATURES,
    FEATURES,
    Again,
    Arg,
    Call,
    Const,
    DictOf,
    First,
    Gather,
    Given,
    Go,
    GraphSpec,
    Input,
    Item,
    Jumps,
    ListOf,
    Lit,
    Log,
    Loop,
    Map,
    Member,
    Raises,
    RateSpec,
    Ref,
    ResourceSpec,
    RetrySpec,
    Router,
    SetOf,
    State,
    Step,
    TupleOf,
    Use,
    When,
    add_unused,
    as_test,
    build,
    check_spec,
    critical_path,
    eager_sync,
    graph_specs,
    ideal,
    is_sync,
    observe_eager,
)
from cascade_compiler.testing.ideal import readings, sync_orders
from cascade_compiler.testing.show import show, show_call
from cascade_compiler.testing.spec_tools import has_only_sync_tasks
from cascade_compiler.testing.walks import places
from cascade_vm.errors import RouteNotFound, TargetSkipped

quick = settings(max_examples=100, derandomize=True, database=None, deadline=None)


def each_drawn(check: Callable[[GraphSpec], None]) -> Callable[[Pools], None]:
    """A test that calls ``check`` with each graph of two pools."""

    def test(pools: Pools) -> None:
        for spec in (*pools("all"), *pools("all", 1)):
            try:
                check(spec)
            except BaseException as failure:
                failure.add_note(as_test(spec))
                raise

    test.__name__, test.__doc__ = check.__name__, check.__doc__
    return test


NAMES: dict[str, Any] = {**vars(testing), "inf": inf, "nan": nan}


# --- a spec is its own source ---


@each_drawn
def test_repr_rebuilds(spec: GraphSpec) -> None:
    again = eval(repr(spec), dict(NAMES))
    assert repr(again) == repr(spec)
    assert again == spec
    assert hash(again) == hash(spec)


@each_drawn
def test_a_printed_test_compiles_and_imports_all_it_needs(spec: GraphSpec) -> None:
    seen: list[GraphSpec] = []
    names: dict[str, Any] = {}
    exec(as_test(spec, "again"), names)
    names["check_spec"] = seen.append
    names["test_again"]()
    assert repr(seen) == repr([spec])


def test_repr_is_short_and_as_a_person_would_write_it() -> None:
    spec = GraphSpec((Call(delay=2), Call(("x", Ref(0)), (("k", ListOf((Ref(0),))),), after=(0,))), Ref(1))
    assert repr(spec) == (
        "GraphSpec((Call(delay=2), Call(('x', Ref(0)), (('k', ListOf((Ref(0),))),), after=(0,))), Ref(1))"
    )


def test_specs_are_equal_if_their_texts_are() -> None:
    assert Const(nan) == Const(float("nan"))
    assert len({Const(0), Const(False), Const(0.0), Const(-0.0), Lit(0)}) == 5


def test_defaults_are_told_from_values_of_another_type() -> None:
    assert repr([Member(a=0), Member(a=False), Member(a=None), Call(delay=0)]) == (
        "[Member(a=0), Member(a=False), Member(), Call(delay=0)]"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GraphSpec((Call((Ref(0),)),), Ref(0)), "not before it"),
        (lambda: GraphSpec((Call(), Call((ListOf((Ref(5),)),))), Ref(0)), "not before it"),
        (lambda: GraphSpec((Call(),), Ref(1)), "target refers to no node"),
        (lambda: GraphSpec((Gather(), Again(0)), Ref(0)), "repeats what is no Call"),
        (lambda: GraphSpec((Call(fails=1), Again(0)), Ref(1)), "counts its attempts"),
        (lambda: GraphSpec((Router(0, ((0, 1), (False, 2))),), Ref(0)), "two with equal keys"),
        (lambda: GraphSpec((Map((1,)),), Ref(0)), "no ListOf"),
        (lambda: GraphSpec((Map((ListOf((1,)), ListOf())),), Ref(0)), "different lengths"),
        (lambda: GraphSpec((Map((ListOf((1, 1)),), fails=1),), Ref(0)), "not different constants"),
        (lambda: GraphSpec((Map((ListOf((1,)),), does=Go(GraphSpec((Call(fails=1),), Ref(0)))),), Ref(0)), "tell them apart"),
        (lambda: GraphSpec((Call(does=Go(GraphSpec((Call(),), ListOf((Ref(0),))))),), Ref(0)), "is one node"),
        (lambda: GraphSpec((Call(holds=(("gpu", "one"),)),), Ref(0)), "holds what is no number"),
        (lambda: GraphSpec((Call(), Call(holds=(("gpu", Ref(0)),))), Ref(1)), "no Call that gives a plain one"),
        (lambda: GraphSpec((Call(mode="thread"),), Ref(0)), "how long it takes"),
        (lambda: GraphSpec((Call(delay=1, mode="process", does=Go(GraphSpec((Call(),), Ref(0)))),), Ref(0)), "from a process"),
        (lambda: GraphSpec((Call(fails=1), Jumps((State(written=(("a", Ref(0)),)),), 1)), Ref(1)), "leads to what counts"),
    ],
)
def test_specs_that_mean_nothing_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# --- what the evaluators say ---


@each_drawn
def test_building_runs_nothing_and_gives_the_graph(spec: GraphSpec) -> None:
    log = Log()
    built = build(spec, log)
    assert log.events == []
    assert len(built.nodes) == len(spec.nodes)
    if isinstance(spec.target, Ref):
        assert built.target is built.nodes[spec.target.node]
        assert type(built.target) is LazyResult


@each_drawn
def test_plain_python_and_the_ideal_schedule_agree(spec: GraphSpec) -> None:
    reference, plan = observe_eager(spec), ideal(spec)
    assert (reference.failure is None) == (not plan.failures)
    if plan.failures:
        assert reference.failure in {failure.text for failure in plan.failures}
        if has_only_sync_tasks(spec) and plan.failures[0].task and not chooses(spec):
            assert reference.failure in {schedule.failures[0].text for schedule in readings(spec)}
    else:
        assert reference.result == plan.result
        assert reference.calls == plan.count()
        if "rate=" not in repr(spec):  # eager Python starts what it starts
            assert reference.makespan >= plan.makespan  # one by one is never faster
        assert reference.stored == plan.stored
        if is_sync(spec):
            assert reference.makespan == plan.makespan == 0
        if is_sync(spec) and not chooses(spec):  # else a place may be lower than what plain Python comes to first
            assert reference.sync_order in sync_orders(spec)


def chooses(spec: GraphSpec) -> bool:
    return "When(" in repr(spec) or "Router(" in repr(spec)


@each_drawn
def test_an_unused_node_changes_nothing(spec: GraphSpec) -> None:
    before, after = observe_eager(spec), observe_eager(add_unused(spec))
    assert (before.outcome, before.events) == (after.outcome, after.events)
    assert ideal(spec) == ideal(add_unused(spec))


def value(*nodes: Any, target: Any = None, inputs: tuple[Given, ...] = ()) -> Any:
    return eager_sync(GraphSpec(nodes, Ref(len(nodes) - 1) if target is None else target, inputs), Log())


def test_eager_values() -> None:
    assert value(Call((1, ListOf((None,))), (("x", TupleOf()),))) == ("t0", (1, [None]), (("x", ()),))
    assert value(Call((7,), does=First()), Call((Ref(0), Lit(DictOf((("k", Ref(0)),))))))[1] == (7, {"k": 7})
    assert value(Call(), Item(0, 0)) == "t0"
    assert value(Call(does=Const(3)), Gather((Ref(0), SetOf((Ref(0),), True)))) == [3, frozenset({3})]
    assert value(Input("p"), inputs=(Given("p", ListOf(), 1),)) == []
    assert value(Call(("x",), does=Go(GraphSpec((Call((Arg(0),)),), Ref(0))))) == ("t0.t0", ("x",), ())
    assert value(Call(does=Const(0)), target=DictOf((("x", Ref(0)),))) == {"x": 0}
    with pytest.raises(LookupError, match="t0"):
        value(Call(does=Raises("LookupError")))
    with pytest.raises(ValueError, match="async"):
        value(Call(delay=1))


def test_eager_values_of_what_chooses_and_repeats() -> None:
    assert value(Call(does=Const(0)), Call((1,), when=(When(Ref(0), "else"),))) == "else"
    assert value(Call(does=Const(0)), Call(does=Const(5), when=(When(1), When(Ref(0), 2))), Gather((Ref(1),))) == [2]
    assert value(Call(does=Const(0)), Router(Ref(0), ((1, "one"), (False, "none")))) == "none"
    assert value(Router(ListOf(), ((1, 2),), default=3)) == 3
    assert value(Map((ListOf((1, 2)),), (("x", ListOf((3, 4))),), (("y", ListOf()),), does=First())) == [1, 2]
    assert value(Call((1,), does=First(), fails=2, retry=RetrySpec(3))) == 1
    with pytest.raises(TargetSkipped, match=r"t1 runs only if .*t0 is true, and it was false"):
        value(Call(does=Const(None)), Call(when=(When(Ref(0)),)), Call((Ref(1),)))
    with pytest.raises(RouteNotFound, match=r"no route for 7: the routes are 1, 'a'"):
        value(Router(7, ((1, 2), ("a", 3))))
    with pytest.raises(ValueError, match="t0"):
        value(Call(fails=2, retry=RetrySpec(2)))
    with pytest.raises(ValueError, match="t0"):
        value(Call(fails=1, retry=RetrySpec(3, on=("LookupError",))))


def test_places_do_not_depend_on_what_is_chosen() -> None:
    shared = (Call(), Call(), Call(does=Const(True)), Router(Ref(2), ((True, Ref(1)),), Ref(0)), Call((Ref(0), Ref(3))))
    assert places(shared, Ref(4)) == {0: 0, 2: 1, 1: 2, 3: 3, 4: 4}
    asked = (Call(), Call(), Call(), Call(), Call((Ref(0),), when=(When(Ref(1), Ref(2)), When(Ref(3)))))
    assert places(asked, Ref(4)) == {3: 0, 1: 1, 0: 2, 4: 3, 2: 4}


def test_an_input_that_only_a_returned_graph_has_is_not_given() -> None:
    inner = Go(GraphSpec((Input("p"),), Ref(0)))
    assert value(Call(does=inner), inputs=(Given("p", "given", "default"),)) == "default"
    spec = GraphSpec((Input("p"), Call((Ref(0),), does=inner)), Ref(1), (Given("p", "given", "default"),))
    assert eager_sync(spec, Log()) == "given"
    assert build(spec, Log()).params == {"p": "given"}


def test_loops() -> None:
    ping = Member((Step(1, ("kept",)),), a="left out")
    pong = Member((Step(0, by_name=True, kwargs=(("b", Arg("n")),)),), b="default")
    log = Log()
    assert eager_sync(GraphSpec((Loop((ping, pong), 3, Step(0, (1, 2))),), Ref(0)), log) == ("t0.m1", "kept", "default")
    assert [args for _, args in log.sync_order()] == ["(3, 1, 2)", "(2, 'kept', 'default')", "(1, 'left out', 2)", "(0, 'kept', 'default')"]


@pytest.mark.parametrize(
    ("nodes", "length"),
    [
        ((Call(delay=2), Call(delay=5), Call((Ref(0), Ref(1)), delay=1)), 6),
        ((Call(delay=2), Call(delay=5), Call((Ref(0),), delay=1)), 3),
        ((Call(delay=2), Call(delay=5, after=(0,))), 7),
        ((Call(delay=2), Call((Ref(0),)), Call((Ref(0), Lit(0)), delay=1), Gather((Ref(1), Ref(2)))), 3),
        ((Call(delay=1, does=Go(GraphSpec((Call(delay=2),), Ref(0)))),), 3),
        ((Call(delay=2), Again(0), Gather((Ref(0), Ref(1)))), 2),
        ((Loop((Member((Step(nodes=(Call(delay=5),), args=(Ref(0),)),), delay=1),), 2),), 13),
        ((Call(delay=5), Call(delay=2, does=Raises()), Gather((Ref(0), Ref(1)))), 2),
        ((Call(delay=2), Call(delay=5), Call((Ref(1),), delay=1, when=(When(Ref(0)),))), 8),
        ((Call(delay=2), Call(delay=5), Call((Ref(1),), delay=1, when=(When(Ref(0)),)), Gather((Ref(1), Ref(2)))), 6),
        ((Call(does=Const(0), delay=1), Call(delay=5), Call((Ref(1),), when=(When(Ref(0), "x"),)), Gather((Ref(2),))), 1),
        ((Call(delay=2, fails=2, retry=RetrySpec(3, 1, 2)),), 9),
        ((Call(delay=2, fails=1, stuck=20, retry=RetrySpec(2, 1), timeout=3.5),), 6.5),
        ((Call(delay=2, timeout=1.5),), 1.5),
        ((Map((ListOf((3, 1, 1, 2)),), delay=0, limit=2),), 4),
        ((Map((ListOf((3, 1, 1, 2)),), delay=1),), 4),
    ],
)
def test_critical_paths(nodes: Any, length: float) -> None:
    assert critical_path(GraphSpec(nodes, Ref(len(nodes) - 1))) == length


HOLDING = (Call(delay=2, holds=(("gpu", 1),)), Call(delay=3, holds=(("gpu", 1),)))


@pytest.mark.parametrize(
    ("spec", "length"),
    [
        (GraphSpec((*HOLDING, Call((Ref(0), Ref(1)))), Ref(2), capacity=(("gpu", 1),)), 5),
        (GraphSpec((*HOLDING, Call((Ref(0), Ref(1)))), Ref(2), capacity=(("gpu", 2),)), 3),
        (GraphSpec((Map((ListOf((1, 2, 3)),), rate=RateSpec("api", 1, 2)),), Ref(0)), 4),
        (GraphSpec((Map((ListOf((1, 1, 2)),), delay=1, cache="c", limit=1),), Ref(0)), 5),
        (GraphSpec((Call((Use(0),), delay=1),), Ref(0), resources=(ResourceSpec(delay=2, down=3),)), 6),
        (GraphSpec((Jumps((State(delay=1),), 3),), Ref(0)), 4),
        (GraphSpec((Call(delay=2, mode="thread"), Call(delay=3, mode="process"), Call((Ref(0), Ref(1)))), Ref(2)), 3),
        (GraphSpec((Call(delay=1, fails=1, stuck=9, retry=RetrySpec(2), timeout=1.5, mode="thread"),), Ref(0)), 10),
    ],
)  # fmt: skip
def test_times_of_what_is_shared_set_up_and_goes_on(spec: GraphSpec, length: float) -> None:
    assert critical_path(spec) == length
    assert ideal(spec).is_settled
    check_spec(spec, seeds=(None,))


def test_most_schedules_are_settled(pools: Pools) -> None:
    plans = [ideal(spec) for focus in ("limits", "caches", "resources", "modes") for spec in pools(focus)]
    assert sum(plan.is_settled for plan in plans) > 0.8 * len(plans)


# --- text of values ---


def test_texts_tell_types_apart_and_nan_is_itself() -> None:
    different = [0, False, 0.0, -0.0, None, "", b"", "0", [], (), {}, set(), frozenset(), [0], (0,), [[0]], {0: 0}, {0}, nan, inf, 1, True]
    assert len({show(one) for one in different}) == len(different)
    assert show(float("nan")) == show([nan][0])
    assert show({"b", "a"}) == show({"a", "b"})
    assert show({"a": 1, "b": 2}) != show({"b": 2, "a": 1})
    assert show_call((1,), {"x": [None]}) == "(1, x=[None])"
    assert show(KeyError("b")) == "KeyError('b',)"


def test_texts_of_large_shared_values_are_short_and_quick() -> None:
    diamond: Any = ("x",)
    other: Any = ("y",)
    for _ in range(200):
        diamond, other = (diamond, diamond), (other, other)
    assert len(show(diamond)) < 200
    assert show(diamond) != show(other)
    itself: list[Any] = []
    itself.append(itself)
    assert show(itself) == "[<itself>]"


# --- the strategies ---


def test_every_feature_occurs(pools: Pools) -> None:
    seen: set[str] = set()
    for spec in [spec for number in range(4) for spec in pools("all", number)]:
        text = repr(spec)
        words = [
            "When", "Router", "Map", "RetrySpec", "timeout", "stuck", "RaisesOn", "limit", "delay", "ListOf", "SetOf",
            "Lit", "Item", "Gather", "holds", "RateSpec", "cache", "ResourceSpec", "thread", "process", "Jumps", "keywords",
            "nothing", "Use(", "injects", "step", "capacity", "after", "Input", "Raises", "Again", "Go", "Loop", "DictOf",
            "'key'",
        ]  # fmt: skip
        seen.update(word for word in words if word in text)
        seen.update({"many"} if not isinstance(spec.target, Ref) else ())
    assert len(seen) == 36, seen


def test_features_can_be_left_out() -> None:
    @quick
    @given(graph_specs(features=set()))
    def plain(spec: GraphSpec) -> None:
        assert is_sync(spec)
        assert set(map(type, spec.nodes)) == {Call}
        assert not ideal(spec).failures

    plain()
    with pytest.raises(ValueError, match=r"unknown features \['colours'\]"):
        _draw_once(features=FEATURES | {"colours"})


@quick
@given(graph_specs())
def test_unless_told_otherwise_specs_have_the_default_features(spec: GraphSpec) -> None:
    missing = {"conditions": "When(", "routers": "Router(", "retry": "RetrySpec(", "timeout": "timeout=", "map": "Map("}
    assert not any(word in repr(spec) for name, word in missing.items() if name not in DEFAULT_FEATURES)


def _draw_once(**options: Any) -> None:
    @settings(max_examples=1, database=None, derandomize=True)
    @given(graph_specs(**options))
    def draw(spec: GraphSpec) -> None:
        assert spec

    draw()


def test_without_hypothesis_only_the_strategies_are_missing() -> None:
    program = """
import sys
sys.modules["hypothesis"] = None
import cascade_compiler.testing as testing
print(testing.run_virtual(testing.observe_eager and (lambda: __import__("asyncio").sleep(2, "ran"))).value)
try:
    testing.graph_specs
except ImportError as missing:
    print(missing)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "ran" in done.stdout
    assert "pip install cascade-vm[testing]" in done.stdout
