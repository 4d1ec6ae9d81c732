"""Events as records of the standard library's ``logging``: one line for each, with fields.

    from cascade_vm.logs import log_events

    logging.basicConfig(level=logging.INFO)
    log_events()

It has to be switched on: a run whose events are told is linked anew, and that shall not depend on which level some logger happens to
have. What is shown is then logging's business, as ever: the loggers are ``cascade.run`` and ``cascade.task``.

    DEBUG    runs and calls begin; calls finish, are skipped, cached, blocked, cancelled
    INFO     a run has returned, or its target was skipped
    WARNING  an attempt failed, and another follows; a run was cancelled
    ERROR    a call or a run has failed

Each record has the fields ``event``, ``run``, and where they apply ``call``, ``task``, ``index``, ``attempt``, ``seconds``, ``status``,
``reason``, ``wait`` and ``error``: as attributes, which formatters for JSON take in. Arguments are not among them unless asked for, since
they may be secret; texts of errors are, shortened.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cascade_vm.events import (
    CacheHit,
    Event,
    RunFinished,
    RunStarted,
    Subscription,
    TaskBlocked,
    TaskEvent,
    TaskFailed,
    TaskFinished,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
    Watcher,
    subscribe,
)
from cascade_vm.notes import short

logging.getLogger("cascade").addHandler(logging.NullHandler())  # silent until the application says where to

_RUN = logging.getLogger("cascade.run")
_TASK = logging.getLogger("cascade.task")
_STATUSES = {"returned": logging.INFO, "skipped": logging.INFO, "cancelled": logging.WARNING, "failed": logging.ERROR}


def log_events(level: int | str = logging.DEBUG, *, arguments: bool = False) -> Subscription:
    """Log the events of the runs that begin from now on, until the subscription that is returned is closed.

    :param level: what is less is not even looked at, whatever the loggers are set to: a number or a name, such as "INFO".
    :param arguments: log the arguments of each call, too, shortened, at DEBUG, as a line of its own. They may be secret.
    :raises ValueError: there is no such level. :raises TypeError: it is neither number nor name.
    """
    if isinstance(level, str):
        names = logging.getLevelNamesMapping()
        if level not in names:
            raise ValueError(f"level {level!r} is not known: expected one of {', '.join(names)}")
        level = names[level]
    if isinstance(level, bool) or not isinstance(level, int):
        raise TypeError(f"level takes a level of logging, such as logging.INFO or 'INFO', not {level!r}")
    return subscribe(_WithArguments(level) if arguments else LogEvents(level))


class LogEvents(Watcher):
    """A subscriber that logs."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._runs: dict[int, float] = {}  # when they began
        self._calls: dict[tuple[int, int], float] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, TaskEvent):
            self._task(event)
        elif isinstance(event, RunStarted):
            self._runs[event.run] = event.time
            self._log(_RUN, logging.DEBUG, event, "run %d begins", event.run)
        elif isinstance(event, RunFinished):
            seconds = event.time - self._runs.pop(event.run, event.time)
            text = ": %s" if event.error else ""
            given = (event.run, event.status, seconds, *((event.error,) if event.error else ()))
            fields = {"seconds": seconds, "status": event.status, "error": event.error}
            self._log(_RUN, _STATUSES[event.status], event, f"run %d {{}} after %.6g s{text}".replace("{}", "%s"), *given, **fields)

    def _task(self, event: TaskEvent) -> None:
        name = event.task if event.index is None else f"{event.task}[{event.index}]"
        name += f" attempt {event.attempt}" if event.attempt > 1 else ""
        if isinstance(event, TaskStarted):
            self._calls[event.run, event.call] = event.time
            self._log(_TASK, logging.DEBUG, event, "%s begins", name)
            return
        if isinstance(event, TaskBlocked):
            self._log(_TASK, logging.DEBUG, event, "%s waits for %s", name, event.reason, reason=event.reason)
            return
        seconds = event.time - self._calls.pop((event.run, event.call), event.time)
        if isinstance(event, TaskFinished):
            self._log(_TASK, logging.DEBUG, event, "%s finished after %.6g s", name, seconds, seconds=seconds)
        elif isinstance(event, TaskFailed):
            cancelled = event.error.startswith("CancelledError: ")
            text = "%s was cancelled after %.6g s" if cancelled else "%s failed after %.6g s: %s"
            given = (name, seconds) if cancelled else (name, seconds, event.error)
            self._log(_TASK, logging.DEBUG if cancelled else logging.ERROR, event, text, *given, seconds=seconds, error=event.error)
        elif isinstance(event, TaskRetrying):
            text = "%s failed after %.6g s, and is tried again in %.6g s: %s"
            fields = {"seconds": seconds, "wait": event.wait, "error": event.error}
            self._log(_TASK, logging.WARNING, event, text, name, seconds, event.wait, event.error, **fields)
        elif isinstance(event, TaskSkipped):
            self._log(_TASK, logging.DEBUG, event, "%s is skipped: %s", name, event.reason, reason=event.reason)
        elif isinstance(event, CacheHit):
            self._log(_TASK, logging.DEBUG, event, "%s has its value from a cache", name)

    def _log(self, logger: logging.Logger, level: int, event: Event, text: str, *given: Any, **fields: Any) -> None:
        if level < self._level or not logger.isEnabledFor(level):
            return
        extra: dict[str, Any] = {"event": type(event).__name__, "run": event.run}
        if isinstance(event, TaskEvent):
            extra |= {"call": event.call, "task": event.task, "index": event.index, "attempt": event.attempt}
        logger.log(level, text, *given, extra=extra | fields)


class _WithArguments(LogEvents):
    def around(self, run: int, call: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[None]:
        """Log the arguments of a call; it is run in nothing."""
        if self._level <= logging.DEBUG and _TASK.isEnabledFor(logging.DEBUG):
            shown = [short(one) for one in args] + [f"{name}={short(one)}" for name, one in kwargs.items()]
            extra = {"event": "Arguments", "run": run, "call": call, "arguments": shown}
            _TASK.debug("call %d of run %d has the arguments (%s)", call, run, ", ".join(shown), extra=extra)
        return nullcontext()
