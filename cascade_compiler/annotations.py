"""What a function says of its types, read without running anything of the user's: what cannot be read so is ``Any``, unknown.

Annotations that are text (``from __future__ import annotations``) are parsed, and of that only names, attributes of modules, subscripts of
Python's own generic types, ``|`` and constants are understood. ``typing.get_type_hints`` would evaluate any expression.
"""

from __future__ import annotations

import builtins
import collections
import collections.abc
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_LONGEST = 400  # characters of an annotation that is text

# Whose subscripts run no code of the user's. typing's own forms (Union, Optional, List, ...) are told by their module.
_GENERIC: frozenset[Any] = frozenset(
    {list, dict, tuple, set, frozenset, type, collections.deque, collections.defaultdict, collections.OrderedDict}
    | {getattr(collections.abc, name) for name in collections.abc.__all__}
)
_KNOWN_MODULES = ("builtins", "typing", "collections", "collections.abc", "datetime", "decimal", "pathlib", "uuid", "fractions", "numbers")


class Ends:
    """What a function gives, and what it takes: by the place of a parameter, and by its name. What is not known is not in them."""

    __slots__ = ("gives", "names", "places", "rest", "rest_named", "takes", "texts")

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.gives: Any = Any
        self.names: tuple[str, ...] = ()  # of the parameters that have places
        self.takes: dict[str, Any] = {}
        self.rest: str | None = None  # the name of *args, and of **kwargs, where they are annotated
        self.rest_named: str | None = None
        self.texts: dict[str, str] = {}  # the annotations, as they were written or nearly so
        # Of what a decorator has wrapped, the annotations are another function's.
        if type(fn) is not types.FunctionType or hasattr(fn, "__wrapped__"):
            return
        try:
            told = dict(fn.__annotations__)
        except Exception:  # where annotations are evaluated when they are asked for, they are the user's expressions
            return
        code = fn.__code__
        count = code.co_argcount
        named = code.co_varnames[: count + code.co_kwonlyargcount]
        self.names = named[:count]
        others = iter(code.co_varnames[len(named) :])
        if code.co_flags & 4:
            self.rest = next(others)
        if code.co_flags & 8:
            self.rest_named = next(others)
        defaults = dict(zip(reversed(self.names), reversed(fn.__defaults__ or ()), strict=False)) | (fn.__kwdefaults__ or {})
        for name, annotation in told.items():
            kind = resolved(annotation, fn)
            if name == "return":
                self.gives = kind
            elif kind is not Any:
                # `x: int = None` means what it says of None, too.
                self.takes[name] = typing.Optional[kind] if defaults.get(name, name) is None else kind  # noqa: UP045 (not all have |)
                self.texts[name] = annotation if type(annotation) is str else show(annotation)

    def at(self, place: int) -> str | None:
        """The name of the parameter that takes the positional argument at a place; None where that is not known."""
        return self.names[place] if place < len(self.names) else self.rest

    def named(self, name: str) -> str | None:
        return name if name in self.takes or self.rest_named is None else self.rest_named


def resolved(annotation: Any, fn: Callable[..., Any]) -> Any:
    """The type that an annotation of ``fn`` stands for; Any where that cannot be told."""
    if type(annotation) is str:
        return _of_text(annotation, fn.__globals__, "." in fn.__qualname__)
    return type(None) if annotation is None else annotation


def _of_text(text: str, names: Mapping[str, Any], inner: bool) -> Any:
    import ast

    if len(text) > _LONGEST:
        return Any
    try:
        return _Reader(names, inner).of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return Any


class _Reader:
    """
    :param names: the globals of the function.
    :param inner: is it defined in a function or class, whose own names are not known here? Then only Python's names are sure.
    """

    def __init__(self, names: Mapping[str, Any], inner: bool) -> None:
        self.names = names
        self.inner = inner

    def of(self, tree: Any) -> Any:
        import ast

        match tree:
            case ast.Constant(value=None):
                return type(None)
            case ast.Constant(value=str() as text):
                return _of_text(text, self.names, self.inner)
            case ast.Name() | ast.Attribute():
                return self.sure(self.found(tree))
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return either([self.of(left), self.of(right)])
            case ast.Subscript(value=value, slice=inside):
                return self.subscript(self.sure(self.found(value)), inside)
        return Any

    def found(self, tree: Any) -> Any:
        """What a name, or an attribute of a module, stands for."""
        import ast

        if isinstance(tree, ast.Name):
            return self.names.get(tree.id, vars(builtins).get(tree.id, Any))
        if isinstance(tree, ast.Attribute):
            owner = self.found(tree.value)
            return vars(owner).get(tree.attr, Any) if type(owner) is types.ModuleType else Any
        return Any

    def sure(self, found: Any) -> Any:
        if found is None:
            return type(None)
        if self.inner and isinstance(found, type) and vars(found).get("__module__", found.__module__) not in _KNOWN_MODULES:
            return Any
        return found

    def subscript(self, origin: Any, inside: Any) -> Any:
        import ast

        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        if origin is typing.Literal:
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            return typing.Literal[tuple(values)] if len(values) == len(parts) else Any
        if origin is typing.Annotated:
            return self.of(parts[0])
        if origin is typing.Union or origin is typing.Optional:
            return either([*(self.of(part) for part in parts), *([type(None)] if origin is typing.Optional else [])])
        plain = typing.get_origin(origin) or origin  # of typing.List
        if plain is collections.abc.Callable:
            return collections.abc.Callable
        if isinstance(plain, type) and plain in _GENERIC:
            args = [... if isinstance(part, ast.Constant) and part.value is ... else self.of(part) for part in parts]
            return plain[tuple(args)]  # type: ignore[index]
        if isinstance(origin, type) and origin.__name__ == "LazyResult" and origin.__module__ == "cascade_compiler.lazy":
            return types.GenericAlias(origin, (self.of(parts[0]),))
        return origin if isinstance(origin, type) else Any  # a generic class of the user's: its parameters mean what it says


def either(parts: Sequence[Any]) -> Any:
    """The union of some types; unknown where one of them is."""
    return Any if any(part is Any or type(part) is str for part in parts) else typing.Union[tuple(parts)]  # noqa: UP007


def show(kind: Any) -> str:
    """A type as one would write it."""
    if kind is type(None):
        return "None"
    if type(kind) is type or (isinstance(kind, type) and not typing.get_args(kind)):
        return str(kind.__qualname__)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(show(one) for one in args)
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(one) for one in args)}]"
    if isinstance(origin, type) and args:
        return f"{origin.__qualname__}[{', '.join('...' if one is ... else show(one) for one in args)}]"
    text = str(kind).replace("typing.", "")
    return text if len(text) <= 80 else f"{text[:77]}..."
