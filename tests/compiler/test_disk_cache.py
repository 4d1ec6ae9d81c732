"""What lowering made is found again by the next process; whatever else lies in the folder is a miss."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import graphs
import msgspec
import pytest

from cascade_compiler import (
    Jump,
    Param,
    Router,
    bind,
    cache_clear,
    cache_info,
    common,
    compile,
    cycle_id,
    gather,
    inject,
    resource,
    run,
    select_jump,
    task,
)
from cascade_compiler import disk_cache as disk
from cascade_compiler.capture import capture
from cascade_compiler.lowering import lower
from cascade_compiler.shape import digest
from cascade_vm import isa, load, loads
from cascade_vm.codec import to_bytes
from cascade_vm.container import CONTAINER_VERSION, pack, unpack
from cascade_vm.keys import HmacKey
from cascade_vm.signing import sign

ROOT = Path(__file__).parents[2]


@task
def inc(x: Any) -> Any:
    return x + 1


@task
async def later(x: Any) -> Any:
    return x + 1


@task
def add(*values: Any, **more: Any) -> Any:
    return sum((*values, *more.values()))


@task(pure=True)
def doubled(x: int) -> int:
    if x < 0:
        raise ValueError(x)
    return 2 * x


@task
def turn(n: int, step: int = 1) -> Any:
    return Jump("again", n - step) if n > 0 else Jump("end", n)


@resource(scope="step")
def disk_cache_seat() -> Any:
    yield "seat"


@task
def sit(at: Any = inject("disk_cache_seat")) -> Any:
    return at


class Rows(list[Any]):
    pass


def target(n: Any = 3) -> Any:
    """Some strands: an awaited call, and one of each kind beside it."""
    return gather(add(inc(n), later(inc(n))), later(n))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache that small graphs come to as well."""
    found = tmp_path / "cache"
    monkeypatch.setenv("CASCADE_CACHE_DIR", str(found))
    monkeypatch.delenv("CASCADE_CACHE_MB", raising=False)
    monkeypatch.setattr(disk, "LEAST", 1)
    monkeypatch.setattr(disk, "_SAID", set())
    monkeypatch.setattr(disk, "_WRITTEN", {})
    cache_clear()
    yield found
    cache_clear()


