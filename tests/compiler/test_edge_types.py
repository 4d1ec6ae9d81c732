"""Edges whose ends say types that clearly cannot fit are told of when a graph is compiled; all others are not."""

# ruff: noqa: UP006, UP007, UP045 (the old forms of types are meant, too)
from __future__ import annotations

import abc
import collections.abc as cabc
import datetime
import decimal
import enum
import gc
import pathlib
import typing
import warnings
from collections.abc import Iterator
from typing import Any, Generic, Literal, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cascade_compiler import (
    Jump,
    LazyResult,
    Param,
    Router,
    TypeMismatchWarning,
    Workflow,
    bind,
    common,
    compile,
    edge_types,
    gather,
    inject,
    literal,
    resource,
    run,
    task,
    workflow,
)  # fmt: skip
from cascade_compiler.annotations import Ends
from cascade_compiler.capture import capture
from cascade_compiler.type_fit import clashes

T = TypeVar("T")


class Row:
    pass


class OtherRow:
    pass


class Wide(Row):
    pass


class First:
    pass


class Second:
    pass


class Both(First, Second):
    pass


class Named(Protocol):
    name: str


class Array:
    def __array__(self) -> Any: ...


class Proxy:
    def __getattr__(self, name: str) -> Any: ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def run(self) -> int: ...


class Box(Generic[T]):
    pass


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Told(TypedDict):
    name: str


UserId = NewType("UserId", int)

CLASH: list[tuple[Any, Any]] = [
    (str, int), (str, list[int]), (str, list), (int, str), (None, int), (None, Row), (bytes, str), (str, bytes),
    (Row, OtherRow), (Row, int),
    (str, Row), (dict, int), (dict[int, int], list[str]), (list[str], list[int]), (list[int], set[str]),
    (list[list[int]], list[list[str]]), (dict[str, int], dict[str, str]), (dict[str, int], dict[int, int]),
    (tuple[int, str], tuple[int, int]),
    (tuple[int, int], tuple[int]), (str | bytes, int), (str | None, int), (Optional[str], Union[int, float]),
    (int, Literal["a"]), (Literal["a"], int),
    (Literal["a"], Literal["b"]), (UserId, str), (str, UserId), (typing.List[str], list[int]), (str, cabc.Iterable[int]),
    (int, cabc.Iterable[int]),
    (cabc.Sequence[str], list[int]), (dict[str, int], cabc.Mapping[str, str]), (int, cabc.Mapping), (int, cabc.Callable),
    (datetime.date, str),
    (int, datetime.date), (Colour, str), (Colour, int), (typing.Annotated[str, "x"], int),
    (list[tuple[int, str]], list[tuple[int, int]]),
    (Told, int), (str, Told), (str, pathlib.Path), (Iterator[str], list[int]), (list[dict[str, str]], list[dict[str, int]]),
    (int, Box[int]),
    (bool, str), (complex, str), (str, Abstract), (cabc.Iterable[int], int), (tuple[int, str], list[int]),
]  # fmt: skip

