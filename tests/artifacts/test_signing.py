"""Signatures: what is accepted, what is refused and with which code, that the check comes first, and that no secret gets out."""

from __future__ import annotations

import builtins
import hashlib
import hmac
import pickle
import random
import subprocess
import sys
import traceback
from pathlib import Path

import artifact_flows as flows
import msgspec
import pytest
from damage import sealed
from signing_helpers import HMAC, PAIRS, PRIVATE, PUBLIC, SECRET, SEED, all_of, code_of, forms, leaks, signed, small

import cascade_vm
from cascade_compiler import compile
from cascade_vm import (
    BadKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    HmacKey,
    LoadError,
    VerifyError,
    codec,
    container,
    load,
    loads,
    read_keys,
    read_signing_key,
    sign,
    signing,
)
from cascade_vm.container import pack, unpack
from cascade_vm.signing import MAX_BLOCK, Signature, check, signatures

GOLDEN = Path(__file__).parents[1] / "golden" / "artifacts"
both = pytest.mark.parametrize(("signs", "checks"), PAIRS, ids=["hmac", "ed25519"])


def with_block(content: bytes, tree: object) -> bytes:
    """The artifact, with this in place of its signatures."""
    return bytes(unpack(content).signed) + msgspec.msgpack.encode(tree)


def members(content: bytes) -> list[list[object]]:
    return msgspec.msgpack.decode(unpack(content).signatures)


