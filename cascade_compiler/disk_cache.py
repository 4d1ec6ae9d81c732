"""The disk cache: large graphs that a process has lowered need not be lowered by the next one (``CASCADE_CACHE_DIR``).

A graph is traced, captured and digested as ever, since nothing less says what it is. What is kept is the blueprint that lowering makes of
it, as a program with one shape, in ``<folder>/<versions>-<build>/<2 digits>/<key>.cbp``. What comes from there is loaded and verified as
any artifact is, and fitted to the graph as any shape that a program brings along. Whatever is wrong with an entry, it is a miss, and
is written anew.

Verifying is not free, either: small graphs, and those of few strands, are lowered faster than they are read (decision 0020 has the
figures). They never come here.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from cascade_compiler.emit import Emitted
from cascade_compiler.ir import Graph, Kind
from cascade_compiler.lowering import lower
from cascade_compiler.passes import DEFAULT_PASSES, Pass
from cascade_compiler.shape import digest
from cascade_compiler.shape_fit import fitted
from cascade_vm import constants, isa, load_limits
from cascade_vm.blueprint import Blueprint, Instruction, Strand
from cascade_vm.container import CONTAINER_VERSION
from cascade_vm.errors import LoadError, VerifyError
from cascade_vm.program import ProgramData
from cascade_vm.route_data import Shape

LEAST = 1_000  # operations of a graph that is looked for
ONE_IN = 20  # of its operations must wait, or choose: each such begins strands, and strands are what takes the time
DEFAULT_MB = 256

_NAME = re.compile(r"[0-9a-f]{40}\.cbp")
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{40}\.cbp\.[0-9]+-[0-9]+\.tmp")
_LOOK_AGAIN = 16  # the folder is measured when a process has written this fraction of the bound to it
_PATIENCE_NS = 3_600_000_000_000  # no writer takes that long
_PROVENANCE = "disk cache key"

# What a program must begin with: nothing is ever begun with that of an entry.
_NOTHING = Blueprint("0" * 40, 1, 1, (), (), (Instruction(isa.RETURN, 1, reads=(0,)),), (Strand(0, 1),))


def lowered(graph: Graph, cycle_id: str, passes: tuple[Pass, ...] = DEFAULT_PASSES) -> tuple[Emitted, bool]:
    """``lower``, or what a process before has kept of it; and whether it was that.

    :param passes: those to apply; none where they have been applied already: the graph is then no longer what ``cycle_id`` says, and is
        looked up by all that lowering goes by.
    """
    folder = _folder(graph)
    if folder is None:
        return lower(graph, cycle_id, passes), False
    key = _key(graph, cycle_id, passes)
    path = folder / f"{CONTAINER_VERSION}.{isa.ISA_VERSION}.{isa.OPSET_VERSION}-{_build()}" / key[:2] / f"{key}.cbp"
    kept = _read(path, key, cycle_id, graph)
    if kept is not None:
        return kept, True
    made = lower(graph, cycle_id, passes)
    if all(one.portable for one in made.tasks) and all(one.portable for one in made.resources):  # others have no names in an artifact
        _write(folder, path, key, made)
    return made, False


def _folder(graph: Graph) -> Path | None:
    """The folder, where there is one to be used, and it is worth it."""
    named = os.environ.get("CASCADE_CACHE_DIR")
    if not named or not _pays(graph):
        return None
    folder = Path(named).expanduser()
    why = _why_not(folder)
    if why is not None:
        _warn(f"the disk cache {folder} (CASCADE_CACHE_DIR) is not used: {why}. Graphs are compiled as without it")
        return None
    return folder if _bound() else None


def _pays(graph: Graph) -> bool:
    """Would it take longer to lower ``graph`` than to read what was made of it?"""
    if len(graph.ops) < LEAST:
        return False
    sample = graph.ops[::8]
    return sum([op.waits for op in sample]) * ONE_IN >= len(sample)


def _why_not(folder: Path) -> str | None:
    """What forbids to use ``folder``; it is made where there is none."""
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.stat()
    except (OSError, ValueError) as fault:
        return f"it cannot be made or read ({getattr(fault, 'strerror', None) or fault})"
    if hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0):
        return "it belongs to another user, who could put other programs there"
    if os.name == "posix" and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "other users can write there, and could put other programs there: chmod go-w"
    try:
        _build()
    except OSError:
        return "the files of Cascade cannot be listed, so nothing would tell which version of it wrote an entry"
    return None


def _key(graph: Graph, cycle_id: str, passes: tuple[Pass, ...]) -> str:
    state = hashlib.blake2b(f"{cycle_id} {[one.__name__ for one in passes]}".encode(), digest_size=20)
    if not passes:
        places = [(op.slot, op.detail if op.kind is Kind.LITERAL else 0) for op in graph.ops]
        state.update(f"{digest(graph)} {len(graph.literals)} {places}".encode())
    return state.hexdigest()


@functools.cache
def _build() -> str:
    """Which compiler this is: the names, sizes and times of its files, which is what Python goes by when it looks for compiled modules."""
    here = Path(__file__).parent
    found = []
    for folder in (here, here / "passes", here.parent / "cascade_vm"):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    told = entry.stat()
                    found.append((folder.name, entry.name, told.st_size, told.st_mtime_ns))
    return hashlib.blake2b(repr(sorted(found)).encode(), digest_size=8).hexdigest()


def _read(path: Path, key: str, cycle_id: str, graph: Graph) -> Emitted | None:
    """What is kept at ``path``, if that is what it should be."""
    from cascade_vm.codec import load

    try:
        program = load(path)
    except (LoadError, VerifyError):  # not there, mostly; or damaged, or made by somebody else
        return None
    data = program.data
    if program.provenance.get(_PROVENANCE) != key or len(data.shapes) != 1:
        return None
    blueprint = data.blueprints[data.shapes[0].blueprint]
    found = fitted(blueprint, data.shapes[0].sites, graph) if blueprint.cycle_id == cycle_id else None
    if found is not None:
        with contextlib.suppress(OSError):
            os.utime(path)  # used: it is not among the oldest any more
    return found


def _write(folder: Path, path: Path, key: str, made: Emitted) -> None:
    """Keep ``made``, whole or not at all; another process may be writing the same."""
    from cascade_vm.codec import to_bytes
    from cascade_vm.load_limits import DEFAULT

    shape = Shape(1, made.slots)
    data = ProgramData(_NOTHING.cycle_id, (_NOTHING, made.blueprint), (constants.encode(None),), (0,), (), shapes=(shape,))
    content = to_bytes(data, {}, provenance={_PROVENANCE: key})
    if len(content) > min(DEFAULT.bytes, _bound()):
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        for one in (path.parent.parent, path.parent):
            one.mkdir(mode=0o700, exist_ok=True)
        try:
            with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _count(folder, len(content))
    except FileNotFoundError:  # somebody has just emptied the folder
        return
    except OSError as fault:
        _warn(f"nothing can be written to the disk cache {folder} (CASCADE_CACHE_DIR): {fault.strerror or fault}")


_WRITTEN: dict[Path, int] = {}  # how much this process has written to a folder since that was last measured


def _count(folder: Path, amount: int) -> None:
    """:raises OSError: the folder cannot be read any more."""
    bound = _bound()
    written = _WRITTEN.get(folder)
    if written is None or written + amount > bound // _LOOK_AGAIN:
        _WRITTEN[folder] = 0
        make_room(folder, bound)
    else:
        _WRITTEN[folder] = written + amount


def make_room(folder: Path, bound: int) -> None:
    """Remove the entries that have not been used for longest, until all are ``bound`` bytes or less; and what writers have left behind that
    crashed. Other files are left alone.

    :raises OSError: the folder cannot be read.
    """
    entries = []
    abandoned = time.time_ns() - _PATIENCE_NS
    for entry in _entries(folder):
        try:
            told = entry.stat(follow_symlinks=False)
        except OSError:  # another process has removed it
            continue
        if _NAME.fullmatch(entry.name):
            entries.append((told.st_mtime_ns, told.st_size, entry.path))
        elif _LEFT_BEHIND.fullmatch(entry.name) and told.st_mtime_ns < abandoned:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= bound:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
        total -= size


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files two folders below."""
    for build in _folders(folder):
        for digits in _folders(Path(build.path)):
            with contextlib.suppress(OSError), os.scandir(digits.path) as found:
                yield from found


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [entry for entry in found if entry.is_dir(follow_symlinks=False)]


def _bound() -> int:
    """How many bytes the folder may hold; 0: nothing is kept."""
    text = os.environ.get("CASCADE_CACHE_MB", "")
    try:
        amount = float(text) if text else DEFAULT_MB
        return max(0, int(amount * 1_000_000))
    except (ValueError, OverflowError):
        _warn(f"CASCADE_CACHE_MB is {text!r}, which is no number of megabytes: {DEFAULT_MB} is taken")
        return DEFAULT_MB * 1_000_000


_SAID: set[str] = set()


def _warn(text: str) -> None:
    """Say it, once in a process."""
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, RuntimeWarning, stacklevel=2)