FIT: list[tuple[Any, Any]] = [
    (int, int), (int, float), (float, int), (bool, int), (int, bool), (int, complex), (decimal.Decimal, float),
    (int, decimal.Decimal),
    (Any, int), (int, Any), (object, int), (int, object), (T, int), (int, T), (list[T], list[int]), (list[Any], list[int]),
    (list, list[int]),
    (list[int], list), (Row, Wide), (Wide, Row), (First, Second), (Row, Named), (Named, int), (Array, list[float]),
    (list[float], Array),
    (Array, int), (Proxy, int), (int, Proxy), (Row, Abstract), (int | None, int), (int, int | None), (int | str, int),
    (None, None),
    (None, int | None), (str, str | None), (list[int], list[float]), (list[int], cabc.Sequence[int]),
    (cabc.Sequence[int], list[int]),
    (tuple[int, ...], list[int]), (list[int], tuple[int, ...]), (set[int], list[int]), (Iterator[int], list[int]),
    (str, cabc.Iterable[str]),
    (str, cabc.Sequence[str]), (bytes, cabc.Iterable[int]), (bytes, bytearray), (dict[str, int], cabc.Iterable[str]),
    (Told, dict[str, int]),
    (dict[str, str], Told), (Literal[1], int), (int, Literal[1]), (Literal["a", "b"], Literal["b", "c"]), (UserId, int),
    (int, UserId),
    (Level, int), (pathlib.Path, str), (Box[int], Box[str]), (cabc.Callable[[int], int], cabc.Callable), (Row, cabc.Iterable),
    (type, type),
    (tuple[int, str], tuple[int, Any]), (tuple[int, str], list[int | str]), (list["Row"], list[int]), (typing.Never, int),
    (typing.Self, int),
    (cabc.Awaitable[int], int), (datetime.datetime, datetime.date), (tuple[()], tuple[int, ...]),
    (cabc.Iterator[int], cabc.Sized), (list[int], Iterator[int]),
    (int, cabc.Hashable), (3, int), ("Row", int), (int, [3]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted"), CLASH)
def test_types_that_clash(given, wanted):
    assert clashes(given, wanted)


@pytest.mark.parametrize(("given", "wanted"), FIT)
def test_types_of_which_a_value_may_fit(given, wanted):
    assert not clashes(given, wanted)


# --- against an oracle that knows no types: values that are of both are looked for ----------------------------------------

SCALARS: dict[Any, list[Any]] = {
    int: [0, 7, True], bool: [True, False], float: [0.5, 3], str: ["a", "bc"], bytes: [b"a"], type(None): [None], Row: [Row(), Wide()],
    Wide: [Wide()], OtherRow: [OtherRow()], First: [First(), Both()], Second: [Second(), Both()], Level: [Level.LOW], Colour: [Colour.RED],
    object: [0, "a", None, [0]], Any: [0, "a", None, [0]], Literal["a"]: ["a"], Literal[7]: [7], UserId: [7],
}  # fmt: skip


def built(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(lambda kind: list[kind]), inner.map(lambda kind: set[kind]), inner.map(lambda kind: cabc.Sequence[kind]),
        inner.map(lambda kind: cabc.Iterable[kind]), inner.map(lambda kind: tuple[kind, ...]),
        st.tuples(inner, inner).map(lambda two: tuple[two]),
        st.tuples(inner, inner).map(lambda two: dict[two]), st.tuples(inner, inner).map(lambda two: cabc.Mapping[two]),
        st.tuples(inner, inner).map(lambda two: Union[two]), inner.map(lambda kind: Optional[kind]),
        inner.map(lambda kind: typing.Annotated[kind, "told"]),
    )  # fmt: skip


KINDS = st.recursive(st.sampled_from(list(SCALARS)), built, max_leaves=5)


def values(kind: Any) -> list[Any]:
    """Some values of a type, among them those that are of as many other types as can be; of containers only such as hold something."""
    if kind in SCALARS:
        return SCALARS[kind]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return values(args[0])
    if origin is Union:
        return [one for arg in args for one in values(arg)]
    if origin is tuple and args[-1] is not ...:
        return [(a, b) for a in values(args[0]) for b in values(args[1])][:12]
    if origin in (dict, cabc.Mapping):
        keys = [one for one in values(args[0]) if one.__hash__ is not None]
        return [{key: one} for key in keys if hashable(key) for one in values(args[1])][:12]
    inner = values(args[0])
    made: list[Any] = []
    if origin in (list, cabc.Sequence, cabc.Iterable):
        made += [[one] for one in inner]
    if origin in (tuple, cabc.Sequence, cabc.Iterable):
        made += [(one,) for one in inner] + [(one, one) for one in inner]
    if origin in (set, cabc.Iterable):
        made += [{one} for one in inner if hashable(one)]
    if origin is cabc.Iterable:
        made += [{one: 0} for one in inner if hashable(one)]
    if origin in (cabc.Sequence, cabc.Iterable):
        made += [one for one in ("a", b"a") if any(is_of(part, args[0]) for part in one)]
    return made


def hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def is_of(value: Any, kind: Any) -> bool:
    """Is a value of a type, as one would say of a value that one has?"""
    if kind in (Any, object):
        return True
    if kind is UserId:
        kind = int
    if kind is float:
        return isinstance(value, (int, float))
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return isinstance(value, kind)
    if origin is typing.Annotated:
        return is_of(value, args[0])
    if origin is Union:
        return any(is_of(value, arg) for arg in args)
    if origin is Literal:
        return any(type(one) is type(value) and one == value for one in args)
    if not isinstance(value, origin):
        return False
    if origin in (dict, cabc.Mapping):
        return all(is_of(key, args[0]) and is_of(one, args[1]) for key, one in value.items())
    if origin is tuple and args[-1] is not ...:
        return len(value) == len(args) and all(is_of(one, arg) for one, arg in zip(value, args, strict=True))
    return all(is_of(one, args[0]) for one in value)


@given(KINDS, KINDS)
@example(cabc.Iterable[str], str)
@example(cabc.Sequence[int], bytes)
@example(First, Second)
def test_no_warning_where_a_value_is_of_both(one, other):
    if any(is_of(value, other) for value in values(one)):
        assert not clashes(one, other)


@given(KINDS)
def test_every_type_fits_itself(kind):
    assert not clashes(kind, kind)


UNLIKE = st.sampled_from([int, str, bytes, type(None), Row, OtherRow])


@given(UNLIKE, UNLIKE, st.data())
def test_what_clashes_clashes_in_containers(one, other, data):
    wrap = data.draw(st.sampled_from([lambda k: list[k], lambda k: dict[str, k], lambda k: tuple[int, k], lambda k: tuple[k, ...]]))
    assert clashes(one, other) == (one is not other) == clashes(wrap(one), wrap(other))


# --- graphs ----------------------------------------


@pytest.fixture(autouse=True)
def _all_anew(monkeypatch):
    monkeypatch.setattr(edge_types, "_TOLD", set())


@task
def read(path: str) -> str:
    return path


@task
async def size(of: str) -> int:
    return len(of)


@task
def total(prices: list[int], *, currency: str = "EUR") -> float:
    return 1.0


@task
def several(n: int) -> tuple[int, str]:
    return n, "a"


@task
def loose(value, *rest: int, **named: str) -> Any:
    return value


@resource
def edge_source() -> Iterator[int]:
    yield 3


def told(target: Any) -> list[str]:
    graph = capture(*target.trace()) if isinstance(target, Workflow) else capture(target)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        edge_types.check(graph)
    return [str(one.message) for one in caught if one.category is TypeMismatchWarning]


def test_both_ends_are_named_with_their_lines():
    made = read("a")
    target = total(made)
    line = test_both_ends_are_named_with_their_lines.__code__.co_firstlineno
    (text,) = told(target)
    assert text == (
        f"{__name__}.total(prices: list[int]) at test_edge_types.py:{line + 2} takes list[int], and gets str "
        f"from {__name__}.read at test_edge_types.py:{line + 1}"
    )


def test_the_warning_points_at_the_call():
    target = total(read("a"))
    with pytest.warns(TypeMismatchWarning) as caught:
        compile(target)
    assert (caught[0].filename, caught[0].lineno) == (__file__, test_the_warning_points_at_the_call.__code__.co_firstlineno + 1)


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (lambda: total([1], currency=size("a")), "takes str, and gets int from"),
        (lambda: total("abc"), "takes list[int], and gets str from the value that is written there"),
        (lambda: total([read("a"), read("b")]), "gets list[str] from the list of"),
        (lambda: total(gather(read("a"), read("b"))), "gets list[str] from the list of"),
        (lambda: total(read.map(["a"])), f"gets list[str] from {__name__}.read.map at"),
        (lambda: size.map(total.map([[1]])), "takes iterables of str, and gets list[float] from"),
        (lambda: total([], currency=several(1)[0]), "gets int from an item at"),
        (lambda: total([], currency=Router(1, {1: size("a"), 2: 3.0})), "takes str, and gets int | float from"),
        (lambda: total([], currency=size("a").run_if(True, otherwise=3)), "takes str, and gets int from"),
        (lambda: total([], currency=size("a").run_if(True)), "takes str, and gets int from"),
        (lambda: size(Param("n", int, default=3)), "takes str, and gets int from Param n"),
        (lambda: size(inject(edge_source)), f"takes str, and gets int from resource {__name__}.edge_source"),
        (lambda: loose(1, 2, read("a")), "loose(rest: int) at"),
        (lambda: loose(1, more=size("a")), "loose(named: str) at"),
        (lambda: size(None), "takes str, and gets None from the value"),
        (lambda: read.map(["a"], max_concurrency=2)[0].after(size(3)), "takes str, and gets int"),
        (lambda: size(several(1)).with_constraints(gpu=size("a")), "takes str, and gets tuple[int, str]"),
    ],
)  # fmt: skip
def test_what_is_told(build, part):
    texts = told(build())
    assert len(texts) == 1
    assert part in texts[0]