class TestAccepted:
    @both
    def test_a_signed_artifact_loads_and_runs(self, signs, checks):
        program = loads(signed(signs), keys=[checks])
        assert program.signed_by == checks.name
        assert program.run(x="5") == loads(small()).run(x="5")

    @both
    def test_the_key_that_signs_checks_too(self, signs, checks):
        assert loads(signed(signs), keys=[signs]).signed_by == signs.name

    @both
    def test_where_no_key_is_asked_for_a_signature_does_not_matter(self, signs, checks):
        program = loads(signed(signs))
        assert program.signed_by is None
        assert program.to_bytes() == small()

    @both
    def test_a_file(self, signs, checks, tmp_path):
        path = tmp_path / "small.cbp"
        path.write_bytes(signed(signs))
        assert load(path, keys=[checks]).signed_by == checks.name
        path.write_bytes(small())
        with pytest.raises(LoadError, match=r"small\.cbp: the artifact is unsigned.*cascade sign") as caught:
            load(path, keys=[checks])
        assert caught.value.code == "L11"

    @both
    def test_signing_is_deterministic_and_signing_again_replaces(self, signs, checks):
        once = signed(signs)
        assert sign(once, signs) == once == signed(signs)
        assert len(signatures(once)) == 1

    def test_what_is_signed_is_every_byte_before_the_signatures(self):
        """By hand, from docs/artifact-format.md"""
        content = signed(HMAC)
        tag = hmac.new(SECRET, small(), hashlib.sha256).digest()
        assert content == small() + b"\x91\x93\xabhmac-sha256\xa2ci\xc4\x20" + tag

    def test_ed25519_is_that_of_rfc_8032(self):
        """Section 7.1, test 3"""
        key = Ed25519PrivateKey(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
        assert key.public.line().split()[1] == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
        made = key.make(b"\xaf\x82")
        assert made.hex() == (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        )
        assert key.public.verifies(b"\xaf\x82", made)
        assert not key.public.verifies(b"\xaf\x83", made)

    def test_hmac_is_that_of_rfc_4231(self):
        """Section 4.7, test case 6: a key longer than a block"""
        key = HmacKey(b"\xaa" * 131)
        made = key.make(b"Test Using Larger Than Block-Size Key - Hash Key First")
        assert made.hex() == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"

    @pytest.mark.parametrize("kind", [bytearray, memoryview])
    def test_other_kinds_of_bytes(self, kind):
        assert sign(kind(small()), HMAC) == signed(HMAC)
        assert HmacKey(kind(SECRET), "ci").make(b"x") == HMAC.make(b"x")


class TestSeveral:
    def test_one_of_several_signatures_is_enough(self):
        content = signed(HMAC, PRIVATE)
        for keys in ([HMAC], [PUBLIC], [HMAC, PUBLIC], [HmacKey.generate("other"), PUBLIC]):
            assert loads(content, keys=keys).signed_by in {key.name for key in keys}

    def test_the_order_of_signing_does_not_matter(self):
        assert signed(HMAC, PRIVATE) == signed(PRIVATE, HMAC)
        assert [str(one) for one in signatures(signed(HMAC, PRIVATE))] == ["'release' (ed25519)", "'ci' (hmac-sha256)"]

    def test_rotation(self):
        """Both keys for a while; then only the new one"""
        old, new = HmacKey.generate("2025"), HmacKey.generate("2026")
        assert loads(signed(old), keys=[new, old]).signed_by == "2025"
        assert loads(signed(new), keys=[new, old]).signed_by == "2026"
        assert code_of(lambda: loads(signed(old), keys=[new])) == "L12"
        assert loads(sign(signed(old), new), keys=[new]).signed_by == "2026"

    def test_two_keys_of_one_name_that_are_accepted(self):
        old, new = HmacKey.generate("ci"), HmacKey.generate("ci")
        for key in (old, new):
            assert loads(signed(key), keys=[old, new]).signed_by == "ci"

    def test_a_second_key_of_the_same_name_replaces_the_first_ones_signature(self):
        first, second = HmacKey.generate("ci"), HmacKey.generate("ci")
        content = signed(first, second)
        assert len(signatures(content)) == 1
        assert code_of(lambda: loads(content, keys=[first])) == "L12"
        assert loads(content, keys=[second]).signed_by == "ci"

    def test_keys_of_one_name_and_two_algorithms(self):
        """They are two: neither is tried on the other's signature, and neither replaces it"""
        shared, private = HmacKey(SECRET, "ci"), Ed25519PrivateKey(SEED, "ci")
        assert [one.algorithm for one in signatures(signed(shared, private))] == ["ed25519", "hmac-sha256"]
        for key in (shared, private.public):
            assert loads(signed(shared, private), keys=[key]).signed_by == "ci"
        for made, asked in ((shared, private.public), (private, shared)):
            with pytest.raises(LoadError, match=r"is signed by 'ci' .*, and accepted is only 'ci' \("):
                loads(signed(made), keys=[asked])

    def test_as_many_as_fit(self):
        content = small()
        for number in range(36):
            content = sign(content, HmacKey(SECRET, f"{number:064}"))
        assert MAX_BLOCK - 120 < len(unpack(content).signatures) <= MAX_BLOCK
        with pytest.raises(LoadError, match=r"the limit is 4,096") as caught:
            sign(content, HmacKey(SECRET, f"{36:064}"))
        assert caught.value.code == "L06"
        assert loads(content, keys=[HmacKey(SECRET, f"{0:064}")]).signed_by == "0" * 64


class TestRefused:
    @both
    @pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
    def test_every_byte_changed(self, signs, checks, mask):
        content = signed(signs)
        for at in range(len(content)):
            damaged = bytearray(content)
            damaged[at] ^= mask
            code = code_of(lambda damaged=bytes(damaged): loads(damaged, keys=[checks]))
            assert code in {"L01", "L02", "L03", "L04", "L11", "L12", "L13"}, at
            if at >= 64 and at < len(small()):
                assert code == "L12"  # before hash and form of the content are looked at

    @both
    def test_cut_at_every_length_and_something_appended(self, signs, checks):
        content = signed(signs)
        for length in range(len(content)):
            assert code_of(lambda length=length: loads(content[:length], keys=[checks])) in {"L01", "L02", "L11", "L13"}
        for extra in (b"\0", b"x" * 10, small(), bytes(unpack(content).signatures)):
            assert code_of(lambda extra=extra: loads(content + extra, keys=[checks])) == "L13"

    @both
    def test_bytes_moved_from_one_part_to_the_other(self, signs, checks):
        """The lengths are in what is signed"""
        content = signed(signs)
        header = bytearray(content)
        length, about = (int.from_bytes(content[at : at + 8], "big") for at in (16, 56))
        header[16:24], header[56:64] = (length - 1).to_bytes(8, "big"), (about + 1).to_bytes(8, "big")
        assert code_of(lambda: loads(bytes(header), keys=[checks])) == "L12"

    @both
    def test_unsigned_where_a_key_is_required(self, signs, checks):
        with pytest.raises(LoadError, match=f"is unsigned, and a signature is required, by '{checks.name}'") as caught:
            loads(small(), keys=[checks])
        assert caught.value.code == "L11"

    @both
    def test_the_signature_of_another_artifact(self, signs, checks):
        other = sign(compile(flows.failing).to_bytes(), signs)
        moved = bytes(unpack(small()).signed) + bytes(unpack(other).signatures)
        assert loads(moved).signed_by is None
        with pytest.raises(LoadError, match="is wrong: the artifact was changed after it had been signed") as caught:
            loads(moved, keys=[checks])
        assert caught.value.code == "L12"

    @pytest.mark.parametrize(
        ("made", "asked"),
        [
            (HMAC, HmacKey.generate("ci")),
            (PRIVATE, Ed25519PrivateKey.generate("release").public),
            (HMAC, HmacKey(SECRET, "other")),
            (PRIVATE, Ed25519PublicKey(bytes.fromhex(PUBLIC.line().split()[1]), "other")),
            (HMAC, PUBLIC),
            (PRIVATE, HMAC),
        ],
        ids=["secret", "private key", "hmac name", "ed25519 name", "hmac for ed25519", "ed25519 for hmac"],
    )
    def test_the_wrong_key(self, made, asked):
        with pytest.raises(LoadError) as caught:
            loads(signed(made), keys=[asked])
        assert caught.value.code == "L12"
        assert str(made) in str(caught.value)

    def test_a_public_key_is_never_taken_for_a_secret(self):
        """Who knows the public key cannot make what it accepts, by saying that its algorithm is another"""
        raw = bytes.fromhex(PUBLIC.line().split()[1])
        forged = sign(small(), HmacKey(raw, "release"))
        assert code_of(lambda: loads(forged, keys=[PUBLIC])) == "L12"
        tag = HmacKey(raw).make(small())
        assert code_of(lambda: loads(with_block(small(), [["ed25519", "release", tag + tag]]), keys=[PUBLIC])) == "L12"

    @both
    def test_signatures_are_not_told_apart_by_their_beginning(self, signs, checks):
        """A signature that is right but for its last byte, or shorter"""
        ((algorithm, name, made),) = members(signed(signs))
        for wrong in (made[:-1] + bytes([made[-1] ^ 1]), bytes(len(made))):
            assert code_of(lambda wrong=wrong: loads(with_block(small(), [[algorithm, name, wrong]]), keys=[checks])) == "L12"
        for wrong in (made[:-1], b"", made + b"\0"):
            assert code_of(lambda wrong=wrong: loads(with_block(small(), [[algorithm, name, wrong]]), keys=[checks])) == "L13"

    @pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.v[12].cbp")), ids=lambda path: path.stem)
    def test_older_formats_have_no_room(self, path):
        content = path.read_bytes()
        with pytest.raises(LoadError, match=r"no room for signatures.*Compile it again") as caught:
            loads(content, keys=[HMAC])
        assert caught.value.code == "L11"
        with pytest.raises(LoadError, match="no room for signatures: compile it again") as caught:
            sign(content, HMAC)
        assert caught.value.code == "L03"


TAG = bytes(32)


class TestForm:
    """What follows the parts is looked at whether or not a key is asked for."""

    @pytest.mark.parametrize(
        "block",
        [
            b"\0", b"\xc0", b"\x90", b"\xc1", b"\x80", b"[" * 4096, b"\x91" * 4096, b"x" * 100_000, b"\xdd\xff\xff\xff\xff",
            b"\xdc\xff\xff" + b"\x90" * 100, b"\xc6\xff\xff\xff\xff", b"\x91\x93\xa1\xff\xa1a\xc4\x00",
            b"\xdc\x00\x01\x93\xabhmac-sha256\xa2ci\xc4\x20" + TAG,
            b"\x91\x93\xabhmac-sha256\xa2ci\xc5\x00\x20" + TAG,
            b"\x91\x93\xabhmac-sha256\xd9\x02ci\xc4\x20" + TAG,
            b"\x91\x83\xa9algorithm\xabhmac-sha256\xa4name\xa2ci\xa9signature\xc4\x20" + TAG,
            b"\x91\x93\xabhmac-sha256\xa2ci\xc4\x20" + TAG + b"\0",
            b"\x91\x93\xabhmac-sha256\xa2ci\xd9\x20" + b"x" * 32,
        ],
        ids=lambda block: repr(block[:16]),
    )  # fmt: skip
    def test_malformed_or_not_canonical(self, block):
        for keys in (None, [HMAC], [PUBLIC]):
            with pytest.raises(LoadError, match="no block of signatures that this version reads") as caught:
                loads(small() + block, keys=keys)
            assert caught.value.code == "L13"
        assert code_of(lambda: sign(small() + block, HMAC)) == "L13"

    @pytest.mark.parametrize(
        "tree",
        [
            [["md5", "ci", TAG]], [["HMAC-SHA256", "ci", TAG]], [["", "ci", TAG]], [["ed25519", "ci", TAG]], [["hmac-sha256", "", TAG]],
            [["hmac-sha256", "-ci", TAG]], [["hmac-sha256", "c i", TAG]], [["hmac-sha256", "ci\n", TAG]], [["hmac-sha256", "\x1b[2J", TAG]],
            [["hmac-sha256", "é", TAG]], [["hmac-sha256", "x" * 65, TAG]], [["hmac-sha256", "ci"]], [["hmac-sha256", "ci", TAG, None]],
            [["hmac-sha256", None, TAG]], [[1, "ci", TAG]], [["hmac-sha256", "ci", "x" * 32]], [None], ["hmac-sha256", "ci", TAG],
            [["hmac-sha256", "ci", TAG], ["hmac-sha256", "ci", TAG]], [["hmac-sha256", "ci", TAG], ["hmac-sha256", "ci", b"\1" * 32]],
            [["hmac-sha256", "d", TAG], ["hmac-sha256", "c", TAG]], [["hmac-sha256", "a", TAG], ["ed25519", "z", bytes(64)]], {}, "x", 5,
        ],
        ids=repr,
    )  # fmt: skip
    def test_another_structure(self, tree):
        for keys in (None, [HMAC]):
            assert code_of(lambda keys=keys: loads(with_block(small(), tree), keys=keys)) == "L13"

    def test_a_block_over_the_limit(self):
        """Well formed, and too long to be read before anything is checked"""
        for count, code in ((40, ""), (90, "L13")):
            tree = [["hmac-sha256", f"k{number:03}", TAG] for number in range(count)]
            assert code_of(lambda tree=tree: loads(with_block(small(), tree))) == code
        with pytest.raises(LoadError, match=r"and the limit is 4,096"):
            loads(with_block(small(), tree))

    def test_a_well_formed_block_is_accepted(self):
        """What the tests above change"""
        for tree in (
            [["hmac-sha256", "ci", TAG]], [["hmac-sha256", "x" * 64, TAG]], [["ed25519", "A.b_c@d+e-1", bytes(64)]],
            [["ed25519", "z", bytes(64)], ["hmac-sha256", "a", TAG], ["hmac-sha256", "b", TAG]],
        ):  # fmt: skip
            assert loads(with_block(small(), tree)).signed_by is None
            assert code_of(lambda tree=tree: loads(with_block(small(), tree), keys=[HMAC])) == "L12"

    def test_changed_at_random(self):
        """Bytes of the block, put in, taken out, changed: L11 to L13, or as it was"""
        rng = random.Random(1)
        whole = bytes(unpack(signed(HMAC, PRIVATE)).signatures)
        codes = set()
        for _ in range(600):
            block = bytearray(whole)
            for _ in range(rng.choice([1, 1, 2, 4])):
                at, choice = rng.randrange(len(block) + 1), rng.random()
                if choice < 0.3:
                    block.insert(at, rng.randrange(256))
                elif choice < 0.6:
                    del block[at : at + rng.choice([1, 1, 5, 64])]
                elif at < len(block):
                    block[at] = rng.randrange(256)
            codes.add(code_of(lambda block=bytes(block): loads(small() + block, keys=[HMAC, PUBLIC])))
        assert codes <= {"", "L11", "L12", "L13"}  # "": of two signatures, one was left as it was
        assert {"", "L13"} <= codes


class TestTheCheckComesFirst:
    @both
    def test_before_the_hash_the_decoding_and_the_verifying(self, signs, checks, monkeypatch):
        """A wrong signature over content that could never be read, and nothing of that is even begun"""
        content, looked_at = signed(signs), []
        for module, name in ((container, "check_hash"), (codec, "_decoded"), (codec, "_about"), (codec, "verify_data")):
            original = getattr(module, name)
            monkeypatch.setattr(module, name, lambda *given, name=name, original=original: looked_at.append(name) or original(*given))
        ((algorithm, name, made),) = members(content)
        wrong = [[algorithm, name, bytes(len(made))]]
        for body in (b"\x91" * 100_000, b"\xc1", b"\xdd\xff\xff\xff\xff", b"", b"\xdb\xff\xff\xff\xff"):
            hostile = content[:16] + len(body).to_bytes(8, "big") + bytes(32) + bytes(8) + body
            assert code_of(lambda hostile=hostile: loads(with_block(hostile, wrong), keys=[checks])) == "L12"
            assert code_of(lambda hostile=hostile: loads(hostile, keys=[checks])) == "L11"
        assert looked_at == []
        assert loads(content, keys=[checks]).signed_by  # and where it is right, all of that is done
        assert list(dict.fromkeys(looked_at)) == ["check_hash", "_decoded", "verify_data", "_about"]

    @both
    def test_what_would_come_otherwise(self, signs, checks):
        """The same contents, rightly signed or with no key: their own errors"""
        for body, about, code in ((b"\x91" * 1000, b"\x90", "L07"), (b"\xc1", b"\x90", "L07"), (b"", b"", "L07")):
            hostile = pack(body, about)
            assert code_of(lambda hostile=hostile: loads(hostile)) == code
            made = bytes(hostile) + msgspec.msgpack.encode([[signs.algorithm, signs.name, signs.make(hostile)]])
            assert code_of(lambda made=made: loads(made, keys=[checks])) == code
            assert code_of(lambda hostile=hostile: loads(with_block(hostile, members(signed(signs))), keys=[checks])) == "L12"

    @both
    def test_a_signature_does_not_replace_the_verifier(self, signs, checks):
        tree = msgspec.msgpack.decode(unpack(small()).content)
        tree[1][0][1] = 0  # no registers at all
        invalid = sealed(small(), msgspec.msgpack.encode(tree))
        with pytest.raises((VerifyError, LoadError)) as caught:
            loads(sign(invalid, signs), keys=[checks])
        assert caught.value.code not in {"L11", "L12", "L13"}

    @both
    def test_a_damaged_artifact_is_not_signed(self, signs, checks):
        damaged = bytearray(small())
        damaged[70] ^= 1
        with pytest.raises(LoadError, match="damaged") as caught:
            sign(bytes(damaged), signs)
        assert caught.value.code == "L05"
        for content in (b"", b"x" * 100, small()[:50], small()[:-1]):
            with pytest.raises(LoadError):
                sign(content, signs)


class TestKeysThatAreAskedFor:
    def test_no_keys_is_not_no_requirement(self):
        for keys in ((), [], iter(())):
            with pytest.raises(ValueError, match=r"keys is empty.*keys=None"):
                loads(small(), keys=keys)

    @pytest.mark.parametrize("keys", [HMAC, SECRET, SECRET.decode(), [SECRET], [SECRET.decode()], [None], 5, [HMAC, SEED]], ids=type)
    def test_something_else(self, keys, tmp_path):
        path = tmp_path / "small.cbp"
        path.write_bytes(signed(HMAC))
        for call in (lambda: loads(signed(HMAC), keys=keys), lambda: load(path, keys=keys), lambda: check(signed(HMAC), keys)):
            with pytest.raises(TypeError, match="keys takes") as caught:
                call()
            assert not leaks(str(caught.value), SECRET, SEED)

    def test_an_iterator_is_looked_at_once(self, tmp_path):
        path = tmp_path / "small.cbp"
        path.write_bytes(signed(HMAC))
        assert load(path, keys=iter([PUBLIC, HMAC])).signed_by == "ci"

    def test_check_tells_which(self):
        assert check(signed(HMAC, PRIVATE), [HMAC]) == Signature("hmac-sha256", "ci", HMAC.make(small()))
        with pytest.raises(LoadError):
            check(small(), [HMAC])

    @pytest.mark.parametrize("key", [SECRET, "ci.key", None, PUBLIC], ids=lambda key: type(key).__name__)
    def test_what_cannot_sign(self, key):
        with pytest.raises(BadKey if key is PUBLIC else TypeError, match=r"public key|sign\(\) takes a key") as caught:
            sign(small(), key)
        assert not leaks(str(caught.value), SECRET)

    def test_sign_takes_bytes(self):
        with pytest.raises(TypeError, match="bytes of an artifact, not str"):
            sign("small.cbp", HMAC)

    def test_a_long_list_is_told_short(self):
        with pytest.raises(LoadError, match=r"'k4' .* and 15 more") as caught:
            loads(signed(HMAC), keys=[HmacKey(SECRET, f"k{number}") for number in range(20)])
        assert len(str(caught.value)) < 500


class TestKeys:
    @pytest.mark.parametrize("length", [0, 1, 16, 31])
    def test_a_short_secret(self, length):
        with pytest.raises(BadKey, match=rf"32 bytes or more, and this one has {length}\. Draw one at random"):
            HmacKey(bytes(length))

    def test_secrets_of_any_greater_length(self):
        for length in (32, 33, 64, 65, 1000):
            assert loads(sign(small(), HmacKey(b"x" * length)), keys=[HmacKey(b"x" * length)]).signed_by

    @pytest.mark.parametrize("kind", [Ed25519PrivateKey, Ed25519PublicKey])
    @pytest.mark.parametrize("length", [0, 31, 33, 64])
    def test_ed25519_keys_have_32_bytes(self, kind, length):
        with pytest.raises(BadKey, match=f"has 32 bytes, and this one has {length}"):
            kind(bytes(length))

    @pytest.mark.parametrize("kind", [HmacKey, Ed25519PrivateKey, Ed25519PublicKey])
    def test_keys_are_bytes(self, kind):
        for wrong in ("x" * 32, None, 5, ["x"] * 32):
            with pytest.raises(BadKey, match=f"is bytes, not {type(wrong).__name__}"):
                kind(wrong)

    @pytest.mark.parametrize("name", ["", " ", "-x", ".x", "a b", "a\n", "é", "x" * 65, "a/b", 5, b"ci"])
    def test_names(self, name):
        for kind in (HmacKey, Ed25519PrivateKey, Ed25519PublicKey):
            with pytest.raises(BadKey, match="the name of a key is 1 to 64 letters"):
                kind(bytes(32), name)

    def test_a_key_without_a_name_has_a_digest_of_itself(self):
        assert HmacKey(SECRET).name == HmacKey(SECRET).name != HmacKey(SECRET + b"x").name
        assert Ed25519PrivateKey(SEED).name == Ed25519PrivateKey(SEED).public.name != Ed25519PrivateKey.generate().name
        for key in (HmacKey(SECRET), Ed25519PrivateKey(SEED)):
            assert len(bytes.fromhex(key.name)) == 8
            checks = getattr(key, "public", key)
            assert loads(signed(key), keys=[checks]).signed_by == key.name

    def test_generated_keys_differ(self):
        for kind in (HmacKey, Ed25519PrivateKey):
            assert len({kind.generate("x").line() for _ in range(10)}) == 10


class TestKeyFiles:
    def test_lines(self, tmp_path):
        """Of every kind, with names and without, comments, empty lines"""
        path = tmp_path / "some.keys"
        path.write_text(
            f"# a key ring\n\n{HMAC.line()}\n{PRIVATE.line()}  # signs\r\n\t{PUBLIC.line()}\nhmac-sha256 {SECRET.hex().upper()}\n"
        )
        found = read_keys(path)
        assert [(type(key), key.name) for key in found] == [
            (HmacKey, "ci"), (Ed25519PrivateKey, "release"), (Ed25519PublicKey, "release"), (HmacKey, HmacKey(SECRET).name),
        ]  # fmt: skip
        assert [key.line() for key in found[:3]] == [HMAC.line(), PRIVATE.line(), PUBLIC.line()]
        assert loads(signed(HMAC), keys=found).signed_by == "ci"
        assert read_keys(path, "other")[3].name == "other"

    def test_pem(self, tmp_path):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Backend
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        key = Backend.from_private_bytes(SEED)
        private, public = tmp_path / "private.pem", tmp_path / "public.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(b"\n" + key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        signs = read_signing_key(private)
        assert (signs.name, read_signing_key(private, "x").name) == (Ed25519PrivateKey(SEED).name, "x")
        assert loads(signed(signs), keys=read_keys(public)).signed_by == signs.name
        with pytest.raises(BadKey, match="the name of a key"):
            read_keys(private, "no name")

    def test_pem_of_something_else(self, tmp_path):
        from cryptography.hazmat.primitives.asymmetric import ec, x25519
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as Backend
        from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

        path = tmp_path / "a.pem"
        encrypted = Backend.from_private_bytes(SEED).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        plain = Backend.from_private_bytes(SEED).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for content, expected in (
            (encrypted, "is encrypted"),
            (ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "another algorithm"),
            (x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "another algorithm"),
            (plain[:60], "no PEM file"),
            (plain.replace(b"M", b"!"), "no PEM file"),
            (plain.replace(b"PRIVATE", b"PUBLIC"), "no PEM file"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no PEM file"),
        ):
            path.write_bytes(content)
            with pytest.raises(BadKey, match=rf"a\.pem: .*{expected}") as caught:
                read_keys(path)
            assert not leaks(all_of(caught.value), SEED)

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", "there is no key in it"),
            (b"# nothing\n\n", "there is no key in it"),
            (SECRET, "line 1: this is no key"),
            (SECRET.hex().encode(), "line 1: this is no key"),
            (b"\n\nsecret " + SECRET.hex().encode(), "line 3: this is no key"),
            (b"ed25519 " + SEED.hex().encode(), "line 1: this is no key"),
            (b"hmac-sha256 " + SECRET.hex().encode() + b" a b", "line 1: this is no key"),
            (b"hmac-sha256 " + SECRET.hex().encode()[:-1], "line 1: the key is not hexadecimal"),
            (b"hmac-sha256 " + SECRET.hex().encode() + b"zz", "line 1: the key is not hexadecimal"),
            (b"hmac-sha256 " + SECRET.hex().encode()[:62], "line 1: the secret of an HMAC key has 32 bytes or more, and this one has 31"),
            (b"hmac-sha256 " + SECRET.hex().encode() + b" " + b"/" * 4, "line 1: the name of a key"),
            (b"ed25519-private " + SECRET.hex().encode(), "line 1: an Ed25519 private key has 32 bytes, and this one has 38"),
            (b"ed25519-public " + SECRET.hex().encode(), "line 1: an Ed25519 public key has 32 bytes, and this one has 38"),
            (HMAC.line().encode() + b"\n" + SECRET, "line 2: this is no key"),
            (SECRET + b"\xff", "it is no text"),
            (bytes(range(256)), "it is no text"),
            (HMAC.line().encode() + b"\n#" + b"x" * 70_000, "more than 65,536 bytes"),
        ],
    )
    def test_other_content(self, content, expected, tmp_path):
        """Said with its line, and without what is there"""
        path = tmp_path / "a.key"
        path.write_bytes(content)
        with pytest.raises(BadKey) as caught:
            read_keys(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert expected in str(caught.value)
        assert not leaks(all_of(caught.value), SECRET, SECRET[:31], SEED)

    def test_files_that_cannot_be_read(self, tmp_path):
        for path, expected in ((tmp_path / "none.key", "No such file"), (tmp_path, "directory"), ("a\0b", "no file has such a name")):
            with pytest.raises(BadKey, match=f"cannot be read: .*{expected}"):
                read_keys(path)

    @pytest.mark.parametrize(
        "path", [HMAC.line(), f" {PRIVATE.line()}", SECRET.hex(), *forms(SEED)[0:1], "-----BEGIN PRIVATE KEY-----\nMC4CAQ"]
    )
    def test_a_key_in_place_of_a_path_is_not_shown(self, path):
        with pytest.raises(BadKey, match="looks like a key itself") as caught:
            read_keys(path)
        assert not leaks(all_of(caught.value), SECRET, SEED)
        assert "MC4CAQ" not in all_of(caught.value)

    def test_bytes_in_place_of_a_path(self):
        with pytest.raises(TypeError, match="takes the path of a key file") as caught:
            read_keys(SECRET)
        assert not leaks(all_of(caught.value), SECRET)

    def test_a_signing_key_is_one(self, tmp_path):
        path = tmp_path / "a.key"
        path.write_text(PUBLIC.line())
        with pytest.raises(BadKey, match=r"'release' .* is a public key"):
            read_signing_key(path)
        path.write_text(f"{HMAC.line()}\n{PRIVATE.line()}")
        with pytest.raises(BadKey, match="2 keys"):
            read_signing_key(path)
        path.write_text(HMAC.line())
        assert read_signing_key(path).line() == HMAC.line()


class TestSecretsStayInside:
    @pytest.mark.parametrize("key", [HMAC, PRIVATE, PUBLIC, HmacKey(SECRET), Ed25519PrivateKey(SEED)], ids=str)
    def test_of_keys(self, key):
        shown = [repr(key), str(key), f"{key}", repr([key]), repr({"key": key})]
        assert not leaks("\n".join(shown), SECRET, SEED)
        assert key.name in repr(key)

    def test_the_test_would_see_them(self):
        for form in forms(SECRET):
            assert leaks(f"x {form} y", SECRET)
        try:
            hidden = SECRET.hex()  # noqa: F841
            raise ValueError("x")
        except ValueError as error:
            whole = traceback.TracebackException.from_exception(error, capture_locals=True)
            assert leaks(repr(whole.stack[0].locals), SECRET)

    def test_of_errors(self):
        """Text, repr, causes, and the variables of our frames that a debugger or an error tracker shows"""
        calls = [
            lambda: HmacKey(SECRET[:31]),
            lambda: HmacKey(SECRET.decode()),
            lambda: HmacKey(SECRET, "no name"),
            lambda: Ed25519PrivateKey(SEED[:31]),
            lambda: Ed25519PrivateKey(SEED + b"x"),
            lambda: Ed25519PrivateKey(SEED, "no name"),
            lambda: Ed25519PublicKey(SECRET),
            lambda: Ed25519PublicKey(SEED, "no name"),
            lambda: loads(small(), keys=[HMAC]),
            lambda: loads(signed(PRIVATE), keys=[HMAC]),
            lambda: loads(signed(HmacKey.generate("ci")), keys=[HMAC, PRIVATE]),
            lambda: loads(with_block(small(), [["hmac-sha256", "ci", b""]]), keys=[HMAC]),
            lambda: sign(b"x", HMAC),
            lambda: sign(b"x", PRIVATE),
            lambda: sign(small() + b"\0", PRIVATE),
        ]
        for call in calls:
            with pytest.raises((BadKey, LoadError)) as caught:
                call()
            assert not leaks(all_of(caught.value), SECRET, SECRET[:31], SEED, SEED[:31])

    def test_a_program_does_not_keep_the_keys(self):
        program = loads(signed(HMAC), keys=[HMAC])
        assert not leaks(repr(vars(program)), SECRET)
        assert not any(isinstance(value, signing.Key) for value in vars(program).values())

    def test_errors_can_be_pickled(self):
        for error in (BadKey("x"), LoadError("x", code="L12")):
            again = pickle.loads(pickle.dumps(error))
            assert (type(again), str(again), again.code) == (type(error), str(error), error.code)


class TestWithoutThePackage:
    @pytest.fixture
    def without(self, monkeypatch):
        original = builtins.__import__

        def refusing(name, *rest):
            if name.startswith("cryptography"):
                raise ImportError(f"No module named {name!r}")
            return original(name, *rest)

        monkeypatch.setattr(builtins, "__import__", refusing)

    def test_ed25519_names_the_extra(self, without, tmp_path):
        path = tmp_path / "a.key"
        for text in (PRIVATE.line(), PUBLIC.line(), "-----BEGIN PUBLIC KEY-----"):
            path.write_text(text)
            with pytest.raises(BadKey, match=r"pip install 'cascade-vm\[sign\]'") as caught:
                read_keys(path)
            assert not leaks(all_of(caught.value), SEED)
        for kind in (Ed25519PrivateKey, Ed25519PublicKey):
            with pytest.raises(BadKey, match=r"pip install 'cascade-vm\[sign\]'") as caught:
                kind(SEED)

    def test_hmac_needs_nothing(self, without):
        assert loads(signed(HMAC), keys=[HMAC]).signed_by == "ci"

    def test_an_ed25519_signature_is_read_all_the_same(self, without):
        content = with_block(small(), [["ed25519", "release", bytes(64)]])
        assert loads(content).signed_by is None
        assert code_of(lambda: loads(content, keys=[HMAC])) == "L12"

    def test_it_is_not_imported_before_it_is_needed(self):
        code = "import sys, cascade_vm, cascade_vm.codec, cascade_vm.keys; print([m for m in sys.modules if 'cryptography' in m])"
        root = Path(cascade_vm.__file__).parents[1]
        shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
        assert shown.stdout.strip() == "[]"
