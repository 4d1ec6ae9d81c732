"""Damaged and hostile bytes: refused with one clear error, or run safely (P13)."""

from __future__ import annotations

import contextlib
import random
import re

import artifact_flows as flows
import msgspec
import pytest
from damage import EXPECTED, about_of, behaves, body_of, mutate, sealed, with_about

from cascade_compiler import Param, compile
from cascade_vm import LinkError, LoadError, LoadLimits, VerifyError, assemble, disassemble, loads, verify


@pytest.fixture(scope="module")
def small() -> bytes:
    return compile(flows.small).to_bytes()


class TestDamage:
    def test_truncated_at_every_length(self, small):
        """LoadError, at each of them"""
        for length in range(len(small)):
            with pytest.raises(LoadError):
                loads(small[:length])

    def test_something_appended(self, small):
        for extra in (b"\x00", b"x" * 10, small):
            with pytest.raises(LoadError):
                loads(small + extra)

    @pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF, 0x20])
    def test_every_byte_changed(self, small, mask):
        """Rejected, or a program that behaves the same: only the source map is outside the hash"""
        expected = loads(small).run(x="5")
        for at in range(len(small)):
            damaged = bytearray(small)
            damaged[at] ^= mask
            behaves(bytes(damaged), same_as=expected)

    @pytest.mark.parametrize("mask", [0x01, 0x02, 0x80, 0xFF])
    def test_every_byte_of_the_content_changed_and_sealed_again(self, small, mask):
        """P13: with a correct hash; rejected, or it runs safely"""
        body = body_of(small)
        for at in range(len(body)):
            damaged = bytearray(body)
            damaged[at] ^= mask
            behaves(sealed(small, bytes(damaged)))

    def test_the_content_cut_and_sealed_again(self, small):
        """P13"""
        body = body_of(small)
        for length in range(len(body)):
            with pytest.raises(LoadError):
                loads(sealed(small, body[:length]))

    @pytest.mark.parametrize("seed", range(8))
    def test_changed_structure(self, small, seed):
        """P13: numbers, text and lists of the decoded content changed at random, canonically encoded and sealed"""
        rng = random.Random(seed)
        encoder = msgspec.msgpack.Encoder(order="deterministic")
        outcomes = set()
        for _ in range(400):
            tree = msgspec.msgpack.decode(body_of(small))
            for _ in range(rng.choice([1, 1, 2, 3])):
                mutate(tree, rng)
            try:
                body = encoder.encode(tree)
            except (OverflowError, RecursionError, ValueError):
                continue
            outcomes.add(behaves(sealed(small, body)))
        assert outcomes & {"LoadError", "VerifyError"}

    @pytest.mark.parametrize("seed", range(4))
    def test_changed_source_maps(self, seed):
        """The source map is outside the hash: whatever it says, the failure is the task's"""
        content = compile(flows.failing).to_bytes()
        rng = random.Random(seed)
        for _ in range(300):
            tree = msgspec.msgpack.decode(about_of(content))
            (maps,) = tree[0].values()
            mutate(maps, rng)
            if rng.random() < 0.1:
                tree[0] = rng.choice([{}, {"other": maps}, {**tree[0], "other": maps}, [], None, {"": maps}])
            if rng.random() < 0.2:
                mutate(tree, rng)
            try:
                program = loads(with_about(content, tree))
                disassemble(program)
            except (LoadError, VerifyError):
                continue
            with pytest.raises(ValueError, match="4"):
                program.link(drift="ignore").run(x=4)

    def test_every_byte_of_a_source_map_changed(self):
        content = compile(flows.failing).to_bytes()
        for at in range(len(content) - len(about_of(content)), len(content)):
            for mask in (0x01, 0x80, 0xFF, 0x10):
                damaged = bytearray(content)
                damaged[at] ^= mask
                try:
                    program = loads(bytes(damaged))
                    disassemble(program)
                except (LoadError, VerifyError):
                    continue
                with pytest.raises(ValueError, match="4"):
                    program.link(drift="ignore").run(x=4)

    @pytest.mark.parametrize(
        "content",
        [b"", b"\x89", b"\x89CBP\r\n\x1a\n", b"\x89CBP\n\x1a\n" + b"\0" * 60, b"PK\x03\x04" * 30, b"\0" * 200, b"[" * 1_000_000,
         b"\x91" * 1_000_000,
         b"\x89CBP\r\n\x1a\n" + b"\xff" * 100],
        ids=lambda content: repr(content[:12]),
    )  # fmt: skip
    def test_what_is_no_artifact(self, content):
        with pytest.raises(LoadError):
            loads(content)

    @pytest.mark.parametrize(
        "body",
        [b"\x91" * 1_000_000, b"\x81\xa1k" * 100_000, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
         b"\xdb\xff\xff\xff\xff",
         b"\xc1", b"\xc0", b"\x90", b"\xd4\x01\x00", b"\xa1\xff", b"", b"\x95" + b"\xc0" * 5, b"\x95\xa0\x90\x90\x90\x90"],
        ids=lambda body: repr(body[:8]),
    )  # fmt: skip
    def test_hostile_content(self, small, body):
        """Deep, long, claimed lengths of 4 G, no UTF-8, an extension type, the wrong form: one error type"""
        with pytest.raises((LoadError, VerifyError)):
            loads(sealed(small, body))

    @pytest.mark.parametrize(
        "constant",
        [b"", b"\xc1", b"\x91" * 5_000, b"\x92\xa3int\xa1z", b"\x92\xa7Decimal\xa1x", b"\x92\xa4date\xa1x", b"\x80", b"\x91\x01",
         b"\x92\xa3set\x91\xa4list", b"\x94\xa5range\x01\x01\x00", b"\x92\xa4UUID\xa1x", b"\x91\xa7unknown",
         b"\xd6\xff\x00\x00\x00\x00",
         b"\x92\xa5range\xa1x", b"\x93\xa4dict\x91\xa4list\x01", b"\x93\xa4time\xa510:00\x05", b"\x92\xa4dict\x01",
         b"\x92\xa3int\x01",
         b"\x94\xa9timedelta\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00", b"\x93\xa7complex\xa1x\xa1y", b"\x92\xa3int\xa0",
         b"\x93\xa8datetime\xaa2026-01-31\xa1x", b"\x92\xa7Decimal\x91\xa4list",
         b"\x92\xa9bytearray\xcf\x00\x00\x00\xff\xff\xff\xff\xff",
         b"\x92\xa3int\xda\xff\xff" + b"f" * 0xFFFF + b"x"],
        ids=lambda constant: repr(constant[:16]),
    )  # fmt: skip
    def test_hostile_constants(self, small, constant):
        """A constant's bytes are decoded too: at load or link, never in the middle of a run"""
        tree = msgspec.msgpack.decode(body_of(small))
        tree[2] = [constant] * len(tree[2])
        with pytest.raises((LoadError, VerifyError, LinkError)):
            loads(sealed(small, msgspec.msgpack.encode(tree))).link()

    @pytest.mark.parametrize(
        "text",
        ["", "os.system", "int[", "list[" * 1_000, "__import__('os')", "Literal[]", "Literal[x]", "int | ", "dict[int]",
         "list[int, int]", "frozenset[]",
         "int | | str", "Literal['a'", "list[Literal]", "tuple[..., int]", "tuple[int, ..., int]", "Literal['\\x']",
         "Literal['\\N{nothing}']", "1", "list[...]",
         "dict[..., int]", "tuple[...]", "set[list[int]]", "Literal['\\777']", "Literal['\n']", "Literal['\0']",
         "Literal['\ud800']", "None | None",
         "int | " * 5_000 + "int", f"Literal[{'9' * 5_000}]", "Literal[-]", "list[int]]", "Literal[None, True, -5, 'x']",
         "complex", "object", "Literal[" + "1," * 9_999 + "1]"],
        ids=lambda text: repr(text[:24]),
    )  # fmt: skip
    def test_hostile_types_of_inputs(self, small, text):
        """A type's text is refused, or describes a type; either way nothing else than a fault of the input comes of it"""
        tree = msgspec.msgpack.decode(body_of(small))
        tree[4][0][2] = text
        try:
            content = sealed(small, msgspec.msgpack.encode(tree))
        except UnicodeEncodeError:
            return
        try:
            program = loads(content)
            repr(program.inputs)
            program.run(x="5")
        except EXPECTED:
            return
        except TypeError as error:
            assert "in task" in "".join(getattr(error, "__notes__", []))  # noqa: PT017

    @pytest.mark.parametrize("kind", ["list-like", "tuple-like", "dict-like", "set-like", "frozenset-like"])
    @pytest.mark.parametrize("prototype", [1, "text", (), [], {}, set(), None], ids=repr)
    def test_a_container_like_something_else(self, kind, prototype):
        """P13: a prototype of the wrong type is refused, or fails as a TypeError that says where"""
        text = disassemble(compile(flows.collect([Param("x")], 0)))
        operands = "R1, R1, R1" if kind == "dict-like" else "R1, R1"
        changed = re.sub(r"build list\(R1\)", f"build {kind}({operands})", text)
        assert changed != text
        try:
            program = assemble(changed)
            verify(program)
            program.run(x=prototype)
        except (*EXPECTED, TypeError):
            return
        assert type(prototype).__name__ == kind.removesuffix("-like")

    @pytest.mark.parametrize("at", [8, 10, 12])
    @pytest.mark.parametrize("version", [0, 4, 255, 65535])
    def test_other_versions(self, small, at, version):
        """Newer, older: LoadError with what to do"""
        content = small[:at] + version.to_bytes(2, "big") + small[at + 2 :]
        with pytest.raises(LoadError, match=rf"has version {version} of the .*Compile it again"):
            loads(content)

    @pytest.mark.parametrize("flags", [1, 255, 65535])
    def test_the_reserved_field_is_zero(self, small, flags):
        with pytest.raises(LoadError, match="reserved"):
            loads(small[:14] + flags.to_bytes(2, "big") + small[16:])

    def test_claimed_lengths(self, small):
        for length in (0, 1, 2**32, 2**63, 2**64 - 1, len(small)):
            with pytest.raises(LoadError):
                loads(small[:16] + length.to_bytes(8, "big") + small[24:])

    def test_the_size_limit(self, small):
        with pytest.raises(LoadError, match="limit"):
            loads(small, limits=LoadLimits(bytes=len(small) - 1))
        assert loads(small, limits=LoadLimits(bytes=len(small))).cycle_id

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_other_kinds_of_bytes(self, small, kind):
        with contextlib.suppress(TypeError):
            assert loads(kind(small)).run(x=1)[0][0] == 2

    def test_no_bytes_at_all(self):
        for content in ("text", None, 5):
            with pytest.raises((TypeError, LoadError)):
                loads(content)
