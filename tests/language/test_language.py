"""The language: what a LazyResult refuses, how arguments are scanned and rebuilt, what may be a task, inputs (S1 to S5, S20).

Every test that runs something runs it on each engine.
"""

from __future__ import annotations

import asyncio
import collections
import copy
import dataclasses
import decimal
import functools
import inspect
import math
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import pytest

from cascade_compiler import CompileError, Env, InputError, LazyResult, LazyUseError, Param, compile, cycle_id, gather, literal, task, workflow
from cascade_compiler import run as run_any

HERE = "test_language.py"


@pytest.fixture(params=["interpreter", "graph"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``run``, on each engine in turn."""
    return functools.partial(run_any, engine=request.param)


@task
def same(x):
    return x


@task
def add(x, y=1):
    return x + y


@task
def show(*args, **kwargs):
    return args, kwargs


@task
async def later(x):
    await asyncio.sleep(0)
    return x


# --- S1: calling runs nothing, nodes are immutable -------------------------------------------------------------------------


class TestNodes:
    def test_calling_runs_nothing(self, run):
        """S1"""
        calls = []

        @task
        def note(x):
            calls.append(x)
            return x

        lazy = note(note(1))
        cycle_id(lazy)
        repr(lazy)
        assert calls == []
        run(lazy)
        assert calls == [1, 1]

    def test_calling_an_async_task_makes_no_coroutine(self):
        """S1: a coroutine that nobody awaits would be a warning, and warnings are errors here."""
        assert type(later(1)) is LazyResult

    def test_chaining_returns_a_new_node(self):
        """S1"""
        first, second = same(1), same(2)
        ordered = first.after(second)
        assert ordered is not first
        assert first.policy is None
        assert ordered.after(second) is not ordered

    @pytest.mark.parametrize("name", ["args", "kwargs", "task", "policy", "anything"])
    def test_nodes_cannot_be_assigned_to(self, name):
        """S1"""
        lazy = same(1)
        with pytest.raises(AttributeError):
            setattr(lazy, name, ())
        with pytest.raises(AttributeError):
            delattr(lazy, name)

    def test_the_callers_containers_are_not_changed_by_a_run(self, run):
        """S1, S3: what is rebuilt is new"""
        inner = same(1)
        rows = [inner, {"k": inner}]
        run(same(rows))
        assert rows[0] is inner
        assert rows[1]["k"] is inner

    def test_copies_are_the_node_itself(self, run):
        """S2: a copied graph does not run its calls twice"""
        lazy = same(1)
        assert copy.copy(lazy) is lazy
        assert copy.deepcopy([lazy])[0] is lazy

    def test_a_node_can_be_run_again(self, run):
        """S1, S2: an activation keeps nothing in the graph"""
        calls = []

        @task
        def note():
            calls.append(1)
            return len(calls)

        lazy = note()
        assert [run(lazy), run(lazy)] == [1, 2]

    def test_repr_is_one_level(self):
        lazy = add(same(1), y=[2] * 1000)
        text = repr(lazy)
        assert "add" in text
        assert HERE in text
        assert len(text) < 300

    def test_repr_of_a_diamond_of_depth_40_is_short(self):
        """A diamond of depth 20 must not print megabytes."""
        lazy = same(1)
        for _ in range(40):
            lazy = add(lazy, lazy)
        assert len(repr(lazy)) < 300
        assert len(str(lazy)) < 300
        assert len(repr([lazy, {"k": lazy}])) < 700

    def test_repr_survives_hostile_arguments(self):
        class Hostile:
            def __repr__(self):
                raise RuntimeError("no repr")

        assert "same" in repr(same(Hostile()))

    def test_attributes_of_the_value_are_refused_with_advice(self):
        """S5"""
        with pytest.raises(AttributeError, match="inside a task"):
            _ = same(1).real
        assert not hasattr(same(1), "__array__")

    def test_after_takes_lazy_results_only(self):
        """S8"""
        with pytest.raises(TypeError, match="LazyResult"):
            same(1).after(3)
        with pytest.raises(TypeError, match="LazyResult"):
            same(1).after([same(2)])


# --- S5: uses that need the value are refused ------------------------------------------------------------------------------


REFUSED: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    "if": lambda lazy: 1 if lazy else 2,
    "not": operator.not_,
    "and": lambda lazy: lazy and 1,
    "or": lambda lazy: lazy or 1,
    "all": lambda lazy: all([lazy]),
    "iter": iter,
    "for": lambda lazy: [x for x in lazy],  # noqa: C416
    "unpack": lambda lazy: operator.itemgetter(0)([*lazy]),
    "list": list,
    "star": lambda lazy: print(*lazy),
    "len": len,
    "in": lambda lazy: 1 in lazy,
    "in list": lambda lazy: lazy in [1, 2],
    "reversed": reversed,
    "call": lambda lazy: lazy(),
    "f-string": lambda lazy: f"{lazy}",
    "format": lambda lazy: format(lazy, ">10"),
    "set item": lambda lazy: operator.setitem(lazy, 0, 1),
    "del item": lambda lazy: operator.delitem(lazy, 0),
    "index()": lambda lazy: [1].index(lazy),
    "as index": lambda lazy: [1, 2][lazy],
    "range": range,
    "int": int,
    "float": float,
    "complex": complex,
    "round": round,
    "round 2": lambda lazy: round(lazy, 2),
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "abs": abs,
    "sum": lambda lazy: sum([lazy]),
    "max": lambda lazy: max([lazy, 1]),
    "sorted": lambda lazy: sorted([lazy, 1]),
    "join": lambda lazy: ",".join(lazy),
    "dict": dict,
    "next": next,
    "with": lambda lazy: lazy.__enter__(),
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "hex": hex,
    "isinstance by ==": lambda lazy: collections.Counter([lazy])[1] == lazy,
}
BINARY = {
    name: getattr(operator, name)
    for name in "lt le gt ge eq ne add sub mul truediv floordiv mod pow matmul lshift rshift and_ or_ xor iadd imul".split()
} | {"divmod": divmod}


class TestRefusedUses:
    @pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
    def test_a_use_that_needs_the_value(self, use):
        """S5: refused at once"""
        with pytest.raises(TypeError):
            use(same(1))

    @pytest.mark.parametrize("use", BINARY.values(), ids=BINARY)
    @pytest.mark.parametrize("other", [1, "text", [1], 1.5, (1,), {1}], ids=repr)
    def test_operators_on_both_sides(self, use, other):
        """S5"""
        if use is operator.mod and other == "text":
            pytest.skip("str % object formats the object with its repr")
        for left, right in [(same(1), other), (other, same(1)), (same(1), same(1))]:
            with pytest.raises(TypeError):
                use(left, right)

    @pytest.mark.parametrize("use", [bool, iter, len, format, operator.neg], ids=lambda f: f.__name__)
    def test_the_error_names_the_node_and_the_way_out(self, use):
        """S5: which construct to use instead"""
        with pytest.raises(LazyUseError, match=r"same\(.*inside a task"):
            use(same(1))

    def test_await_is_refused_with_arun_in_the_text(self):
        """S5"""

        async def main():
            await same(1)

        with pytest.raises(TypeError, match="arun"):
            asyncio.run(main())

    def test_async_for_and_async_with_are_refused(self):
        """S5"""

        async def iterate():
            async for _ in same(1):
                pass

        async def enter():
            async with same(1):
                pass

        for main in (iterate, enter):
            with pytest.raises((TypeError, AttributeError)):
                asyncio.run(main())

    def test_identity_and_hash_are_allowed(self):
        """S5, settled: `is` tests identity, hashing is by identity"""
        one, two = same(1), same(1)
        assert one is not two
        assert len({one, two, one}) == 2
        assert {one: 1, two: 2}[one] == 1
        assert hash(one) == hash(one)


# --- S3, S4: containers and literals ---------------------------------------------------------------------------------------


Point = collections.namedtuple("Point", "x y")


class Typed(typing.NamedTuple):
    x: Any
    y: Any = 7


class Rows(list):
    """A constructor that takes no items: rebuilding must not call it with what it does not take."""

    def __init__(self, *, owner):
        super().__init__()
        self.owner = owner


class Pair(tuple):
    __slots__ = ()

    def __new__(cls, left, right):
        return super().__new__(cls, (left, right))


class Bag(set):
    pass


class Ice(frozenset):
    pass


class Table(dict):
    def __missing__(self, key):
        return f"no {key}"


class Guarded(dict):
    """Checks what is assigned: it must never be shown the node."""

    def __setitem__(self, key, value):
        assert type(value) is not LazyResult
        super().__setitem__(key, value)


class Mirror(list):
    """Iteration that does not show the members: the scan must see what is stored."""

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class TestContainers:
    @pytest.mark.parametrize(
        ("build", "expected"),
        [
            (lambda x: [x], [1]),
            (lambda x: (x,), (1,)),
            (lambda x: {"k": x}, {"k": 1}),
            (lambda x: {x: "v"}, {1: "v"}),
            (lambda x: {x}, {1}),
            (lambda x: frozenset([x]), frozenset([1])),
            (lambda x: [[[[x]]]], [[[[1]]]]),
            (lambda x: {"a": ({"b": [x, (x,)]}, 2)}, {"a": ({"b": [1, (1,)]}, 2)}),
            (lambda x: {(x, 2): 3}, {(1, 2): 3}),
            (lambda x: {frozenset([x])}, {frozenset([1])}),
            (lambda x: Point(x, 2), Point(1, 2)),
            (lambda x: Typed(x), Typed(1)),
            (lambda x: Pair(x, 2), Pair(1, 2)),
            (lambda x: Bag([x]), Bag([1])),
            (lambda x: Ice([x]), Ice([1])),
            (lambda x: Table(a=x), Table(a=1)),
            (lambda x: Guarded(a=x), Guarded(a=1)),
            (lambda x: collections.OrderedDict(b=x, a=2), collections.OrderedDict(b=1, a=2)),
            (lambda x: collections.Counter(a=x), collections.Counter(a=1)),
            (lambda x: collections.defaultdict(list, a=x), collections.defaultdict(list, a=1)),
        ],
        ids=lambda value: type(value).__name__ if not callable(value) else "",
    )
    def test_resolved_and_rebuilt_with_the_same_type(self, run, build, expected):
        """S3: as an argument, as a keyword, as an item of a gather, as the target"""
        for (value,), kwargs in [run(show(build(same(1)))), run(show(build(later(1))))]:
            assert value == expected
            assert type(value) is type(expected)
            assert kwargs == {}
        assert run(show(k=build(same(1)))) == ((), {"k": expected})
        assert run(gather(build(same(1)))) == [expected]
        target = run(build(same(1)))
        assert (type(target), target) == (type(expected), expected)

    def test_nested_namedtuples_keep_their_types(self, run):
        """S3"""
        value = run([Point(Point(same(1), 2), [Typed(same(3))])])[0]
        assert (type(value), type(value.x), type(value.y[0])) == (Point, Point, Typed)
        assert value == Point(Point(1, 2), [Typed(3)])

    def test_a_defaultdict_keeps_its_factory(self, run):
        """S3"""
        value = run(same(collections.defaultdict(list, a=same(1))))
        assert value["missing"] == []

    def test_a_list_subclass_with_a_constructor_of_its_own(self, run):
        """S3: rebuilt with what it carries"""
        rows = Rows(owner="me")
        rows.append(same(1))
        value = run(same(rows))
        assert (type(value), list(value), value.owner) == (Rows, [1], "me")
        assert type(rows[0]) is LazyResult

    def test_a_subclass_that_hides_its_members(self, run):
        """S3: never passed raw in silence"""
        mirror = Mirror()
        mirror.append(same(1))
        value = run(same(mirror))
        assert type(value) is Mirror
        assert list.__getitem__(value, 0) == 1

    def test_dict_order_is_kept(self, run):
        """S3"""
        value = run(same({"z": 1, same("y"): same(2), "x": 3, same("a"): 4}))
        assert list(value.items()) == [("z", 1), ("y", 2), ("x", 3), ("a", 4)]

    def test_equal_keys_collapse_as_in_a_display(self, run):
        """S3: the last value, at the first key's place"""
        assert list(run(same({same(1): "a", "b": 2, same(1.0): "c"})).items()) == [(1, "c"), ("b", 2)]
        assert run(same({same(1), same(1.0), 2})) == {1, 2}

    def test_unhashable_keys_are_the_callers_error(self, run):
        """S3: allowed where the value is hashable"""
        with pytest.raises(TypeError, match="unhashable"):
            run(same({same([]): 1}))
        with pytest.raises(TypeError, match="unhashable"):
            run(same({same([])}))

    def test_containers_without_lazy_results_arrive_as_they_are(self, run):
        """S4, settled"""
        for value in ([], [1], (1, [2]), {"a": {"b": 1}}, {1}, frozenset([1]), Point(1, 2), Rows(owner=1), collections.deque([1])):
            assert run(same(value)) is value
            assert run(show(same(1), value))[0][1] is value
            assert run(show([same(1), value]))[0][0][1] is value
            assert run(same(later(value))) is value

    def test_a_shared_container_is_rebuilt_once(self, run):
        """S3: as eager Python would have it"""
        shared = [same(1)]
        (first, second, (third,), other), kwargs = run(show(shared, shared, (shared,), [same(1)], k=shared))
        assert first is second is third is kwargs["k"]
        assert other is not first

    def test_a_container_that_contains_itself_is_a_literal(self, run):
        """S4"""
        ring: list[Any] = [1]
        ring.append(ring)
        assert run(same(ring)) is ring
        table: dict[str, Any] = {}
        table["me"] = table
        assert run(same([same(1), table]))[1] is table

    def test_a_container_that_contains_itself_and_a_node_is_refused(self, run):
        """S3: it cannot be rebuilt"""
        ring: list[Any] = [same(1)]
        ring.append(ring)
        with pytest.raises(CompileError, match="cycle|contains itself"):
            run(same(ring))

    def test_deeply_nested_containers(self, run):
        """No recursion over Python's stack: scanning, capture and rebuilding"""
        value: Any = same(1)
        for _ in range(5_000):
            value = [value]
        got = run(same(value))
        depth = 0
        while type(got) is list:
            got, depth = got[0], depth + 1
        assert (got, depth) == (1, 5_000)

    def test_a_wide_container_with_one_node_at_the_end(self, run):
        """S3: the fast scan must not miss it"""
        rows: list[Any] = list(range(10_000))
        rows[-1] = same("x")
        assert run(same(rows))[-1] == "x"
        table = {n: n for n in range(100)}
        table[99] = same("x")
        assert run(same(table))[99] == "x"
        assert run(same({**table, same("key"): 1}))["key"] == 1

    def test_the_scan_does_not_use_equality(self, run):
        """Arrays and the like have no single truth value."""

        class Array:
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other):
                raise ValueError("ambiguous")

            def __bool__(self):
                raise ValueError("ambiguous")

        array = Array()
        assert run(same([same(1), array]))[1] is array
        assert run(show(array, k=array))[0][0] is array

    def test_properties_and_getattr_are_not_run_by_the_scan(self, run):
        """Settled (S3): fields are read, code is not run"""

        class Touchy:
            @property
            def field(self):
                raise AssertionError("a property was read")

            def __getattr__(self, name):
                raise AssertionError(f"{name} was asked for")

            def __getattribute__(self, name):
                if name in ("__class__", "__dict__"):
                    return object.__getattribute__(self, name)
                raise AssertionError(f"{name} was asked for")

        touchy = Touchy()
        assert run(show(touchy))[0][0] is touchy


@dataclasses.dataclass
class Data:
    x: Any


@dataclasses.dataclass(slots=True)
class SlottedData:
    x: Any


@attrs.define
class AttrsData:
    x: Any


class StructData(msgspec.Struct):
    x: Any


class Plain:
    def __init__(self, x):
        self.x = x


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class SlottedChild(Slotted):
    __slots__ = ("y",)


class Labelled(list):
    """A container that carries a node beside its items."""


def labelled(x):
    made = Labelled([1])
    made.x = x  # type: ignore[attr-defined]
    return made


HIDERS: dict[str, Callable[[Any], Any]] = {
    "dataclass": Data,
    "slotted dataclass": SlottedData,
    "attrs": AttrsData,
    "struct": StructData,
    "object": Plain,
    "object with slots": Slotted,
    "inherited slots": SlottedChild,
    "namespace": lambda x: types.SimpleNamespace(x=x),
    "slice start": lambda x: slice(x, None),
    "slice stop": lambda x: slice(x),
    "slice step": lambda x: slice(None, None, x),
    "list in a field": lambda x: Data([x]),
    "dict in a field": lambda x: Plain({"k": x}),
    "key of a dict in a field": lambda x: Plain({x: 1}),
    "list in a list in a field": lambda x: Data([[x]]),
    "data in data": lambda x: Data(Data(x)),
    "data in data in data": lambda x: Data(Data(Data(x))),
    "data in a list in data": lambda x: Data([Data(x)]),
    "deque": lambda x: collections.deque([x]),
    "deque in a list": lambda x: [1, collections.deque([x])],
    "partial": lambda x: functools.partial(print, x),
    "keyword of a partial": lambda x: functools.partial(print, sep=x),
    "mapping proxy": lambda x: types.MappingProxyType({"k": x}),
    "user list": lambda x: collections.UserList([x]),
    "user dict": lambda x: collections.UserDict(k=x),
    "attribute of a list subclass": labelled,
    "arguments of an exception": lambda x: ValueError(x),
}


class TestHiddenNodes:
    @pytest.mark.parametrize("hide", HIDERS.values(), ids=HIDERS)
    def test_resolved_or_refused(self, run, hide):
        """Settled (S3/S4): a node in a place that nothing scans is never passed raw in silence. Here: refused before anything runs"""
        calls = []

        @task
        def note(x):
            calls.append(x)

        with pytest.raises(CompileError, match="hidden"):
            run(note(hide(same(1))))
        assert calls == []

    @pytest.mark.parametrize("hide", [Data, AttrsData, StructData, Plain], ids=lambda kind: kind.__name__)
    def test_every_position_is_looked_at(self, run, hide):
        """Settled (S3/S4)"""
        for target in (
            show(hide(same(1))), show(k=hide(same(1))), same([hide(same(1))]), same([same(0), hide(same(1))]), same({"k": hide(same(1))}),
            same([0] * 50 + [hide(same(1))]), gather(hide(same(1))), same({})[hide(same(1))], [same(0), hide(same(1))], [hide(same(1))],
        ):  # fmt: skip
            with pytest.raises(CompileError, match=f"hidden in x of a {hide.__name__}"):
                run(target)

    def test_the_error_names_the_path_and_the_way_out(self, run):
        """Settled (S3/S4)"""
        with pytest.raises(CompileError, match=r"same\(1\) at .*test_language.py:\d+> is hidden in x of a Data.*literal\(\.\.\.\)"):
            run(same(Data(same(1))))

    def test_literal_passes_it(self, run):
        """S3"""
        data = Data(same(1))
        assert run(show(literal(data)))[0][0] is data

    def test_the_same_objects_without_nodes_pass(self, run):
        """S4"""
        for hide in HIDERS.values():
            value = hide(1)
            if type(value) is not slice:
                assert run(show(value))[0][0] is value

    def test_a_node_put_into_an_object_between_two_runs_is_found(self, run):
        """S28, settled (S3/S4): what was clean in one run may not be in the next"""
        data = Data(1)
        lazy = show(data)
        run(lazy)
        data.x = same(1)
        with pytest.raises(CompileError, match="hidden"):
            run(lazy)


class TestLiteral:
    def test_nothing_in_a_literal_is_resolved(self, run):
        """S3"""
        held = [same(1), {"k": same(2)}]
        assert run(show(literal(held)))[0][0] is held
        assert run(show(k=literal(held)))[1]["k"] is held
        assert run(show([literal(held)]))[0][0][0] is held
        assert run(show({"k": (literal(held),)}))[0][0]["k"][0] is held
        assert run(gather(literal(held)))[0] is held
        assert run([literal(held), same(1)])[0] is held

    def test_a_literal_node_is_passed_raw(self, run):
        """S3"""
        node = same(1)
        assert run(show(literal(node)))[0][0] is node

    def test_the_node_inside_does_not_run(self, run):
        """S10"""
        calls = []

        @task
        def note():
            calls.append(1)

        run(show(literal([note()])))
        assert calls == []

    def test_a_literal_as_target(self, run):
        held = [same(1)]
        assert run(literal(held)) is held

    def test_a_literal_in_a_literal(self, run):
        """The inner marker is part of the value, which nothing looks into."""
        inner = literal(1)
        assert run(show(literal([inner])))[0][0][0] is inner

    def test_a_literal_key_and_item(self, run):
        """S3, S5"""
        assert run(same({(1, 2): "t"})[literal((1, 2))]) == "t"
        assert run(same({literal("k"): same(1)})) == {"k": 1}

    def test_a_container_with_literals_only_loses_the_markers(self, run):
        """S3"""
        assert run(show([literal(1), literal([2])])) == (([1, [2]],), {})


# --- items -----------------------------------------------------------------------------------------------------------------


class TestItems:
    def test_keys_of_all_kinds(self, run):
        """S5"""
        data = same({"a": [10, 20, 30], (1, 2): "t", None: "n", 1.5: "f"})
        assert run(data["a"]) == [10, 20, 30]
        assert run(data["a"][-1]) == 30
        assert run(data["a"][1:]) == [20, 30]
        assert run(data[1, 2]) == "t"
        assert run(data[None]) == "n"
        assert run(data[1.5]) == "f"
        assert run(data[same("a")][same(1)]) == 20
        assert run(data[(same(1), same(2))]) == "t"
        assert run(data[later("a")][later(0)]) == 10

    def test_items_are_lazy(self, run):
        """S5, S1"""
        item = same({})["missing"]
        assert type(item) is LazyResult
        with pytest.raises(KeyError) as caught:
            run(item)
        assert HERE in "".join(caught.value.__notes__)

    def test_getitem_is_called_on_the_value(self, run):
        """S5"""

        class Doubler:
            def __getitem__(self, key):
                return key * 2

        assert run(same(Doubler())[21]) == 42

    def test_a_class_as_value_is_subscripted(self, run):
        """S5"""
        assert run(same(list)[int]) == list[int]

    def test_order_of_items(self, run):
        """S6: value, then key, then the item"""
        order = []

        @task
        def note(x):
            order.append(x)
            return x

        class Seen(dict):
            def __getitem__(self, key):
                order.append(("item", key))
                return dict.__getitem__(self, key)

        run(show(note(Seen(a=1))[note("a")], note("z")))
        assert order == [{"a": 1}, "a", ("item", "a"), "z"]


# --- what may be a task -----------------------------------------------------------------------------------------------------


class Accumulator:
    def __init__(self, start):
        self.total = start

    def plus(self, x):
        return self.total + x

    def __call__(self, x):
        return self.total * x

    @task
    def method(self, x):
        return self.total + x

    @staticmethod
    @task
    def static(x):
        return x + 1

    @classmethod
    @task
    def class_level(cls, x):
        return cls.__name__, x


class AsyncCallable:
    async def __call__(self, x):
        await asyncio.sleep(0)
        return x + 1


class TestTasks:
    @pytest.mark.parametrize(
        ("fn", "args", "expected"),
        [
            (lambda x: x + 1, (1,), 2),
            (functools.partial(operator.add, 10), (1,), 11),
            (functools.partial(pow, exp=2), (3,), 9),
            (Accumulator(5).plus, (2,), 7),
            (Accumulator(5), (2,), 10),
            (Plain, (3,), None),
            (Point, (1, 2), Point(1, 2)),
            (int, ("12",), 12),
            (dict, (), {}),
            (len, ([1, 2],), 2),
            (str.upper, ("a",), "A"),
            (max, (1, 5, 3), 5),
            (operator.itemgetter(1), ([1, 2],), 2),
            (AsyncCallable(), (1,), 2),
            (functools.partial(later.fn, 4), (), 4),
            (functools.lru_cache(lambda x: x), (6,), 6),
        ],
        ids=lambda value: getattr(value, "__name__", type(value).__name__),
    )
    def test_callables_of_all_kinds(self, run, fn, args, expected):
        """S1"""
        value = run(task(fn)(*(same(arg) for arg in args)))
        if fn is Plain:
            assert type(value) is Plain
            assert value.x == 3
        else:
            assert value == expected

    def test_methods(self, run):
        """A task in a class body is a method, as the plain function would be."""
        assert run(Accumulator(5).method(same(2))) == 7
        assert run(Accumulator.static(same(2))) == 3
        assert run(Accumulator(5).static(same(2))) == 3
        assert run(Accumulator.class_level(same(2))) == ("Accumulator", 2)

    def test_a_generator_function_gives_its_generator(self, run):
        @task
        def count():
            yield from (1, 2)

        assert list(run(count())) == [1, 2]

    def test_a_sync_function_that_returns_a_coroutine_is_not_awaited(self, run):
        """A function is asynchronous if it says so; what a sync one returns is its value."""

        @task
        def make():
            return later.fn(1)

        made = run(make())
        assert inspect.iscoroutine(made)
        made.close()

    def test_fn_is_the_undecorated_function(self):
        def plain(x):
            """Doc."""
            return x

        decorated = task(plain)
        assert decorated.fn is plain
        assert (decorated.__name__, decorated.__doc__, decorated.__module__) == ("plain", "Doc.", __name__)
        assert inspect.signature(decorated) == inspect.signature(plain)

    def test_async_generators_are_refused(self):
        with pytest.raises(TypeError, match="async generator"):

            @task
            async def gen():
                yield 1

    def test_an_object_with_an_async_generator_as_call_is_refused(self):
        class Gen:
            async def __call__(self):
                yield 1

        with pytest.raises(TypeError, match="async generator"):
            task(Gen())

    def test_a_partial_of_an_async_generator_is_refused(self):
        async def gen(x):
            yield x

        with pytest.raises(TypeError, match="async generator"):
            task(functools.partial(gen, 1))

    @pytest.mark.parametrize("nothing", [1, "name", [], object()], ids=lambda v: type(v).__name__)
    def test_what_is_no_function(self, nothing):
        with pytest.raises(TypeError, match="function"):
            task(nothing)

    def test_a_task_of_a_task_is_refused(self):
        with pytest.raises(TypeError, match="task already"):
            task(same)

    @pytest.mark.parametrize("wrap", [staticmethod, classmethod])
    def test_decorators_in_the_wrong_order_are_refused(self, wrap):
        with pytest.raises(TypeError, match="goes below"):
            task(wrap(lambda x: x))

    def test_options_are_checked(self):
        with pytest.raises(ValueError, match="mode"):
            task(mode="somewhere")
        with pytest.raises(TypeError, match="version"):
            task(version=2)(lambda: None)

    def test_options_with_and_without_parentheses(self, run):
        @task()
        def one():
            return 1

        @task(version="2", name="renamed")
        def two():
            return 2

        assert run([one(), two()]) == [1, 2]
        assert "renamed" in repr(two())

    def test_tasks_are_compared_by_identity(self, run):
        """Two tasks of one name are two tasks."""
        first = task(name="twin")(lambda: 1)
        second = task(name="twin")(lambda: 2)
        assert run([first(), second(), first()]) == [1, 2, 1]

    def test_a_task_as_an_argument_is_a_value(self, run):
        assert run(show(same))[0][0] is same


# --- wrong calls ------------------------------------------------------------------------------------------------------------


@task
def strict(a, /, b, *, c, d=4):
    return a, b, c, d


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("args", "kwargs", "says"),
        [
            ((), {}, "missing a required argument: 'a'"),
            ((1,), {"c": 1}, "missing a required argument: 'b'"),
            ((1, 2), {}, "missing a required.*'c'"),
            ((1, 2, 3), {"c": 1}, "too many positional"),
            ((1, 2), {"c": 1, "e": 5}, "unexpected keyword argument 'e'"),
            ((1, 2), {"b": 2, "c": 3}, "multiple values for argument 'b'"),
        ],
    )
    def test_the_error_has_signature_and_line(self, run, args, kwargs, says):
        """A call that the function cannot take is a compile error; nothing has run."""
        with pytest.raises(CompileError, match=says) as caught:
            run(same(strict(*args, **kwargs)))
        assert "strict(a, /, b, *, c, d=" in str(caught.value)
        assert HERE in str(caught.value)

    def test_nothing_runs_before_a_wrong_call_is_refused(self, run):
        calls = []

        @task
        def note():
            calls.append(1)

        with pytest.raises(CompileError):
            run([note(), add()])
        assert calls == []

    def test_functions_without_a_signature_are_called_as_written(self, run):
        """Python cannot tell the signature of some builtins."""
        assert run(task(max)(same(1), 2, key=None)) == 2
        with pytest.raises(TypeError):
            run(task(max)())

    def test_names_of_parameters_are_free(self, run):
        """No keyword is taken by the engine."""
        kwargs = {name: same(name) for name in "self task args kwargs policy code lasti engine params capacity fn x".split()}
        assert run(show(**kwargs)) == ((), {name: name for name in kwargs})

    @pytest.mark.parametrize("target", [None, 3, "text", same, object(), range(3), print], ids=lambda v: type(v).__name__)
    def test_what_cannot_be_run(self, run, target):
        with pytest.raises(CompileError, match="expected a LazyResult"):
            run(target)

    def test_unknown_engines_are_refused(self):
        with pytest.raises(ValueError, match="engine"):
            run_any(same(1), engine="warp")

    @pytest.mark.parametrize("time_slice", [-1, math.nan, math.inf, "1", None, True])
    def test_time_slices_are_checked(self, run, time_slice):
        with pytest.raises(ValueError, match="time_slice"):
            run(same(1), time_slice=time_slice)


