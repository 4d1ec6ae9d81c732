"""How arguments are scanned and rebuilt, literals, hidden nodes, items, several targets (S3 to S5), on each engine."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import functools
import math
import types
import typing
from typing import Any

import attrs
import msgspec
import pytest

from cascade_compiler import (
    CompileError,
    LazyResult,
    gather,
    literal,
    task,
)

if typing.TYPE_CHECKING:
    from collections.abc import Callable

HERE = "test_containers.py"


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


# --- S3, S4: containers and literals ----------------------------------------------------------------------------------


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
        for value in (
            [],
            [1],
            (1, [2]),
            {"a": {"b": 1}},
            {1},
            frozenset([1]),
            Point(1, 2),
            Rows(owner=1),
            collections.deque([1]),
        ):
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
        with pytest.raises(CompileError, match=r"cycle|contains itself"):
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
        """Settled (S3/S4): never passed raw in silence; here it is refused before anything runs"""
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
            show(hide(same(1))), show(k=hide(same(1))), same([hide(same(1))]), same([same(0), hide(same(1))]),
            same({"k": hide(same(1))}),
            same([0] * 50 + [hide(same(1))]), gather(hide(same(1))), same({})[hide(same(1))], [same(0), hide(same(1))],
            [hide(same(1))],
        ):  # fmt: skip
            with pytest.raises(CompileError, match=f"hidden in x of a {hide.__name__}"):
                run(target)

    def test_the_error_names_the_path_and_the_way_out(self, run):
        """Settled (S3/S4)"""
        with pytest.raises(
            CompileError, match=r"same\(1\) at .*test_containers.py:\d+> is hidden in x of a Data.*literal\(\.\.\.\)"
        ):
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


# --- items ------------------------------------------------------------------------------------------------------------


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


# --- gather and several targets ---------------------------------------------------------------------------------------


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
