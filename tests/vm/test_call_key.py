"""Keys of calls: the same for the same call, in every process; another for every other call (S19)."""

from __future__ import annotations

import datetime
import decimal
import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade_vm import constants
from cascade_vm.caching import NotCacheable
from cascade_vm.call_key import call_key
from cascade_vm.errors import CascadeError

ROOT = Path(__file__).parents[2]
quick = settings(derandomize=True, database=None, deadline=None)


def f(x, y=2, *rest, key="k", **more):
    raise AssertionError("a key is made without a call")


def key(*args, **kwargs):
    return call_key("m:f", "1", inspect.signature(f), f, args, kwargs)


def test_how_the_arguments_are_passed_means_nothing():
    assert len(key(1)) == 20
    assert key(1) == key(x=1) == key(1, 2) == key(1, y=2) == key(y=2, x=1) == key(1, key="k")


def test_the_order_of_keyword_arguments_means_nothing():
    assert key(1, b=1, a=2) == key(a=2, b=1, x=1)


def test_other_arguments_have_other_keys():
    keys = [key(1), key(2), key(1, 3), key(1, 2, 3), key(1, 2, 3, 4)]
    keys += [key(1, key="l"), key(1, more=1), key(1, more=2), key(1, m=1)]
    assert len(set(keys)) == len(keys)


def test_where_one_argument_ends_and_the_next_begins_is_part_of_the_key():
    keys = [key("a", "b"), key("ab", ""), key("a", ("b",)), key(("a", "b"))]
    keys += [key("a", "b", "c"), key("a", "b", ("c",)), key(["a", "b"])]
    assert len(set(keys)) == len(keys)


def test_types_are_told_apart():
    values = [1, True, 1.0, "1", b"1", bytearray(b"1"), decimal.Decimal(1), (1,), [1], {1}, frozenset({1}), {1: None}]
    values += [1 + 0j, None, ()]
    values += [[], {}, set(), "", 0, 0.0, -0.0, False, ..., range(1), datetime.date(1, 1, 1), datetime.datetime(1, 1, 1), "None"]
    assert len({key(value) for value in values}) == len(values)


def test_nan_has_a_key():
    assert key(float("nan")) == key(math.nan) != key(math.inf)


def test_sets_have_no_order_and_dicts_have():
    words = [f"word {i}" for i in range(50)]
    assert key({*words}) == key({*words[::-1]})
    assert key({frozenset(words), frozenset("abc")}) == key({frozenset("cba"), frozenset(reversed(words))})
    assert key({"a": 1, "b": 2}) == key({"a": 1, "b": 2})
    assert key({"a": 1, "b": 2}) != key({"b": 2, "a": 1}), "a task can see the order"


def test_task_and_version_are_part_of_the_key():
    def of(symbol, version):
        return call_key(symbol, version, inspect.signature(f), f, (1,), {})

    keys = {of("m:f", "1"), of("m:f", "2"), of("m:g", "1"), of("n:f", "1"), of("m:f1", ""), of("", "m:f1")}
    assert len(keys) == 6


def test_without_a_signature_that_of_the_function_is_taken():
    assert call_key("m:f", "1", None, f, (1,), {}) == key(1) == call_key("m:f", "1", None, f, (), {"x": 1})


class NoSignature:
    """Python cannot tell how it is called."""

    __signature__ = "none"

    def __call__(self, *args, **kwargs): ...


class NoSignatureNoHash(NoSignature):
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("fn", [NoSignature(), NoSignatureNoHash(), "".join], ids=["object", "unhashable", "builtin"])
def test_without_any_signature_arguments_are_taken_as_they_are(fn):
    def of(*args, **kwargs):
        return call_key("m:g", "1", None, fn, args, kwargs)

    assert of(["a"]) == of(["a"])
    if isinstance(fn, NoSignature):
        assert of(1, b=2, a=3) == of(1, a=3, b=2)
        assert len({of(1), of(x=1), of(1, 1), of((1, 1)), of()}) == 5
        with pytest.raises(NotCacheable, match=r"its argument args\[1\] is an instance of object"):
            of(1, object())
        with pytest.raises(NotCacheable, match=r"its argument kwargs\['x'\] is an instance of object"):
            of(1, x=object())


