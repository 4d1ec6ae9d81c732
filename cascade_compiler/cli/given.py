"""The inputs of one run of a command, from where they come: ``-p``, a file, and whoever is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade_compiler.cli import parameters, params_file, prompting
from cascade_vm.errors import InputError
from cascade_vm.inputs import MISSING, bind
from cascade_vm.program import Input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cascade_vm.inputs import Declared


class Given:
    """The inputs of one run."""

    def __init__(self, texts: dict[str, str], path: Path | None, *, may_ask: bool) -> None:
        """:raises UsageError: the file is no file of inputs."""
        self.texts = texts
        self.path = path
        self.from_file = {} if path is None else {name: one for name, one in params_file.read(path).items() if name not in texts}
        self.may_ask = may_ask

    def read(self, declared: Sequence[Declared], said: Mapping[str, str]) -> dict[str, Any]:
        """The values by name, converted only as far as text has to be read.

        :raises InputError: a text should be JSON, and is not; or, before anything is asked, what is given is not right.
        """
        try:
            given = self.from_file | parameters.values(declared, self.texts)
            if not self.may_ask or all(one.name in given or one.default is not MISSING for one in declared if one.source == "param"):
                if self.path is not None:
                    bind(declared, given)
                return given
            # Nobody shall be asked for one input while another is wrong: as if those that are missing had defaults.
            bind([Input(one.name, one.type, None if one.default is MISSING else one.default, one.source, None) for one in declared], given)
        except InputError as fault:
            if self.path is not None and self.from_file:
                fault.add_note(f"read from {self.path}: {', '.join(map(str, self.from_file))}")
            raise
        return given | prompting.ask(declared, given, said)