def entries(folder: Path) -> list[Path]:
    """All files, but for the secret."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / "secret")


def lowered(lazy: Any) -> tuple[Any, bool]:
    graph = capture(lazy)
    return disk.lowered(graph, digest(graph))


def anew(lazy: Any) -> tuple[Any, int, int]:
    """The value of a run in a process that knows no shape, and how many it compiled and found."""
    cache_clear()
    value = run(lazy)
    info = cache_info()
    return value, info.compiles, info.from_disk


def only_entry(folder: Path) -> Path:
    (path,) = entries(folder)
    return path


# --- what is kept -----------------------------------------------------------------------------------------------------

CONSTRUCTS: dict[str, Callable[[], Any]] = {
    "a constant": lambda: [1],
    "inputs": lambda: add(Param("x", int), Param("y", int, 2)),
    "policies": lambda: [later(1).with_retry(2, on=ValueError), inc(1).with_constraints(slots=inc(0)), later(2).with_timeout(9)],
    "maps": lambda: [add.map([1], [3]), add.map([5], **common(y=inc(1))), inc.map([1, inc(2)], max_concurrency=1).with_retry(2)],
    "conditions": lambda: gather(inc(1).run_if(inc(0), otherwise=later(2)), Router("a", {"a": inc(1), "b": later(2)}, default=inc(3))),
    "a tail in a route": lambda: Router(1, {1: later(1), 2: inc(2)}),
    "resources": lambda: gather(sit(), inject("disk_cache_seat")),
    "jumps": lambda: gather(bind(turn(2), select_jump({"again": turn(0, inc(0)), "end": None})), inc(1)),
    "containers by an instance": lambda: Rows([inc(1), later(2)]),
    "twins": lambda: gather(doubled(inc(1)), doubled(inc(1)), later(1)),
    "order": lambda: inc(1).after(later(1)),
}


@pytest.mark.parametrize("make", CONSTRUCTS.values(), ids=CONSTRUCTS)
def test_what_is_found_is_what_lowering_makes(make: Callable[[], Any], folder: Path) -> None:
    fresh, first = lowered(make())
    found, second = lowered(make())
    assert (first, second) == (False, True)
    for name in ("blueprint", "tasks", "slots", "resources"):
        assert getattr(found, name) == getattr(fresh, name), name
    assert [(one.errors, one.cache) for one in found.live] == [(one.errors, one.cache) for one in fresh.live]


@pytest.mark.parametrize("seed", range(60))
def test_random_graphs_are_found(seed: int, folder: Path) -> None:
    fresh, first = lowered(graphs.random_target(seed, choices=seed % 2 == 1))
    found, second = lowered(graphs.random_target(seed, choices=seed % 2 == 1))
    assert (first, second) == (False, True)
    assert (found.blueprint, found.slots) == (fresh.blueprint, fresh.slots)


def test_runs_find_it(folder: Path) -> None:
    assert anew(target()) == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)
    assert anew(target(5)) == ([13, 6], 0, 1)  # the same shape
    assert anew(inc(target()[1])) == (5, 1, 0)  # another


def test_compile_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile(target()).to_bytes()
    made = len(entries(folder))
    monkeypatch.setattr(disk, "lower", None)  # is not called any more
    assert compile(target()).to_bytes() == first
    assert len(entries(folder)) == made
    assert loads(first).run() == [9, 4]


@pytest.mark.parametrize("fold", [False, True])
def test_what_becomes_of_constants_is_part_of_the_key(fold: bool, folder: Path) -> None:
    """One cycle_id, and other instructions: calls on constants are made, or fail and stay"""
    cases = [[doubled(1), doubled(-1), later(1)], [doubled(-1), doubled(1), later(1)], [doubled(1), doubled(1), later(1)]]
    assert len({cycle_id(case) for case in cases}) == 1
    plain = [bytes(compile(case, fold=fold).to_bytes()) for case in cases]
    assert [compile(case, fold=fold).to_bytes() for case in cases] == plain
    with pytest.MonkeyPatch.context() as without:
        without.delenv("CASCADE_CACHE_DIR")
        assert [compile(case, fold=fold).to_bytes() for case in cases] == plain


def test_a_program_may_be_run_from_it(folder: Path) -> None:
    compile(target())
    program = compile(target(Param("n", int)))
    assert program.run(n=3) == compile(target(Param("n", int))).run(n=3) == [9, 4]


def test_another_compiler_has_entries_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    anew(target())
    monkeypatch.setattr(disk, "_build", lambda: "another")
    assert anew(target()) == ([9, 4], 1, 0)
    assert len(entries(folder)) == 2


def test_the_build_says_which_files_there_are() -> None:
    build = disk._build()
    assert build.startswith(f"{CONTAINER_VERSION}.{isa.ISA_VERSION}.{isa.OPSET_VERSION}-")
    assert disk._build.__wrapped__() == build  # the same when they are listed again


# --- what does not come here ------------------------------------------------------------------------------------------


def test_nothing_without_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        monkeypatch.delenv("CASCADE_CACHE_DIR") if value is None else monkeypatch.setenv("CASCADE_CACHE_DIR", value)
        assert anew(target()) == ([9, 4], 1, 0)
        compile(target())
    assert not folder.exists()


def test_small_graphs_are_lowered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("CASCADE_CACHE_DIR", str(folder))

    def wide(n: int) -> Any:
        return add(*[later(1) for _ in range(n)])

    assert [lowered(wide(200))[1], lowered(wide(200))[1]] == [False, False]
    assert not folder.exists()
    assert [lowered(wide(300))[1], lowered(wide(300))[1]] == [False, True]


def test_tasks_that_have_no_name_elsewhere(folder: Path) -> None:
    @task
    def local(x: int) -> int:
        return x

    for _ in range(2):
        assert anew(gather(local(1), later(1))) == ([1, 2], 1, 0)
    assert entries(folder) == []


def test_a_task_that_has_been_defined_again(folder: Path) -> None:
    """With another signature, it is none that the entry was made for"""
    source = "from cascade_compiler import task\n@task\ndef again(x{}): return x + 1\n"
    first: dict[str, Any] = {"__name__": "defined_again"}
    second: dict[str, Any] = {"__name__": "defined_again"}
    exec(source.format(""), first)
    assert anew(first["again"](1)) == (2, 1, 0)
    exec(source.format(", y=2"), second)
    assert anew(second["again"](1)) == (2, 1, 0)  # written anew
    assert anew(second["again"](1)) == (2, 0, 1)
    assert len(entries(folder)) == 1


# --- what else may lie there ------------------------------------------------------------------------------------------


def signed(path: Path, content: bytes) -> bytes:
    """An artifact, signed as entries of the folder are."""
    secret = disk._secret(path.parents[2])
    assert secret is not None
    return sign(content, secret)


def changed(path: Path, change: Callable[[Any], Any] = lambda one: one, shapes: Any = None, key: str | None = None) -> bytes:
    """The entry with another blueprint in it, unsigned."""
    program = load(path)
    nothing, blueprint = program.data.blueprints
    data = msgspec.structs.replace(program.data, blueprints=(nothing, change(blueprint)))
    if shapes is not None:
        data = msgspec.structs.replace(data, shapes=shapes(data.shapes))
    return to_bytes(data, {}, provenance={"disk cache key": path.stem if key is None else key})


def with_another_secret(path: Path) -> bytes:
    return sign(changed(path), HmacKey(b"another secret, also of 32 bytes, or more", "disk-cache"))


def with_instruction(blueprint: Any, at: int, **fields: Any) -> Any:
    instructions = list(blueprint.instructions)
    instructions[at] = msgspec.structs.replace(instructions[at], **fields)
    return msgspec.structs.replace(blueprint, instructions=tuple(instructions))


def with_symbol(blueprint: Any, **fields: Any) -> Any:
    first, *others = blueprint.symbols
    return msgspec.structs.replace(blueprint, symbols=(msgspec.structs.replace(first, **fields), *others))


def patched(content: bytes, at: int, what: bytes) -> bytes:
    return content[:at] + what + content[at + len(what) :]


replace = msgspec.structs.replace
OTHER = compile(inc(1)).to_bytes()
BAD: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda path: b"",
    "cut short in its header": lambda path: path.read_bytes()[:20],
    "cut short": lambda path: path.read_bytes()[:-1],
    "cut short in the middle": lambda path: path.read_bytes()[:200],
    "garbage": lambda path: b"garbage" * 100,
    "a pickle": lambda path: b"\x80\x04cos\nsystem\n.",
    "a bit flipped": lambda path: patched(path.read_bytes(), 150, bytes([path.read_bytes()[150] ^ 1])),
    "a newer container": lambda path: patched(path.read_bytes(), 8, struct.pack(">H", 99)),
    "a newer instruction set": lambda path: patched(path.read_bytes(), 10, struct.pack(">H", isa.ISA_VERSION + 1)),
    "a program of another kind": lambda path: OTHER,
    "an entry that is not signed": lambda path: changed(path),
    "an entry that is signed with another secret": with_another_secret,
    "a register out of range": lambda path: changed(path, lambda one: with_instruction(one, 0, dst=10**6)),
    "a read of what was never written": lambda path: changed(
        path, lambda one: with_instruction(replace(one, registers=one.registers + 1), 0, reads=(one.registers,))
    ),
    "another program under the old signature": lambda path: (
        changed(path, lambda one: with_instruction(one, 0, position=9)) + bytes(unpack(path.read_bytes()).signatures)
    ),
    # Signed, as those are that have been moved here, or were written before a task was defined anew.
    "another cycle_id": lambda path: signed(path, changed(path, lambda one: replace(one, cycle_id="a" * 40))),
    "an entry under another name": lambda path: signed(path, changed(path, key="b" * 40)),
    "an entry without its name": lambda path: signed(path, changed(path, key="")),
    "another task": lambda path: signed(path, changed(path, lambda one: with_symbol(one, name="os:system"))),
    "another version of a task": lambda path: signed(path, changed(path, lambda one: with_symbol(one, version="9"))),
    "fewer literals": lambda path: signed(path, changed(path, lambda one: replace(one, literals=one.literals - 1))),
    "no shape": lambda path: signed(path, to_bytes(loads(OTHER).data, {}, provenance={"disk cache key": path.stem})),
    "two shapes": lambda path: signed(path, changed(path, shapes=lambda known: known * 2)),
    "the wrong shape": lambda path: signed(path, changed(path, shapes=lambda known: (replace(known[0], blueprint=0, sites=(-1,)),))),
    "sites of other calls": lambda path: signed(
        path, changed(path, shapes=lambda known: (replace(known[0], sites=tuple(99 for _ in known[0].sites)),))
    ),
    "another form of content": lambda path: signed(path, pack(msgspec.msgpack.encode([1, 2]), msgspec.msgpack.encode([{}, {}, {}]))),
    "another form of what is about it": lambda path: signed(path, pack(bytes(unpack(path.read_bytes()).content), b"\x90")),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_entry_is_a_miss_and_is_replaced(bad: Callable[[Path], bytes], folder: Path) -> None:
    anew(target())
    path = only_entry(folder)
    good = path.read_bytes()
    path.write_bytes(bad(path))
    assert path.read_bytes() != good
    assert anew(target()) == ([9, 4], 1, 0)
    assert path.read_bytes() == good
    assert anew(target()) == ([9, 4], 0, 1)
    assert entries(folder) == [path]


def test_an_entry_that_is_no_file(folder: Path) -> None:
    anew(target())
    path = only_entry(folder)
    path.unlink()
    os.mkfifo(path)  # reading it would wait for ever
    assert anew(target()) == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)


@pytest.mark.parametrize("content", [None, b"", b"short", b"x" * 33, b"y" * 32])
def test_a_secret_that_is_lost_or_damaged(content: bytes | None, folder: Path) -> None:
    """Another is drawn, and what was signed with the old one is a miss"""
    anew(target())
    path = folder / "secret"
    path.unlink() if content is None else path.write_bytes(content)
    assert anew(target()) == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)
    assert len(path.read_bytes()) == 32
    assert path.stat().st_mode & 0o077 == 0


def test_a_secret_that_changes_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes draw one, and the later stays"""
    first = os.urandom
    monkeypatch.setattr(os, "urandom", lambda count: b"z" * count)
    anew(target())
    monkeypatch.setattr(os, "urandom", first)
    (folder / "secret").write_bytes(b"w" * 32)
    assert anew(target()) == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)


