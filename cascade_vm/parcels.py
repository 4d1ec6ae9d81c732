"""What goes to another process and comes back: pickled here, not by the executor, so that what cannot be carried fails its own call alone.

An executor pickles and unpickles in threads of its own. What fails there reaches the caller without the name of the task, and where it is
the far end that cannot unpickle, the whole pool is broken, for everybody who uses it. So its queues carry bytes and text only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cascade_vm.errors import NotSendable, RemoteError


class Answer(NamedTuple):
    """What comes back. ``data`` is the pickled value or exception, or None where there can be none; ``text`` is for that case."""

    failed: bool
    data: bytes | None
    text: str
    traceback: str = ""  # as Python prints it: the object itself cannot leave its process


class RemoteTraceback(Exception):
    """The cause of an exception that came from another process: its traceback there, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def pack(label: str, fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """The arguments of a call of ``label``, which is ``fn``.

    :raises NotSendable: one of them cannot be pickled.
    """
    try:
        return _pickled((tuple(args), dict(kwargs)))
    except Exception as fault:
        at_fault = next((f"argument {name}" for name, value in _named(fn, args, kwargs) if not _can_be_sent(value)), "arguments")
        raise NotSendable(
            f"{label} runs in another process, and its {at_fault} cannot be sent there: {_shown(fault)}. Pass plain data, and open "
            f"what cannot be pickled (a connection, a file, a lock) inside the task; or run it with mode='thread'"
        ) from fault


def perform(label: str, find: Callable[[], Callable[..., Any]], parcel: bytes) -> Answer:
    """In the other process: call what ``find`` gives with the arguments in ``parcel``."""
    import pickle

    try:
        fn = find()
    except Exception as failure:
        return _failed(failure)
    try:
        args, kwargs = pickle.loads(parcel)
    except Exception as fault:
        return Answer(True, None, f"the arguments of {label} were pickled, but cannot be unpickled in its process: {_shown(fault)}")
    try:
        value = fn(*args, **kwargs)
    except BaseException as failure:
        return _failed(failure)
    try:
        return Answer(False, _pickled(value), type(value).__qualname__)
    except Exception as fault:
        return Answer(True, None, f"{label} ran in another process, and what it returned cannot be sent back: {_advice(value, fault)}")


def unpack(label: str, answer: Answer) -> tuple[bool, Any]:
    """(has it failed, value or exception)."""
    import pickle

    failed, data, text, traceback = answer
    lost = RemoteError(text) if traceback else NotSendable(text)
    result: Any
    try:
        result = lost if data is None else pickle.loads(data)
        if failed and not isinstance(result, BaseException):
            raise TypeError(f"it came back as {type(result).__qualname__!r}")
    except Exception as fault:
        if not failed:
            return True, NotSendable(
                f"{label} ran in another process and returned an object of {text!r}, which was pickled, but cannot be unpickled here: "
                f"{_shown(fault)}"
            )
        result = RemoteError(_lost(text, fault))
    if traceback:
        result.__cause__ = RemoteTraceback(traceback)
    return failed, result


def _failed(failure: BaseException) -> Answer:
    import traceback

    own = failure.__traceback__
    text = "".join(traceback.format_exception(failure.with_traceback(own.tb_next if own is not None else None)))
    shown = _shown(failure)
    try:
        return Answer(True, _pickled(failure), shown, text)
    except Exception as fault:
        return Answer(True, None, _lost(shown, fault), text)


def _lost(shown: str, fault: BaseException) -> str:
    return (
        f"the task failed in another process with {shown}. The exception itself cannot be carried from there ({_shown(fault)}): an "
        f"exception class can be if its __init__ takes what it passes on to Exception.__init__, or if it has a __reduce__"
    )


def _advice(value: Any, fault: BaseException) -> str:
    from cascade_vm.continuation import CONTINUATIONS

    if type(value) in CONTINUATIONS:
        return (
            f"{_shown(fault)}. A graph to go on with belongs to the process that runs it: return plain data, and let a task of another "
            f"mode, which takes that, return the graph"
        )
    return f"{_shown(fault)}. Return plain data, or run it with mode='thread'"


def _pickled(value: Any) -> bytes:
    from multiprocessing.reduction import ForkingPickler  # knows more types than pickle: sockets, connections

    return bytes(ForkingPickler.dumps(value))


def _can_be_sent(value: Any) -> bool:
    try:
        _pickled(value)
    except Exception:
        return False
    return True


def _named(fn: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    import inspect

    try:
        names = list(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # Python cannot tell it
        names = []
    for at, value in enumerate(args):
        yield names[at] if at < len(names) else str(at), value
    yield from kwargs.items()


def _shown(failure: BaseException) -> str:
    """The type and the text of an exception."""
    kind = type(failure)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = str(failure)
    except Exception:  # its own doing
        text = "(its text cannot be shown)"
    return f"{name}: {text}" if text else name