@task
def jumps(n: int) -> int:
    return Jump("on", n)  # type: ignore[return-value]


@task
def goes_on(n: int) -> int | LazyResult[int]:
    return n


@task
def goes_on_with_texts(n: int) -> LazyResult[str]:
    return read("a")


@task
def takes_nodes(node: LazyResult[int]) -> int:
    return 3


@task
def implicit(x: int = None) -> int:  # type: ignore[assignment]  # noqa: RUF013
    return 3


@pytest.mark.parametrize(
    "build",
    [
        lambda: total([size("a"), 3]), lambda: total(size.map(["a"])), lambda: total([], currency=several(1)[1]),
        lambda: read(several(1)[7]),
        lambda: total(Router(1, {1: read("a"), 2: [3]})), lambda: total(loose(1)), lambda: total(Param("x")),
        lambda: loose(read("a")),
        lambda: read.map(path=["a", "b"]), lambda: total.map([[1]], **common(currency=read("a"))),
        lambda: read(bind(jumps(1), {"on": read("a")})),
        lambda: takes_nodes(literal(size("a"))), lambda: takes_nodes(read("a")), lambda: implicit(None),
        lambda: total(size("a").run_if(True, otherwise=[1])),
        lambda: total(goes_on(3)[0]), lambda: size(goes_on_with_texts(3)), lambda: total([]),
    ],
)  # fmt: skip
def test_what_is_not_told(build):
    assert told(build()) == []