# --- cycles by mutation ------------------------------------------------------------------------------------------------------


class TestCycles:
    def test_a_node_in_its_own_argument(self, run):
        held: list[Any] = []
        lazy = same(held)
        held.append(lazy)
        with pytest.raises(CompileError, match="cycle.*same"):
            run(lazy)

    def test_a_long_cycle_is_named(self, run):
        held: dict[str, Any] = {}

        @task
        def begin(x):
            return x

        @task
        def middle(x):
            return x

        lazy = middle(add(begin(held)))
        held["again"] = lazy
        with pytest.raises(CompileError, match="cycle") as caught:
            run(show(lazy))
        for name in ("begin", "add", "middle"):
            assert name in str(caught.value)
        assert "show" not in str(caught.value)

    def test_a_cycle_of_thousands_is_named_shortly(self, run):
        held: list[Any] = []
        lazy = same(held)
        for _ in range(5_000):
            lazy = same(lazy)
        held.append(lazy)
        with pytest.raises(CompileError, match="cycle") as caught:
            run(lazy)
        assert len(str(caught.value)) < 3_000

    def test_a_cycle_through_the_target_container(self, run):
        target: list[Any] = [same(1)]
        target.append(same(target))
        with pytest.raises(CompileError, match="cycle|contains itself"):
            run(target)

    def test_a_cycle_through_item_and_key(self, run):
        held: list[Any] = []
        lazy = same(1)[same(held)]
        held.append(lazy)
        with pytest.raises(CompileError, match="cycle"):
            run(lazy)

    def test_a_cycle_made_between_two_runs(self, run):
        """S28: the second run sees that the graph has changed"""
        held: list[Any] = [same(1)]
        lazy = same(held)
        assert run(lazy) == [1]
        held[0] = lazy
        with pytest.raises(CompileError, match="cycle"):
            run(lazy)


