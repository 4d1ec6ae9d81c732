"""Loops inside a task: where a task's own body ends in a call of the very task, with plain arguments, no graph has to be built for it.

    @task
    def countdown(n):
        return countdown(n - 1) if n else "done"

In a hot loop such a function is called in another form, compiled from its source: its tail calls give ``(TURN, countdown, 0, n - 1)``, and
the loop goes round with ``n - 1``, as it would after it had taken a LazyResult apart. Everything else about the function stays, line by
line; it is called once in each turn, as before, so that nothing that a turn does can be told by the next.

That it is the same function is not believed but shown: its source is compiled as it stands, and must give the very code that the
function has. Where it does not (the file has been edited, a decorator has changed the function, the name is mangled), the function is left
as it is. The name of the task is looked up in each turn, as before: where it means something else by then, or an argument is no plain
value, the graph is built after all.
"""

from __future__ import annotations
import __future__ as future

import ast
import dis
import inspect
import linecache
from collections.abc import Iterator
from functools import reduce
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from cascade_compiler.lazy import LazyResult
from cascade_compiler.task import Task
from cascade_vm.link import Code

TURN: Any = type("TURN", (), {})()  # the first of what a tail call gives

_MARK = "\0cascade: the tail call of a turn"
_FUTURES = reduce(int.__or__, (getattr(future, name).compiler_flag for name in future.all_feature_names))


class Turning(NamedTuple):
    """A function in the form for turning: ``sites`` are those of its tail calls; ``builder`` is what they must call."""

    function: FunctionType
    original: FunctionType
    builder: Any
    sites: tuple[tuple[CodeType, int], ...]

    def is_current(self) -> bool:
        """Is the function still what it was made of?"""
        made: Any = self.function
        now: Any = self.original
        return bool(
            now.__code__ is self.sites[0][0]
            and now.__defaults__ is made.__defaults__
            and now.__kwdefaults__ is made.__kwdefaults__
        )

    def build(self, turn: tuple[Any, ...]) -> Any:
        """What the tail call gives otherwise."""
        _, callee, number, *args = turn
        task = getattr(callee, "task", None)
        if callee is self.builder and type(task) is Task:
            return LazyResult(task, tuple(args), {}, None, *self.sites[number])
        return callee(*args)


def turning(code: Code) -> Turning | None:
    """The function of ``code`` in the form for turning; None where its shape or its function is another than this is for."""
    (call, *more) = code.blueprint.instructions
    fn = code.functions[call.aux] if not more and code.blueprint.symbols and call.reads else None
    if type(fn) is not FunctionType or call.names or list(call.reads) != list(range(len(call.reads))) or fn.__name__ == "<lambda>":
        return None
    if fn is not code.callees[0] or inspect.isgeneratorfunction(fn):
        return None
    original = fn.__code__
    found = _definition(original)
    if found is None:
        return None
    tree, definition = found
    again = _compiled(tree, original)
    if again is None or not _is_same(again, original):
        return None
    names = {name: value for name, value in _bindings(fn) if getattr(getattr(value, "task", None), "fn", None) is fn}
    rewriting = _Rewriting(set(names), len(call.reads))
    definition.body = [rewriting.visit(statement) for statement in definition.body]
    changed = _compiled(ast.fix_missing_locations(tree), original) if rewriting.calls else None
    if changed is None or changed.co_freevars != original.co_freevars or len({id(value) for value in names.values()}) != 1:
        return None
    sites = tuple((original, _offset(original, one)) for one in rewriting.calls)
    if any(offset < 0 for _, offset in sites):
        return None
    constants = tuple([TURN if value == _MARK else value for value in changed.co_consts])
    function = FunctionType(
        changed.replace(co_consts=constants, co_qualname=original.co_qualname), fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__
    )
    function.__kwdefaults__ = fn.__kwdefaults__
    return Turning(function, fn, next(iter(names.values())), sites)