def test_truncations_are_misses(folder: Path) -> None:
    anew(target())
    path = only_entry(folder)
    good = path.read_bytes()
    graph = capture(target())
    secret = disk._secret(folder)
    assert secret is not None
    for length in (*range(0, len(good), 7), len(good) - 1):
        path.write_bytes(good[:length])
        assert disk._read(path, path.stem, digest(graph), graph, secret) is None
    path.write_bytes(good)
    assert disk._read(path, path.stem, digest(graph), graph, secret) is not None


# --- folders that cannot be used --------------------------------------------------------------------------------------


def warned(lazy: Any) -> str:
    """What is said when it is run twice; both give the value."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert anew(lazy) == ([9, 4], 1, 0)
        assert anew(lazy) == ([9, 4], 1, 0)
    (only,) = said
    assert only.category is RuntimeWarning
    return str(only.message)


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file")
    monkeypatch.setenv("CASCADE_CACHE_DIR", str(tmp_path / "file" / "below"))
    text = warned(target())
    assert "it cannot be made or read" in text
    assert "CASCADE_CACHE_DIR" in text


def test_a_name_that_no_folder_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CASCADE_CACHE_DIR", "x" * 5000)
    assert "it cannot be made or read" in warned(target())


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to(mode: int, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(mode)
    assert "other users can write there, and could put other programs there: chmod go-w" in warned(target())
    assert entries(folder) == []


def test_a_folder_of_somebody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o755)
    found = folder.stat().st_uid or 1000
    os.chown(folder, found, -1) if os.geteuid() == 0 else None
    monkeypatch.setattr(os, "geteuid", lambda: found + 1)
    assert "it belongs to another user" in warned(target())


def test_what_it_makes_is_for_its_user_alone(folder: Path) -> None:
    old = os.umask(0)
    try:
        anew(target())
    finally:
        os.umask(old)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert anew(target()) == ([9, 4], 0, 1)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_cannot_be_written(fault: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise OSError(fault, os.strerror(fault))

    monkeypatch.setattr(os, "replace", fails)
    assert os.strerror(fault) in warned(target())
    assert entries(folder) == []  # nothing half written stays


def test_a_folder_that_is_emptied_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_ = os.replace

    def emptied(source: Any, to: Any) -> None:
        os.unlink(source)
        replace_(source, to)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", emptied)
        assert anew(target()) == ([9, 4], 1, 0)  # without a warning, which would be an error here
    assert anew(target()) == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)


# --- how much is kept -------------------------------------------------------------------------------------------------


def fill(folder: Path, count: int) -> list[Path]:
    """Entries of 1,000 bytes, each a second older than the one before."""
    place = folder / "old" / "00"
    place.mkdir(parents=True, exist_ok=True)
    paths = [place / f"{number:040x}.cbp" for number in range(count)]
    for age, path in enumerate(paths):
        path.write_bytes(b"x" * 1000)
        os.utime(path, (10**9 - age, 10**9 - age))
    return paths


def test_the_oldest_are_removed(folder: Path) -> None:
    paths = fill(folder, 10)
    disk.make_room(folder, 4500)
    assert entries(folder) == paths[:4]
    disk.make_room(folder, 4000)
    assert entries(folder) == paths[:4]


def test_writing_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    paths = fill(folder, 10)
    monkeypatch.setenv("CASCADE_CACHE_MB", "0.005")
    anew(target())
    kept = entries(folder)
    assert 3 <= len(kept) <= 5
    assert set(paths[:3]) <= set(kept)
    assert any(path not in paths for path in kept)
    assert sum(path.stat().st_size for path in kept) <= 5000


def test_it_is_measured_again_when_enough_was_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(disk, "make_room", lambda folder, bound: measured.append(bound))
    monkeypatch.setenv("CASCADE_CACHE_MB", "0.02")  # a sixteenth of it are 1,250 bytes, two or three entries
    for n in range(12):
        lowered(gather(*[later(at) for at in range(n + 1)]))
    assert 3 <= len(measured) <= 10
    assert set(measured) == {20_000}


def test_what_is_used_is_not_old(folder: Path) -> None:
    anew(target())
    path = only_entry(folder)
    os.utime(path, (10**9, 10**9))
    anew(target())
    assert time.time() - path.stat().st_mtime < 1000


def test_other_files_are_left_alone(folder: Path) -> None:
    (old,) = fill(folder, 1)
    others = [folder / "notes.txt", folder / "old" / f"{'a' * 40}.cbp", old.with_name("own.cbp"), old.with_suffix(".txt")]
    left_behind, in_work = old.with_name(f".{old.name}.12-34.tmp"), old.with_name(f".{old.name}.12-35.tmp")
    for path in (*others, left_behind, in_work):
        path.write_bytes(b"x" * 1000)
        os.utime(path, (10**9, 10**9))
    os.utime(in_work)
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / old.name).write_bytes(b"x")
    (folder / "old" / "11").symlink_to(outside, target_is_directory=True)
    disk.make_room(folder, 0)
    assert entries(folder) == sorted([*others, in_work])
    assert (outside / old.name).exists()


@pytest.mark.parametrize("text", ["0", "-1", "0.0000001"])
def test_nothing_is_kept_where_nothing_may_be(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASCADE_CACHE_MB", text)
    for _ in range(2):
        assert anew(target()) == ([9, 4], 1, 0)
    assert entries(folder) == []
    monkeypatch.delenv("CASCADE_CACHE_MB")
    anew(target())
    monkeypatch.setenv("CASCADE_CACHE_MB", text)
    assert anew(target()) == ([9, 4], 1, 0)  # nor is anything looked for


@pytest.mark.parametrize("text", ["many", "nan", "inf", "1e999"])
def test_a_bound_that_is_no_number(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASCADE_CACHE_MB", text)
    with pytest.warns(RuntimeWarning, match="CASCADE_CACHE_MB is .* 256 is taken"):
        first = anew(target())
    assert first == ([9, 4], 1, 0)
    assert anew(target()) == ([9, 4], 0, 1)  # and says nothing more


# --- several at once --------------------------------------------------------------------------------------------------

_PROCESS = """
import sys
from pathlib import Path
from cascade_compiler import cache_clear, disk_cache, gather, run
disk_cache.LEAST = 1
from process_flows import inc, later
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    for n in range(1, 8):
        cache_clear()
        assert run(gather(*[inc(later(at)) for at in range(n)])) == [at + 2 for at in range(n)]
        if turn % 3 == 2:
            disk_cache.make_room(Path(sys.argv[1]), 0)
print("done")
"""


def test_two_processes_at_once(folder: Path, tmp_path: Path) -> None:
    """They write, read and remove the same entries, and nobody sees half of one"""
    (tmp_path / "process_flows.py").write_text(
        "from cascade_compiler import task\n@task\ndef inc(x): return x + 1\n@task\nasync def later(x): return x + 1\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTHONWARNINGS": "error"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, str(folder)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in both:
        said, faults = one.communicate(timeout=60)
        assert (said, faults, one.returncode) == ("done\n", "", 0)
    assert all(path.suffix == ".cbp" for path in entries(folder))
    secret = disk._secret(folder)
    assert secret is not None
    for path in entries(folder):
        assert load(path, keys=[secret]).provenance == {"disk cache key": path.stem}


def test_threads(folder: Path) -> None:
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for n in range(30):
                made, _ = lowered(gather(*[later(at) for at in range(n % 5 + 1)]))
                assert made.blueprint == lower(capture(gather(*[later(at) for at in range(n % 5 + 1)]))).blueprint
        except BaseException as fault:  # told by the test below
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert faults == []
    assert len(entries(folder)) == 5