# --- inputs -------------------------------------------------------------------------------------------------------------------


class Money(msgspec.Struct):
    amount: int


class TestInputs:
    @pytest.mark.parametrize(
        ("kind", "given", "expected"),
        [
            (int, "5", 5),
            (int, 5, 5),
            (float, "1.5", 1.5),
            (float, 2, 2.0),
            (bool, "true", True),
            (str, "5", "5"),
            (bytes, b"x", b"x"),
            (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
            (int | None, None, None),
            (list[int], ["1", 2], [1, 2]),
            (tuple[int, ...], [1, "2"], (1, 2)),
            (dict[str, float], {"a": "1"}, {"a": 1.0}),
            (Money, {"amount": "3"}, Money(3)),
            (Any, object, object),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_values_are_converted(self, run, kind, given, expected):
        """S20"""
        value = run(same(Param("x", kind)), {"x": given})
        assert value == expected
        assert type(value) is type(expected)

    @pytest.mark.parametrize(
        ("kind", "given"),
        [(int, "five"), (int, 1.5), (int, None), (str, 5), (list[int], ["a"]), (Money, {"amount": None}), (int, [1]), (bool, 2)],
        ids=lambda value: str(value)[:30],
    )
    def test_ill_typed_values_are_faults(self, run, kind, given):
        """S20: before anything runs"""
        calls = []

        @task
        def note(x):
            calls.append(x)

        with pytest.raises(InputError, match="'x'"):
            run([note(1), note(Param("x", kind))], {"x": given})
        assert calls == []

    def test_lossy_floats_are_faults(self, run):
        """S20, settled: converted without loss"""
        assert run(same(Param("x", float)), {"x": 2**53}) == float(2**53)
        with pytest.raises(InputError):
            run(same(Param("x", float)), {"x": 2**53 + 1})

    def test_bool_is_no_int_and_int_no_bool(self, run):
        """S20, settled: what msgspec converts without loss"""
        with pytest.raises(InputError):
            run(same(Param("x", int)), {"x": True})

    def test_values_of_the_right_type_arrive_as_they_are(self, run):
        """S4, S20"""
        value = [1, 2]
        assert run(same(Param("x", list)), {"x": value}) is value
        thing = object()
        assert run(same(Param("x")), {"x": thing}) is thing
        assert run(same(Param("x", object)), {"x": thing}) is thing

    def test_a_class_that_msgspec_does_not_know(self, run):
        """S20: an instance is all that can be asked for"""
        thing = Plain(1)
        assert run(same(Param("x", Plain)), {"x": thing}) is thing
        with pytest.raises(InputError):
            run(same(Param("x", Plain)), {"x": 3})

    def test_defaults(self, run):
        """S20"""
        assert run(same(Param("x", int, 7))) == 7
        assert run(same(Param("x", int, 7)), {"x": 8}) == 8
        assert run(same(Param("x", int, None))) is None
        assert run(same(Param("x", default=0))) == 0
        held: list[Any] = []
        assert run(same(Param("x", list, held))) is held

    def test_falsy_values_given_are_values(self, run):
        """S20: given is given"""
        for value in (0, "", False, [], {}):
            assert run(same(Param("x", type(value), type(value)(1) if value != [] and value != {} else value)), {"x": value}) == value
        assert run(same(Param("x", int | None, 5)), {"x": None}) is None

    def test_environment(self, run, monkeypatch):
        """S20"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        monkeypatch.delenv("CASCADE_TEST_ABSENT", raising=False)
        assert run([Env("CASCADE_TEST_N"), Env("CASCADE_TEST_N", str), Env("CASCADE_TEST_ABSENT", str, "d")]) == ["12", "12", "d"]
        assert run(same(Env("CASCADE_TEST_N", int))) == 12
        with pytest.raises(InputError, match="CASCADE_TEST_ABSENT"):
            run(same(Env("CASCADE_TEST_ABSENT")))

    def test_the_environment_is_read_when_a_run_starts(self, run, monkeypatch):
        """S20"""
        lazy = same(Env("CASCADE_TEST_N", int))
        for value in (1, 2):
            monkeypatch.setenv("CASCADE_TEST_N", str(value))
            assert run(lazy) == value

    def test_a_param_does_not_fill_an_environment_input(self, run, monkeypatch):
        """S20: params= are for Params"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        with pytest.raises(InputError, match="unknown input 'CASCADE_TEST_N'"):
            run(same(Env("CASCADE_TEST_N")), {"CASCADE_TEST_N": "13"})

    def test_all_faults_in_one_error(self, run, monkeypatch):
        """S20: missing, ill-typed and unknown, in one error"""
        monkeypatch.delenv("CASCADE_TEST_ABSENT", raising=False)
        target = [Param("a", int), Param("b", int), Param("ok", int), Env("CASCADE_TEST_ABSENT")]
        with pytest.raises(InputError) as caught:
            run(target, {"a": "text", "ok": 1, "extra": 2})
        faults = caught.value.faults
        assert len(faults) == 4
        assert [word in fault for word, fault in zip(["'a'", "'b'", "CASCADE_TEST_ABSENT", "'extra'"], faults, strict=True)] == [True] * 4
        for fault in faults:
            assert fault in str(caught.value)

    def test_misspelt_names_get_a_hint(self, run):
        """S20"""
        with pytest.raises(InputError, match="did you mean 'limit'"):
            run(same(Param("limit", int, 3)), {"limmit": 4})

    def test_params_for_a_graph_without_inputs_are_unknown(self, run):
        """S20"""
        with pytest.raises(InputError, match="unknown input 'x'"):
            run(same(1), {"x": 1})

    def test_one_name_is_one_input(self, run):
        """Two Params of one name are the same input."""
        assert run(add(Param("x", int), Param("x", int)), {"x": "4"}) == 8

    @pytest.mark.parametrize(
        "other",
        [lambda: Param("x", str), lambda: Param("x", int, 2), lambda: Param("x", int), lambda: Param("x", int, True)],
        ids=["type", "default", "no default", "default of another type"],
    )
    def test_conflicting_declarations_are_refused(self, run, other):
        """Two Params of one name must agree in type and default."""
        with pytest.raises(CompileError, match="'x'.*declared twice|declared twice.*'x'"):
            run([Param("x", int, 1), other()], {"x": 3})

    def test_conflicts_are_found_without_equality(self, run):
        """A default may be something whose == has no truth value."""

        class Odd:
            __hash__ = None  # type: ignore[assignment]

            def __eq__(self, other):
                raise ValueError("ambiguous")

        odd = Odd()
        first, second = run([Param("x", default=odd), Param("x", default=odd)])
        assert first is second is odd
        with pytest.raises(CompileError, match="declared twice"):
            run([Param("x", default=odd), Param("x", default=Odd())])

    def test_a_param_and_an_environment_input_of_one_name(self, run, monkeypatch):
        """Either two inputs or a refusal, but the same on all engines and in compile(): here they are refused"""
        monkeypatch.setenv("CASCADE_TEST_N", "12")
        target = [Param("CASCADE_TEST_N", str), Env("CASCADE_TEST_N", str)]
        with pytest.raises(CompileError, match="declared twice"):
            run(target, {"CASCADE_TEST_N": "13"})
        with pytest.raises(CompileError, match="declared twice"):
            compile(target)

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_names_are_text(self, name):
        with pytest.raises(TypeError, match="name"):
            Param(name)
        with pytest.raises(TypeError, match="name"):
            Env(name)

    def test_inputs_can_be_used_like_any_node(self, run):
        """S3, S5, S8"""
        x = Param("x", dict[str, int])
        assert run({"k": x["a"], x["b"]: [x]}, {"x": {"a": 1, "b": 2}}) == {"k": 1, 2: [{"a": 1, "b": 2}]}
        assert run(same(1).after(x), {"x": {}}) == 1

    def test_an_input_that_nothing_demands_is_no_input(self, run):
        """S10, S20: only what the graph needs"""
        same(Param("unused", int))
        assert run(same(1)) == 1

    def test_given_params_are_not_changed(self, run):
        given = {"x": "1"}
        run(same(Param("x", int)), given)
        assert given == {"x": "1"}


class TestWorkflows:
    def test_parameters_are_inputs(self, run):
        """S20"""

        @workflow
        def total(first: int, *, second: int = 10):
            return add(first, second)

        assert run(total, {"first": "1"}) == 11
        assert run(total, {"first": 1, "second": "5"}) == 6
        with pytest.raises(InputError) as caught:
            run(total, {"second": "x", "third": 1})
        assert len(caught.value.faults) == 3

    def test_unused_parameters_are_still_declared(self, run):
        """S20: declared by the workflow, so it must be given"""

        @workflow
        def ignores(first: int, second: int):
            return same(first)

        assert run(ignores, {"first": 1, "second": 2}) == 1
        with pytest.raises(InputError, match="'second'"):
            run(ignores, {"first": 1})

    def test_calling_builds_the_graph(self, run):
        """S1"""

        @workflow
        def total(first: int, second: int = 10):
            return add(first, second)

        assert run(total(1)) == 11
        assert run(same(total(same(2), second=3))) == 5

    def test_a_workflow_may_return_a_container_or_an_input(self, run):
        @workflow
        def both(x: int):
            return {"x": x, "more": [add(x)]}

        @workflow
        def through(x: int):
            return x

        assert run(both, {"x": "1"}) == {"x": 1, "more": [2]}
        assert run(through, {"x": "1"}) == 1
        assert compile(through).run(x="1") == 1

    def test_the_parameter_is_a_node_while_it_is_traced(self):
        """S5: a decision on an input belongs into a task"""

        @workflow
        def decides(x: int):
            return same(1) if x else same(2)

        with pytest.raises(LazyUseError, match="x"):
            run_any(decides, {"x": 1})

    @pytest.mark.parametrize("kind", ["async", "generator", "args", "kwargs", "task"])
    def test_what_is_no_workflow(self, kind):
        async def coroutine():
            pass

        def generator():
            yield

        def args(*xs):
            pass

        def kwargs(**xs):
            pass

        with pytest.raises(TypeError):
            workflow({"async": coroutine, "generator": generator, "args": args, "kwargs": kwargs, "task": 3}[kind])

    def test_an_annotation_that_cannot_be_resolved(self):
        @workflow
        def odd(x: Nowhere):  # noqa: F821
            return same(x)

        with pytest.raises(CompileError, match="Nowhere"):
            run_any(odd, {"x": 1})


# --- gather and several targets ------------------------------------------------------------------------------------------------


class TestTargets:
    def test_the_form_is_kept(self, run):
        assert run([same(1), (later(2), {"k": {same(3)}})]) == [1, (2, {"k": {3}})]
        assert run([]) == []
        assert run({}) == {}
        assert run((same(1),)) == (1,)

    def test_a_container_of_values_only_is_the_same_object(self, run):
        """S4"""
        target = [1, 2]
        assert run(target) is target

    def test_gather(self, run):
        assert run(gather()) == []
        assert run(gather(same(1), later(2), 3, [same(4)])) == [1, 2, 3, [4]]
        assert run(same(gather(same(1)))[0]) == 1
        items = gather(same(1))
        first, second = run([items, items])
        assert first is second

    def test_values_that_could_be_confused_with_absence(self, run):
        """None, False, NotImplemented, Ellipsis, exceptions and classes are values"""
        for value in (None, False, 0, "", (), NotImplemented, ..., ValueError("x"), ValueError, StopIteration(), math.nan, type):
            assert run(same(value)) is value
            assert run(same(later(value))) is value
            assert run(show(value, k=value)) == ((value,), {"k": value}) or value is math.nan
