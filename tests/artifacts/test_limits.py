"""Limits hold on an artifact's bytes, before anything of them is decoded: L06 names the limit, and memory stays within bounds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import artifact_flows as flows
import hostile
import hostile_programs
import jump_flows
import msgspec
import pytest
from damage import body_of, sealed

from cascade_compiler import compile
from cascade_vm import LoadError, LoadLimits, VerifyError, constants, load, loads
from cascade_vm.container import pack

TIMES = 10  # what refusing a hostile file may take, in sizes of it
LEAST = 1_500_000  # bytes that any file may take, however small


@pytest.fixture(scope="module")
def small() -> bytes:
    return compile(flows.small).to_bytes()


class TestEachLimit:
    @pytest.mark.parametrize("limit", ["instructions", "strands", "constants", "blueprints", "inputs", "entries", "text"])
    def test_one_less_is_too_little(self, limit):
        """What is over a limit is refused with L06, its name, both numbers and the remedy; at the limit it is read"""
        artifact = compile(flows.small).to_bytes()
        low, high = 0, 10_000
        while low < high:  # the least with which it is read
            middle = (low + high) // 2
            try:
                loads(artifact, limits=LoadLimits(**{limit: middle}))
                high = middle
            except LoadError:
                low = middle + 1
        assert low > 0
        told = rf"is [\d,]+, and the limit is {low - 1:,} \({limit}\).*LoadLimits\({limit}=\d+\)"
        with pytest.raises(LoadError, match=told) as caught:
            loads(artifact, limits=LoadLimits(**{limit: low - 1}))
        assert caught.value.code == "L06"

    def test_the_remedy_is_one(self, small):
        """Whoever gives what the error says reads the file, or learns of the next limit"""
        given: dict[str, int] = {"instructions": 1, "strands": 1, "constants": 1, "entries": 1}
        for _ in range(40):
            try:
                loads(small, limits=LoadLimits(**given))
                break
            except LoadError as refused:
                name, number = str(refused).rsplit("LoadLimits(", 1)[1].rstrip(")").split("=")
                assert int(number) > given[name]
                given[name] = int(number)
        assert given["instructions"] > 1

    def test_size(self, small, tmp_path):
        path = tmp_path / "small.cbp"
        path.write_bytes(small)
        limits = LoadLimits(bytes=len(small) - 1)
        for refused in (lambda: loads(small, limits=limits), lambda: load(path, limits=limits)):
            told = rf"size in bytes is {len(small):,}, and the limit is {len(small) - 1:,} \(bytes\)"
            with pytest.raises(LoadError, match=told) as caught:
                refused()
            assert caught.value.code == "L06"
        assert load(path, limits=LoadLimits(bytes=len(small))).cycle_id

    @pytest.mark.parametrize("depth", [1, 5, 64])
    def test_depth_of_constants(self, depth):
        """Of containers: one in another is one deep"""
        nested: list[object] = []
        for _ in range(depth):
            nested = [nested]
        artifact = pack(hostile.program(constants=hostile.array([msgspec.msgpack.encode(constants.encode(nested))])), hostile.ABOUT)
        with pytest.raises(VerifyError):  # since it has no instructions
            loads(artifact, limits=LoadLimits(depth=depth))
        with pytest.raises(LoadError, match=rf"nesting of a constant is {depth}, and the limit is {depth - 1} \(depth\)"):
            loads(artifact, limits=LoadLimits(depth=depth - 1))

    @pytest.mark.parametrize("bits", [100, 70_000])
    def test_integers_in_constants(self, bits):
        artifact = pack(
            hostile.program(constants=hostile.array([msgspec.msgpack.encode(constants.encode([2 ** (bits - 1)]))])), hostile.ABOUT
        )
        with pytest.raises(LoadError, match=r"largest integer, in bits, is [\d,]+, .*\(integer\)"):
            loads(artifact, limits=LoadLimits(integer=bits - 20))
        with pytest.raises(VerifyError):
            loads(artifact, limits=LoadLimits(integer=bits + 3))

    def test_values_in_constants(self):
        """Of all constants together"""
        one = msgspec.msgpack.encode(constants.encode([[1], [2], ["x" * 60]]))
        artifact = pack(hostile.program(constants=hostile.array([one, one])), hostile.ABOUT)
        with pytest.raises(LoadError, match=r"number of values in constants is 20, and the limit is 19 \(values\)"):
            loads(artifact, limits=LoadLimits(values=19))
        with pytest.raises(VerifyError):
            loads(artifact, limits=LoadLimits(values=20))

    def test_operands_in_long_lists(self):
        """Of all lists together; those of 16 and less are not counted"""
        instruction = b"\x9a\x03\x02\xff\xdc\x00\x14" + b"\x01" * 20 + b"\x00\x90\x9f" + b"\x01" * 15 + b"\x90\xff\x90"
        artifact = pack(hostile.of_instructions([instruction] * 2), hostile.ABOUT)
        with pytest.raises(LoadError, match=r"number of operands in long lists is 40, and the limit is 39 \(operands\)"):
            loads(artifact, limits=LoadLimits(operands=39))
        with pytest.raises(VerifyError):
            loads(artifact, limits=LoadLimits(operands=40))

    def test_what_is_no_limit(self):
        for wrong in ({"bytes": -1}, {"depth": 65}, {"text": 1.5}, {"instructions": None}, {"entries": True}):
            with pytest.raises(ValueError, match="the limit"):
                LoadLimits(**wrong)

    def test_defaults(self):
        assert (LoadLimits().bytes, LoadLimits().depth, LoadLimits().instructions) == (16 * 1024 * 1024, 64, 1_000_000)


class TestForm:
    """What is malformed is told with its place; what is not canonical, as that"""

    @pytest.fixture
    def tree(self):
        return msgspec.msgpack.decode(body_of(compile(jump_flows.counted).to_bytes()))

    def refused(self, tree, canonical=True):
        body = tree if isinstance(tree, bytes) else msgspec.msgpack.encode(tree)
        with pytest.raises(LoadError) as caught:
            loads(sealed(compile(flows.small).to_bytes(), body))
        assert caught.value.code == ("L07" if canonical else "L08")
        return str(caught.value)

    def test_places(self, tree):
        tree[1][0][5][0][3] = ["x"]
        assert "has no integer of 0 or more (byte " in self.refused(tree)
        assert ", blueprints[0].instructions[0].reads[0])" in self.refused(tree)

    def test_fields(self, tree):
        tree[1][0][5][0].append(5)
        assert "has an array of 11, which should be one of 10" in self.refused(tree)

    def test_claims(self):
        """Of more than there is: told as that, before anything is made of it"""
        told = self.refused(hostile.program()[:43] + b"\xdd\xff\xff\xff\xff\x90\x90")
        assert "claims 4,294,967,295 members of the array, and there are 2 bytes left (byte 43, blueprints)" in told

    def test_no_instruction_for_it(self, tree):
        blueprint = tree[1][0]
        blueprint[6] = blueprint[6] * (len(blueprint[5]) + 1)
        assert "strands in a blueprint that can use" in self.refused(tree)

    def test_longer_forms_of_integers(self, small):
        """Every integer that is not in its shortest form is refused, and every length"""
        body = body_of(small)
        assert body[0] == 0x98
        assert "shortest form" in self.refused(b"\xdc\x00\x08" + body[1:], canonical=False)
        at = body.index(b"\x9c") + 1 + 42  # registers, behind the cycle_id
        for longer in (b"\xcc", b"\xcd\x00", b"\xce\x00\x00\x00", b"\xcf" + b"\x00" * 7):
            assert "shortest form" in self.refused(body[:at] + longer + body[at:], canonical=False)

    def test_text_that_is_not_utf8(self, tree):
        tree[1][0][4][0][1] = "1\xff"
        body = msgspec.msgpack.encode(tree).replace("1\xff".encode(), b"1\xc3\x28")
        assert "text that is not UTF-8" in self.refused(body)

    def test_keys_out_of_order(self, small):
        about = b"\x93\x80\x80\x82\xa1b\xa1x\xa1a\xa1x"
        with pytest.raises(LoadError, match="keys are not in order") as caught:
            loads(pack(body_of(small), about))
        assert caught.value.code == "L08"


def _families(size: int) -> Iterator[tuple[str, bytes]]:
    for name, body in hostile.bodies(size):
        yield name, pack(body, hostile.ABOUT)
        yield f"{name}, cut", pack(body[:-1], hostile.ABOUT)
    for name, about in hostile.abouts(size):
        yield name, pack(hostile.program(), about)
        yield f"{name}, cut", pack(hostile.program(), about[:-1])


def _large(size: int) -> Iterator[tuple[str, bytes]]:
    """Everything that only the verifier refuses, or that is refused before."""
    yield from _families(size)
    for name, body in hostile_programs.programs(size // 15):
        yield name, pack(body, hostile.ABOUT)


# Of some kinds of tables and values those that took most when programs were decoded as a whole before they were verified.
WORST = {"instructions of arrays", "strands that wait for twelve", "constant of lists", "choices", "negative literals"}


@pytest.mark.parametrize(("size", "names"), [(150_000, WORST), pytest.param(200_000, None, marks=pytest.mark.slow)], ids=["worst", "all"])
def test_memory_while_refusing(size, names):
    """Every hostile family, with a correct hash, wrong only at its very end, or in a rule that only the verifier knows"""
    for _, artifact in _families(2_000):  # what is made once, and kept
        with contextlib.suppress(LoadError, VerifyError):
            loads(artifact)
    too_much, seen = [], set()
    for name, artifact in _large(size):
        if names is not None and name not in names:
            continue
        seen.add(name)
        tracemalloc.start()
        with pytest.raises((LoadError, VerifyError)):
            loads(artifact)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if peak > max(LEAST, TIMES * len(artifact)):
            too_much.append(f"{name}: {peak / len(artifact):.1f} times {len(artifact):,} bytes")
    assert too_much == []
    assert names is None or seen == names


@pytest.mark.slow
def test_memory_of_small_files():
    """These are decoded as a whole first"""
    for name, artifact in _large(15_000):
        tracemalloc.start()
        with contextlib.suppress(LoadError, VerifyError):
            loads(artifact)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < LEAST, name


def test_the_hostile_families_on_a_small_stack():
    """In another process: none of them ends it"""
    code = f"""
import sys, threading
sys.path[:0] = [{str(Path(__file__).parent)!r}]
import hostile
from cascade_vm import LoadError, VerifyError, loads
from cascade_vm.container import pack
sys.setrecursionlimit(1_000_000)
threading.stack_size(32 * 1024)
refused = 0
def read():
    global refused
    for name, body in hostile.bodies(20_000):
        for content in (body, body[:-1]):
            try:
                loads(pack(content, hostile.ABOUT))
            except (LoadError, VerifyError):
                refused += 1
thread = threading.Thread(target=read)
thread.start()
thread.join()
print(refused)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert int(shown.stdout) == 2 * len(list(hostile.bodies(10))), shown.stderr
