"""``--events``: what happens in runs, as a file of JSON, one object a line, in the order in which things happen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from cascade_compiler.cli import output
from cascade_compiler.cli.failures import UsageError
from cascade_vm.events import Event, subscribe

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class EventLog:
    """Writes the events of the runs that begin within its block to a file, as they come; all are in it when the block has ended."""

    def __init__(self, path: Path) -> None:
        """:raises UsageError: the file cannot be written."""
        try:
            self._file = path.open("wb")
        except OSError as fault:
            raise UsageError(f"--events {path}: cannot be written: {fault.strerror or fault}") from None
        self._path = path
        self.complete = True  # as far as is known
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()  # a task may run graphs on a thread of its own
        self._fault: OSError | None = None

    def __enter__(self) -> EventLog:
        self._subscription = subscribe(self)
        return self

    def __call__(self, event: Event) -> None:
        line = self._encoder.encode(event) + b"\n"
        with self._lock:
            if self._fault is None and not self._file.closed:
                try:
                    self._file.write(line)
                except OSError as fault:  # told once, at the end: the run does not depend on it
                    self._fault = fault

    def __exit__(self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None) -> None:
        self._subscription.close()
        with self._lock:
            try:
                self._file.close()
            except OSError as fault:
                self._fault = self._fault or fault
        if self._fault is not None:
            self.complete = False
            output.complain(f"error: --events {self._path}: it is not complete: {self._fault.strerror or self._fault}")