def test_lazy_results_that_are_returned_count_as_their_values():
    assert len(told(read(goes_on(3)))) == 1
    assert len(told(implicit(goes_on_with_texts(3)))) == 1


def test_workflows_are_checked_with_the_types_of_their_inputs():
    @workflow
    def shop(n: int) -> LazyResult[str]:
        return read(n)  # type: ignore[arg-type]

    assert "gets int from Param n" in told(shop)[0]


def test_a_pair_of_ends_is_told_of_once():
    def build() -> Any:
        return total(read("a"))

    assert [len(told(build())) for _ in range(3)] == [1, 0, 0]
    assert len(told([total(read(str(n))) for n in range(5)])) == 1


def test_a_run_tells_when_it_compiles_and_not_on_a_hit(monkeypatch):
    checked = []
    monkeypatch.setattr(edge_types, "check", lambda graph: checked.append(graph))

    @task
    def own(x: int) -> int:
        return x

    for n in range(3):
        assert run(own(own(n))) == n
    assert len(checked) == 1


def test_a_warning_that_is_made_an_error_comes_before_anything_runs():
    ran = []

    @task
    def noted(x: int) -> str:
        ran.append(x)
        return "a"

    @task
    def takes(x: int) -> int:
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeMismatchWarning):
            run(takes(noted(1)))
    assert ran == []


def test_graphs_that_tasks_return_are_not_checked():
    @task
    def returns() -> float:
        return total(read("a"))  # type: ignore[return-value]

    assert run(returns()) == 1.0  # warnings are errors here


# --- reading annotations ----------------------------------------

RUN: list[str] = []


class Executes:
    def __class_getitem__(cls, item: Any) -> Any:
        RUN.append("subscript")
        return str

    def __or__(self, other: Any) -> Any:
        RUN.append("or")
        return str


executes = Executes()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int", int), ("None", type(None)), ("list[int]", list[int]), ("int | None", Optional[int]),
        ("Optional[str]", Optional[str]),
        ("typing.Union[int, str]", Union[int, str]), ("dict[str, list[Row]]", dict[str, list[Row]]), ("'Row'", Row),
        ("tuple[int, ...]", tuple[int, ...]),
        ("Literal['a', 3]", Literal["a", 3]), ("typing.Annotated[int, executes | 3]", int), ("datetime.date", datetime.date),
        ("cabc.Callable[[int], str]", cabc.Callable), ("typing.List[int]", list[int]), ("Box[int]", Box),
        ("Executes[int]", Executes),
        ("Missing", Any), ("Missing | int", Any), ("list[Missing]", list[Any]), ("executes | 3", Any), ("print('x')", Any),
        ("", Any), ("1 +", Any),
        ("Row.missing", Any), ("a" * 500, Any), ("(" * 300, Any), ("LazyResult[int]", LazyResult[int]), ("lambda: 3", Any),
        ("int[3]", int),
    ],
)  # fmt: skip
def test_texts_are_read_and_not_run(text, kind):
    def fn(x): ...

    fn.__qualname__ = "fn"
    fn.__annotations__ = {"return": text}
    assert Ends(fn).gives == kind
    assert RUN == []


def test_in_functions_only_names_of_python_are_sure():
    class Row:  # which the global of this name is not
        pass

    @task
    def gives() -> Row:
        return Row()

    @task
    def takes(row: Row, n: int) -> int:
        return n

    assert run(takes(gives(), 3)) == 3
    assert Ends(takes.fn).takes == {"n": int}


def test_annotations_that_cannot_be_had_are_unknown():
    import functools

    def wrapped(x: int) -> int:
        return x

    @functools.wraps(wrapped)
    def wrapper(*args: Any) -> Any:
        return "a"

    for fn in (wrapper, functools.partial(wrapped, 3), len, int, Row):
        ends = Ends(fn)
        assert (ends.gives, ends.takes) == (Any, {})


def test_what_is_made_of_what_is_made_stays_small():
    node: Any = read("a")
    for _ in range(60):  # of which the paths are 2 ** 60
        node = gather(Router(1, {1: node, 2: node}), [node, node])
    assert told(loose(node, node)) == []


def test_lists_with_something_unknown_are_lists():
    assert told(total([read("a"), loose(1)])) == []
    assert len(told(read([read("a"), loose(1)]))) == 1
    assert told(read(Router(1, {1: size("a"), 2: loose(1)}))) == []


def test_a_task_is_not_kept_by_having_been_checked():
    import weakref

    @task
    def short_lived(x: int) -> str:
        return "a"

    known = weakref.ref(short_lived.task)
    assert len(told(total(short_lived(1)))) == 1
    del short_lived
    gc.collect()
    assert known() is None