def test_a_call_that_does_not_fit_has_a_key_too():
    """The call itself raises what it would raise without a cache."""
    assert key() == key() != key(y=1)


class Connection:
    pass


SENTINEL = Connection()


class EqualToAll:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("args", "kwargs", "where"),
    [
        ((Connection(),), {}, "x"),
        ((), {"x": Connection()}, "x"),
        (([{"rows": [1, Connection()]}],), {}, "x[0]['rows'][1]"),
        ((1, 2, 3, Connection()), {}, "rest[1]"),
        ((1,), {"key": (Connection(),)}, "key[0]"),
        ((1,), {"other": Connection()}, "more['other']"),
        (({Connection()},), {}, "x (a member)"),
    ],
)
def test_an_argument_that_is_no_plain_data_is_named(args, kwargs, where):
    with pytest.raises(NotCacheable) as caught:
        call_key("shop.db:load", "1", inspect.signature(f), f, args, kwargs)
    assert str(caught.value) == (
        f"shop.db.load has a cache, and its argument {where} is an instance of {__name__}.Connection, of which no key can be made. "
        "Pass plain data (numbers, text, bytes, dates, and lists, tuples, sets and dicts of such), make the object inside the task, "
        "or leave the cache off"
    )
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, CascadeError)
    assert caught.value.__suppress_context__


def test_an_endless_list_has_no_key():
    endless: list = []
    endless.append(endless)
    with pytest.raises(NotCacheable, match="nested more than 64 deep"):
        key(endless)


def test_a_default_that_is_no_plain_data_is_known_by_being_the_default():
    def g(x, sep=SENTINEL): ...

    def of(*args):
        return call_key("m:g", "1", inspect.signature(g), g, args, {})

    assert of(1) == of(1, SENTINEL)
    assert len({of(1), of(2), of(1, None), of(1, "")}) == 4
    with pytest.raises(NotCacheable, match="its argument sep is an instance of"):
        of(1, Connection())
    with pytest.raises(NotCacheable, match="its argument sep is an instance of"):
        of(1, EqualToAll())


PROGRAM = """
import inspect, sys
from cascade_vm.call_key import call_key
def f(x, y={"p", "q", "r"}, **more): ...
words = {f"w{i}" for i in range(100)}
print(call_key("m:f", "1", inspect.signature(f), f, ({"a": words, "b": [frozenset(words), (1, 2.5, None)]},), {w: i for i, w in enumerate("zyx")}).hex())
"""  # noqa: E501


def test_keys_are_the_same_in_every_process():
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
        ).stdout

    assert run("0") == run("1") == run("4242") != ""


def test_keys_stay_the_same_from_version_to_version():
    """A file of cached values outlives the process. Who has to change this changes ``_FORMAT`` too."""
    assert key(1, [2.5, "three"], key={4}).hex() == "2fbcef1da9676516186e1203a209d16f11d71dcf"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.frozensets(st.integers() | st.text(), max_size=3)
    ),
    max_leaves=8,
)


@quick
@given(VALUES, VALUES)
def test_two_calls_have_one_key_if_their_arguments_are_one_constant(one, other):
    assert (key(one) == key(other)) == (constants.encode(one) == constants.encode(other))
    assert key(one, other) == key(y=other, x=one)


@quick
@given(VALUES)
def test_a_value_that_was_written_down_and_read_again_has_its_key(value):
    assert key(constants.decode(constants.encode(value))) == key(value)


@quick
@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name not in ("x", "y", "key")), VALUES, max_size=5), st.randoms())
def test_keyword_arguments_in_any_order(kwargs, random):
    names = list(kwargs)
    random.shuffle(names)
    assert key(1, **kwargs) == key(1, **{name: kwargs[name] for name in names})
