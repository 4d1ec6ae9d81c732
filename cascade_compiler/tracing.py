"""What graphs a task returns, as far as its source shows: those that it returns as calls of tasks.

    @task
    def crawl(urls, found):
        page = fetch(urls[0])
        return crawl(urls[1:], merge(found, page)) if urls else found

Here that is ``crawl(_, merge(_, fetch(_)))``. It is built without running the task: with nothing in the place of what is no call of a task.
Nothing depends on it that it is right. A shape that is guessed wrong is compiled for nothing, and one that is not guessed is compiled when
it is met, or comes from an example.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

from cascade_compiler.combining import sequence
from cascade_compiler.inputs import gather
from cascade_compiler.lazy import LazyResult
from cascade_compiler.mapping import common
from cascade_compiler.task import Task

_UNKNOWN: Any = type("UNKNOWN", (), {})()  # stands for a value of a run
_MOST = 64  # ways through the conditional expressions of one return
_METHODS = ("after", "run_if", "with_retry", "with_timeout", "with_constraints", "with_rate_limit", "with_cache")
_COMBINING = (common, gather, sequence)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def returned_graphs(task: Task) -> Iterator[LazyResult]:
    """The calls of tasks that ``task`` returns: of each ``return``, those that its conditional expressions allow."""
    fn = task.fn
    if type(fn) is not FunctionType or not _may_call_tasks(fn) or (definition := _definition(fn)) is None:
        return
    for node in _own(definition):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        choices: list[bool] | None = []
        for _ in range(_MOST):
            if choices is None:
                break
            reader = _Reader(fn, definition, choices)
            try:
                found = reader.build(node.value)
            except Exception:  # the language refuses what is written there: so it will when the task gets there, if it ever does
                found = None
            if type(found) is LazyResult:
                yield found
            choices = _next(reader.made)


def _next(made: list[bool]) -> list[bool] | None:
    """The choices that follow on these: the last one that took the first branch takes the second."""
    while made and made[-1]:
        made.pop()
    return [*made[:-1], True] if made else None


def _is_task(value: Any) -> bool:
    return type(value) is FunctionType and type(vars(value).get("task")) is Task


def _may_call_tasks(fn: FunctionType) -> bool:
    """Does any of its names mean a task, or one of a module's? (To read source takes a while, and most tasks call none.)"""
    names = fn.__code__.co_names
    meant = [fn.__globals__[name] for name in names if name in fn.__globals__]
    for cell in fn.__closure__ or ():
        try:
            meant.append(cell.cell_contents)
        except ValueError:  # not bound yet
            continue
    inner = [vars(one).get(name) for one in meant if isinstance(one, ModuleType) for name in names]
    return any(_is_task(one) for one in (*meant, *inner))


def _definition(fn: FunctionType) -> _Function | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, (ast.FunctionDef, ast.AsyncFunctionDef)) and first.name == fn.__name__ else None


def _own(definition: _Function) -> Iterator[ast.AST]:
    """The nodes of the function's body that are not those of a function inside of it."""
    waiting: list[ast.AST] = list(definition.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


class _Reader:
    """Builds what an expression of a task's body gives. A name that is assigned once means what it is assigned. Of ``a if test else b``
    it takes a where ``choices`` has False, or nothing more; ``made`` are the choices that it has made."""

    def __init__(self, fn: FunctionType, definition: _Function, choices: list[bool]) -> None:
        self.fn = fn
        self.choices = choices
        self.made: list[bool] = []
        arguments = definition.args
        parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self.locals: dict[str, ast.expr | None] = {one.arg: None for one in parameters if one is not None}
        stored = [node.id for node in _own(definition) if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del))]
        for node in _own(definition):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if stored.count(name) == 1 and name not in self.locals:
                    self.locals[name] = node.value
        for name in stored:
            self.locals.setdefault(name, None)
        self.built: dict[str, Any] = {}

    def build(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.named(node.id)
            case ast.Attribute():
                base = self.build(node.value)  # looked up without asking anybody: a module may import others when it is asked
                return vars(base).get(node.attr, _UNKNOWN) if isinstance(base, ModuleType) else _UNKNOWN
            case ast.Call():
                return self.call(node)
            case ast.IfExp():
                second = self.choices[len(self.made)] if len(self.made) < len(self.choices) else False
                self.made.append(second)
                return self.build(node.orelse if second else node.body)
            case ast.List() | ast.Tuple():
                members = [self.build(one) for one in node.elts]
                return members if isinstance(node, ast.List) else tuple(members)
            case ast.Dict() if all(isinstance(key, ast.Constant) for key in node.keys):
                return {self.build(key): self.build(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None}
        return _UNKNOWN

    def named(self, name: str) -> Any:
        if name in self.locals:
            value = self.locals[name]
            if value is None:
                return _UNKNOWN
            if name not in self.built:
                self.built[name] = _UNKNOWN  # while it is built: it may stand in a loop, and mean what it was the last time round
                self.built[name] = self.build(value)
            return self.built[name]
        if name in self.fn.__code__.co_freevars and self.fn.__closure__ is not None:
            try:
                return self.fn.__closure__[self.fn.__code__.co_freevars.index(name)].cell_contents
            except ValueError:  # not bound yet
                return _UNKNOWN
        return self.fn.__globals__.get(name, _UNKNOWN)

    def call(self, node: ast.Call) -> Any:
        if any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords):
            return _UNKNOWN
        callee: Any = _UNKNOWN
        instead = _UNKNOWN
        if isinstance(node.func, ast.Attribute) and node.func.attr in (*_METHODS, "map"):
            base = self.build(node.func.value)
            if type(base) is LazyResult or _is_task(base):
                callee = getattr(base, node.func.attr, _UNKNOWN)
                instead = [] if node.func.attr == "map" else _UNKNOWN  # what a task is mapped over
        else:
            callee = self.build(node.func)
            if not (_is_task(callee) or any(callee is one for one in _COMBINING)):
                return _UNKNOWN
        if callee is _UNKNOWN:
            return _UNKNOWN
        args = [self.build(one) for one in node.args]
        kwargs = {one.arg: self.build(one.value) for one in node.keywords if one.arg}
        return callee(
            *[instead if one is _UNKNOWN else one for one in args],
            **{name: instead if one is _UNKNOWN else one for name, one in kwargs.items()},
        )
