"""The disk cache: large graphs that a process has lowered need not be lowered by the next one (``CASCADE_CACHE_DIR``).

A graph is traced, captured and digested as ever, since nothing less says what it is. What is kept is the blueprint that lowering makes of
it, as a program with one shape, in ``<folder>/<versions>-<build>/<2 digits>/<key>.cbp``. It is fitted to the graph as any shape that a
program brings along. Whatever is wrong with an entry, it is a miss, and is written anew.

To verify an entry takes as long as to lower the graph again. So an entry is signed, with a secret that lies in the folder for its user
alone, and one that is not signed with it is not even decoded: what has that signature came out of this user's own compiler, whose work is
not verified in the process that it works in, either. Decision 0020 has the reasons and the figures.
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
from typing import TYPE_CHECKING

import msgspec

from cascade_compiler.emit import Emitted
from cascade_compiler.ir import Graph, Kind
from cascade_compiler.lowering import lower
from cascade_compiler.passes import DEFAULT_PASSES, Pass
from cascade_compiler.shape import digest
from cascade_compiler.shape_fit import fitted
from cascade_vm import constants, isa
from cascade_vm.about import About
from cascade_vm.blueprint import Blueprint, Instruction, Strand
from cascade_vm.container import CONTAINER_VERSION, unpack
from cascade_vm.errors import LoadError
from cascade_vm.program import ProgramData
from cascade_vm.route_data import Shape

if TYPE_CHECKING:
    from cascade_vm.signing import SigningKey

LEAST = 500  # operations of a graph that is looked for: less is lowered before a file is opened
DEFAULT_MB = 256

_NAME = re.compile(r"[0-9a-f]{40}\.cbp")
_LEFT_BEHIND = re.compile(r"\.[0-9a-f]{40}\.cbp\.[0-9]+-[0-9]+\.tmp")
_LOOK_AGAIN = 16  # the folder is measured when a process has written this fraction of the bound to it
_PATIENCE_NS = 3_600_000_000_000  # no writer takes that long
_PROVENANCE = "disk cache key"

_DECODER = msgspec.msgpack.Decoder(ProgramData)
_ABOUT_DECODER = msgspec.msgpack.Decoder(About)

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
    path = folder / _build() / key[:2] / f"{key}.cbp"
    secret = _secret(folder)
    kept = _read(path, key, cycle_id, graph, secret) if secret is not None else None
    if kept is not None:
        return kept, True
    made = lower(graph, cycle_id, passes)
    if all(one.portable for one in made.tasks) and all(one.portable for one in made.resources):  # others have no names in an artifact
        _write(folder, path, key, made, secret)
    return made, False


def _folder(graph: Graph) -> Path | None:
    """The folder, where there is one to be used, and it is worth it."""
    named = os.environ.get("CASCADE_CACHE_DIR")
    if not named or len(graph.ops) < LEAST:
        return None
    folder = Path(named).expanduser()
    why = _why_not(folder)
    if why is not None:
        _warn(f"the disk cache {folder} (CASCADE_CACHE_DIR) is not used: {why}. Graphs are compiled as without it")
        return None
    return folder if _bound() else None


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
    state = hashlib.blake2b(f"{_build()} {cycle_id} {[one.__name__ for one in passes]}".encode(), digest_size=20)
    if not passes:
        places = [(op.slot, op.detail if op.kind is Kind.LITERAL else 0) for op in graph.ops]
        state.update(f"{digest(graph)} {len(graph.literals)} {places}".encode())
    return state.hexdigest()


@functools.cache
def _build() -> str:
    """Which compiler this is: its versions, and the names, sizes and times of its files, which is what Python goes by when it looks for
    compiled modules."""
    here = Path(__file__).parent
    found = []
    for folder in (here, here / "passes", here.parent / "cascade_vm"):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    told = entry.stat()
                    found.append((folder.name, entry.name, told.st_size, told.st_mtime_ns))
    digits = hashlib.blake2b(repr(sorted(found)).encode(), digest_size=8).hexdigest()
    return f"{CONTAINER_VERSION}.{isa.ISA_VERSION}.{isa.OPSET_VERSION}-{digits}"


def _secret(folder: Path) -> SigningKey | None:
    """What entries are signed with, drawn by the first process that comes here; None where there is none yet."""
    from cascade_vm.keys import MIN_SECRET, HmacKey

    found = _content(folder / "secret", MIN_SECRET)
    return HmacKey(found, "disk-cache") if found is not None and len(found) == MIN_SECRET else None


def _drawn(folder: Path) -> SigningKey | None:
    """A new secret. Where two processes draw one, the later stays, and what the other signs is a miss.

    :raises OSError: nothing can be written there.
    """
    from cascade_vm.keys import MIN_SECRET

    _put(folder / "secret", os.urandom(MIN_SECRET))
    return _secret(folder)


def _content(path: Path, most: int) -> bytes | None:
    """What is in a file, of ``most`` bytes at most; None where there is no such file."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            told = os.fstat(file.fileno())
            return file.read() if stat.S_ISREG(told.st_mode) and told.st_size <= most else None
    except OSError:
        return None


def _put(path: Path, content: bytes) -> None:
    """Write a file for this user alone, whole or not at all.

    :raises OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, key: str, cycle_id: str, graph: Graph, secret: SigningKey) -> Emitted | None:
    """What is kept at ``path``, if that is what it should be."""
    from cascade_vm import signing

    content = _content(path, _bound())
    if content is None:
        return None
    try:
        signing.check(content, [secret])
        parts = unpack(content)
        told, data = _ABOUT_DECODER.decode(parts.about), _DECODER.decode(parts.content)
    except (LoadError, msgspec.MsgspecError):  # damaged, or put there by somebody else
        return None
    if told.provenance.get(_PROVENANCE) != key or len(data.shapes) != 1:  # signed, and moved here from elsewhere
        return None
    blueprint = data.blueprints[data.shapes[0].blueprint]
    found = fitted(blueprint, data.shapes[0].sites, graph) if blueprint.cycle_id == cycle_id else None
    if found is not None:
        with contextlib.suppress(OSError):
            os.utime(path)  # used: it is not among the oldest any more
    return found


def _write(folder: Path, path: Path, key: str, made: Emitted, secret: SigningKey | None) -> None:
    """Keep ``made``, whole or not at all; another process may be writing the same."""
    from cascade_vm import signing
    from cascade_vm.codec import to_bytes

    shape = Shape(1, made.slots)
    data = ProgramData(_NOTHING.cycle_id, (_NOTHING, made.blueprint), (constants.encode(None),), (0,), (), shapes=(shape,))
    content = to_bytes(data, {}, provenance={_PROVENANCE: key})
    if len(content) > _bound():
        return
    try:
        secret = secret or _drawn(folder)
        if secret is None:
            return
        for one in (path.parent.parent, path.parent):
            one.mkdir(mode=0o700, exist_ok=True)
        _put(path, signing.sign(content, secret))
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
