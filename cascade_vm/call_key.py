"""The key of a call in a cache (S19): 20 bytes, the same in every process for the same task and the same arguments.

Arguments are written down as constants are (docs/artifact-format.md), so types are told apart: 1, True, 1.0 and "1" have four keys, and
-0.0 is not 0.0. What a resource gives is no argument of the call: its name stands for it. The members of a set have no order. Those of a
dict have: a task can see the order, and may go by it, so two dicts that are equal but were filled in another order have different keys.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cascade_vm import constants
from cascade_vm.caching import NotCacheable

if TYPE_CHECKING:
    import inspect

_KEY_BYTES = 20
_FORMAT = "cascade call 1"  # changes when the same call gets another key than before
# No msgpack value begins with this byte.
_DEFAULT = b"\xc1"  # a default that is no plain data
_INJECTED = b"\xc1\xc1"  # what a resource gives
_MEMBERS = b"\xc1\xc1\xc1"  # several arguments of one parameter, with such among them

_signatures: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


class Injected:
    """Stands for the value of a resource among the arguments of a call: the run gives it, and it may be different in each."""

    __slots__ = ("symbol",)

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol


def call_key(
    symbol: str,
    version: str,
    signature: inspect.Signature | None,
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> bytes:
    """The key of the call ``fn(*args, **kwargs)`` of the task ``symbol`` in ``version``.

    Arguments are bound to the signature and defaults applied, so ``f(1)`` and ``f(x=1)`` have one key, and so has ``f()`` if 1 is the
    default. The order of keyword arguments means nothing. A default that is no plain data is known by being the default.

    :param args: with an ``Injected`` in the place of what a resource gives. :param kwargs: the same.
    :param signature: None: that of ``fn``. If Python cannot tell it, or the arguments do not fit, they are taken as they are.
    :raises NotCacheable: an argument is no plain data.
    """
    digest = hashlib.blake2b(constants.encode((_FORMAT, symbol, version)), digest_size=_KEY_BYTES)
    if signature is None:
        signature = _signature_of(fn)
    # A name and a value in turn: each ends by itself, so no two lists of arguments make the same bytes.
    for name, value, default in _arguments(signature, args, kwargs):
        digest.update(constants.encode(name))
        try:
            encoded = _encoded(value)
        except constants.NotEncodable as fault:
            if value is not default:
                raise NotCacheable(
                    f"{symbol.replace(':', '.')} has a cache, and its argument {name}{fault.path} is {fault.what}, of which no key can be "
                    f"made. Pass plain data (numbers, text, bytes, dates, and lists, tuples, sets and dicts of such), make the object "
                    f"inside the task, or leave the cache off"
                ) from None
            encoded = _DEFAULT
        digest.update(encoded)
    return digest.digest()


def _encoded(value: Any) -> bytes:
    """:raises constants.NotEncodable: it is no plain data."""
    if type(value) is Injected:
        return _INJECTED + constants.encode(value.symbol)
    if type(value) in (tuple, dict) and value:
        named = list(value.items() if type(value) is dict else enumerate(value))
        if any(type(part) is Injected for _, part in named):
            return _MEMBERS + constants.encode(len(named)) + b"".join(constants.encode(name) + _encoded(part) for name, part in named)
    return constants.encode(value)


_NONE = object()  # in the place of a default: there is none


def _arguments(signature: inspect.Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Each parameter, its value, and its default."""
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # the call itself will say it better
            pass
        else:
            bound.apply_defaults()
            found = []
            for name, value in bound.arguments.items():
                parameter = signature.parameters[name]
                if parameter.kind is parameter.VAR_KEYWORD:
                    value = _in_order(value)
                found.append((name, value, parameter.default if parameter.default is not parameter.empty else _NONE))
            return found
    return [("args", tuple(args), _NONE), ("kwargs", _in_order(kwargs), _NONE)]


def _in_order(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: kwargs[name] for name in sorted(kwargs)}


def _signature_of(fn: Callable[..., Any]) -> inspect.Signature | None:
    try:
        known = _signatures.get(fn, _NONE)
    except TypeError:  # neither hashed nor referred to weakly: looked up each time
        return _looked_up(fn)
    if known is _NONE:
        known = _looked_up(fn)
        _signatures[fn] = known
    return known  # type: ignore[no-any-return]


def _looked_up(fn: Callable[..., Any]) -> inspect.Signature | None:
    import inspect

    try:
        return inspect.signature(fn)
    except (TypeError, ValueError):
        return None