def _bindings(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """What the names of the function mean now."""
    code = fn.__code__
    for name in code.co_names:
        if name in fn.__globals__:
            yield name, fn.__globals__[name]
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue


def _definition(code: CodeType) -> tuple[ast.Module, ast.FunctionDef] | None:
    """The function's definition alone, at its own place in an otherwise empty file, inside of a function that binds its free variables."""
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno
    if not 0 < first <= len(lines):
        return None
    try:
        block = inspect.getblock(lines[first - 1 :])
    except Exception:  # tokens that are none: the file is not what was compiled
        return None
    indent = len(block[0]) - len(block[0].lstrip())
    head = ["\n"] * (first - 1)
    if indent or code.co_freevars:
        if not indent or first < 3:
            return None
        bound = "".join(f" {name} = None;" for name in code.co_freevars) or " pass"
        head[-2] = f"def outer({', '.join(code.co_freevars)}):\n"
        head[-1] = f"{' ' * indent}if 1: {bound.strip().rstrip(';')}\n"
    try:
        tree = ast.parse("".join(head + block), code.co_filename)
    except (SyntaxError, ValueError):
        return None
    definitions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == code.co_name]
    if len(definitions) != 1 or any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree)):
        return None
    definitions[0].decorator_list = []
    return tree, definitions[0]


def _compiled(tree: ast.Module, original: CodeType) -> CodeType | None:
    """The code of the definition in ``tree``."""
    try:
        module: CodeType = compile(tree, original.co_filename, "exec", original.co_flags & _FUTURES, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    waiting: list[CodeType] = [module]
    while waiting:
        code = waiting.pop()
        if code.co_name == original.co_name and code is not module:
            return code
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
    return None


def _is_same(one: CodeType, other: CodeType) -> bool:
    """Does the source give the very code: what it does, with which names and constants, on which lines?"""
    if len(one.co_consts) != len(other.co_consts):
        return False
    for a, b in zip(one.co_consts, other.co_consts, strict=True):
        if isinstance(a, CodeType) and isinstance(b, CodeType):
            if not _is_same(a, b):
                return False
        elif type(a) is not type(b) or repr(a) != repr(b):
            return False
    return (
        one.co_code == other.co_code
        and one.co_names == other.co_names
        and one.co_varnames == other.co_varnames
        and one.co_freevars == other.co_freevars
        and one.co_cellvars == other.co_cellvars
        and one.co_flags == other.co_flags
        and one.co_argcount == other.co_argcount
        and one.co_posonlyargcount == other.co_posonlyargcount
        and one.co_kwonlyargcount == other.co_kwonlyargcount
        and one.co_exceptiontable == other.co_exceptiontable
        and _places(one) == _places(other)
    )


def _places(code: CodeType) -> list[Any]:
    """Where each instruction was written, but for those before the first statement: they count to the decorator."""
    return [step.positions for step in dis.get_instructions(code) if step.opname not in ("RESUME", "COPY_FREE_VARS", "MAKE_CELL")]


class _Rewriting(ast.NodeTransformer):
    """Turns tail calls of some names with so many plain arguments into what a loop goes round with."""

    def __init__(self, names: set[str], arity: int) -> None:
        self.names = names
        self.arity = arity
        self.calls: list[ast.Call] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node  # its returns are its own

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return node  # what the name may have come to mean by then would have to be called inside of it

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None:
            node.value = self._tail(node.value)
        return node

    def _tail(self, value: ast.expr) -> ast.expr:
        if isinstance(value, ast.IfExp):
            value.body, value.orelse = self._tail(value.body), self._tail(value.orelse)
            return value
        if (
            not isinstance(value, ast.Call)
            or not isinstance(value.func, ast.Name)
            or value.func.id not in self.names
            or value.keywords
            or len(value.args) != self.arity
            or any(isinstance(part, ast.Starred) for part in value.args)
        ):
            return value
        self.calls.append(value)
        number = ast.Constant(len(self.calls) - 1)
        return ast.copy_location(ast.Tuple([ast.Constant(_MARK), value.func, number, *value.args], ast.Load()), value)


def _offset(code: CodeType, call: ast.Call) -> int:
    """The instruction of a call; -1 where it is not found."""
    for step in dis.get_instructions(code):
        place = step.positions
        if step.opname == "CALL" and place is not None and (place.lineno, place.col_offset) == (call.lineno, call.col_offset):
            return step.offset
    return -1
