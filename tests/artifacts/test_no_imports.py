"""Nothing is imported for a file before it is accepted, and nothing that it names before it is linked: seen by a hook for imports."""

from __future__ import annotations

import json

import artifact_flows as flows
import jump_flows
from damage import body_of, sealed
from elsewhere import python

from cascade_compiler import compile
from cascade_vm import HmacKey, sign

KEY = HmacKey(bytes(range(32)), "here")

CODE = """
import json, sys
import cascade_vm
from cascade_vm import CascadeError, HmacKey, Registry, disassemble, load, loads, verify

asked = []
class Hook:
    def find_spec(self, name, path=None, target=None):
        asked.append(name)
sys.meta_path.insert(0, Hook())

own = {"cascade_vm", "msgspec", *sys.stdlib_module_names}
codes = []
for path, signed in json.loads(sys.argv[1]):
    keys = [HmacKey(bytes(range(32)), "here")] if signed else None
    try:
        program = load(path, keys=keys)
        loads(open(path, "rb").read(), allow=["artifact_flows", "jump_flows"], keys=keys)
        verify(program); disassemble(program); repr(program.inputs); program.symbols; program.fingerprints
        try:
            program.link(registry=Registry([]))
        except CascadeError as refused:
            codes.append(refused.code)
    except CascadeError as refused:
        str(refused), repr(refused)
        codes.append(refused.code)
foreign = [name for name in {*asked, *sys.modules} if name.partition(".")[0] not in own and name not in before]
print(json.dumps([codes, sorted(foreign)]))
""".replace("import json, sys\n", "import json, sys\nimport site, msgspec\nbefore = {*sys.modules}\n", 1)


def test_what_is_refused_imports_nothing(tmp_path):
    """Damaged at every tenth byte, cut there, of hostile names, unsigned, signed by another key; and good, up to its linking"""
    good = compile(jump_flows.counted).to_bytes()
    small = compile(flows.small).to_bytes()
    asked = []

    def file(content: bytes, signed: bool = False) -> None:
        path = tmp_path / f"{len(asked)}.cbp"
        path.write_bytes(content)
        asked.append((str(path), signed))

    for at in range(0, len(good), 10):
        file(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        file(good[:at])
    for old, new in ((b"artifact_flows:double", b"artifact_flows..double"), (b"artifact_flows:double", b"antigravity:..double")):
        file(sealed(small, body_of(small).replace(old, new)))
    file(small, signed=True)
    file(sign(small, HmacKey(bytes(32), "here")), signed=True)
    refused = len(asked)
    file(sign(small, KEY), signed=True)
    file(good)
    codes, foreign = json.loads(python(CODE, json.dumps(asked)))
    assert foreign == []
    assert len(codes) == refused + 2
    assert {"L01", "L02", "L05", "L11", "L12"} < {*codes[:refused]}
    assert codes[refused - 2 :] == ["L11", "L12", "K03", "K03"]
