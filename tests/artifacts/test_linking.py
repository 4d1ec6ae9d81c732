"""Linking: what a program may name, what it gets, and what is said where that does not fit."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from typing import Any

import artifact_flows as flows
import pytest
from elsewhere import HERE, ROOT, python

from cascade_compiler import CompileError, Param, Registry, compile, inject, resource, task
from cascade_vm import LinkError, assemble, disassemble, load, loads, registry


@pytest.fixture(scope="module")
def small() -> bytes:
    return compile(flows.small).to_bytes()


MODULE = """
from cascade_compiler import task, workflow
@task{options}
{prefix}def one(x{more}):
    return x + {value}
{extra}
@workflow
def flow(x: int):
    return one(one(x))
"""
CHANGES = {
    "signature": ({"more": ", y"}, r"one.*\(x\).*\(x, y\)|one.*signature"),
    "kind": ({"prefix": "async "}, r"one.*async|one.*sync"),
    "version": ({"options": "(version='2')"}, r"one.*version"),
    "name": ({"options": "(name='other')"}, "one"),
}


def source(more="", prefix="", options="", value="1", extra=""):
    return MODULE.format(more=more, prefix=prefix, options=options, value=value, extra=extra)


class TestLinking:
    @pytest.fixture
    def folder(self, tmp_path):
        """A folder with a module and its artifact, made by a process of its own."""
        (tmp_path / "changing.py").write_text(source())
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\nimport changing\n"
            "from cascade_compiler import compile\ncompile(changing.flow).save(sys.argv[1] + '/flow.cbp')"
        )
        python(code, str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
        return tmp_path

    LINK = (
        "import sys; sys.path.insert(0, sys.argv[1])\nfrom cascade_vm import load, LinkError\n"
        "p = load(sys.argv[1] + '/flow.cbp')\n"
        "try: print('value', p.run(x=1))\nexcept LinkError as e: print('LinkError', e.code, e)"
    )

    def test_unchanged(self, folder):
        assert python(self.LINK, str(folder)) == "value 3\n"

    def test_a_changed_body_runs_with_a_warning(self, folder):
        """The function is looked up, and what it does is its author's business; that it is another is said"""
        (folder / "changing.py").write_text(source(value="10"))
        assert python(self.LINK, str(folder), PYTHONWARNINGS="ignore::UserWarning") == "value 21\n"

    def test_a_comment_is_fine(self, folder):
        (folder / "changing.py").write_text(source() + "\n# moved\n")
        assert python(self.LINK, str(folder)) == "value 3\n"

    @pytest.mark.parametrize("change", ["signature", "kind", "version", "name"])
    def test_what_has_changed_is_said(self, folder, change):
        options, says = CHANGES[change]
        (folder / "changing.py").write_text(source(**options))
        out = python(self.LINK, str(folder))
        assert out.startswith("LinkError")
        assert re.search(says, out)

    def test_missing_module(self, folder):
        (folder / "changing.py").unlink()
        out = python(self.LINK, str(folder))
        assert out.startswith("LinkError")
        assert "changing" in out

    def test_missing_task(self, folder):
        (folder / "changing.py").write_text("one = print\n")
        out = python(self.LINK, str(folder))
        assert out.startswith("LinkError")
        assert "changing:one" in out or "changing.one" in out

    def test_a_module_that_fails_to_import(self, folder):
        (folder / "changing.py").write_text("raise RuntimeError('boom')\n")
        out = python(self.LINK, str(folder))
        assert out.startswith("LinkError")
        assert "boom" in out

    def test_a_module_that_exits(self, folder):
        """SystemExit of an import is its author's wish: it is not turned into something else, or it is a LinkError"""
        (folder / "changing.py").write_text("import sys\nsys.exit('bye')\n")
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"}
        done = subprocess.run([sys.executable, "-c", self.LINK, str(folder)], env=environment, capture_output=True, text=True)
        assert "bye" in done.stdout + done.stderr
        assert "value" not in done.stdout

    def test_all_faults_in_one_error(self, small):
        """Everything that does not fit"""
        text = (
            disassemble(loads(small))
            .replace("artifact_flows:double", "artifact_flows:gone")
            .replace("artifact_flows:later", "artifact_gone:later")
        )
        with pytest.raises(LinkError) as caught:
            assemble(text).link()
        for name in ("artifact_flows:gone", "artifact_gone:later"):
            assert name in str(caught.value) or name.replace(":", ".") in str(caught.value)

    @pytest.mark.parametrize("symbol", ["os:system", "artifact_flows:os.system", "artifact_flows:sys.exit", "builtins:print",
    "artifact_flows:small",
                                        "artifact_flows:Tools", "artifact_flows:asyncio.run", "artifact_flows:double.fn",
                                        "posix:system"])  # fmt: skip
    def test_nothing_is_reached_by_walking_attributes(self, small, symbol):
        """Only what was decorated under exactly that name, in exactly that module"""
        program = assemble(disassemble(loads(small)).replace("artifact_flows:double", symbol))
        for allow in (None, ["artifact_flows", "os", "builtins", "posix"]):
            with pytest.raises(LinkError):
                program.link(allow=allow)

    @pytest.mark.parametrize(
        ("allow", "fits"),
        [(None, True), (["artifact_flows"], True), ([], False), (["artifact"], False), (["artifact_flow"], False), (["other",
         "artifact_flows"], True),
         (["artifact_flows.sub"], False), (["artifact_flows:double"], False), (["ARTIFACT_FLOWS"], False), ([""], False),
         (["*"], False)],
    )  # fmt: skip
    def test_the_allowlist(self, small, allow, fits):
        """Exact modules and packages, not prefixes of text"""
        for link in (
            lambda: loads(small, allow=allow).link(),
            lambda: loads(small).link(allow=allow),
            lambda: loads(small, allow=[]).link(allow=allow),
        ):
            if link is not None and allow is None:
                continue
            if fits:
                assert link().run(x=1)[0][0] == 2
            else:
                with pytest.raises(LinkError, match="artifact_flows"):
                    link()
        if allow is None:
            assert loads(small).link().run(x=1)[0][0] == 2

    def test_the_allowlist_comes_before_the_import(self, tmp_path):
        path = tmp_path / "small.cbp"
        compile(flows.small).save(path)
        code = (
            "import sys\nfrom cascade_vm import load, LinkError\n"
            "try: load(sys.argv[1], allow=['json']).run(x=1)\nexcept LinkError as e: print(e)\n"
            "assert not hasattr(sys, 'artifact_flows_imported')"
        )
        assert "artifact_flows" in python(code, str(path))

    def test_a_text_is_no_allowlist(self, small):
        """allow='artifact_flows' would be a list of letters"""
        for call in (lambda: loads(small, allow="artifact_flows").link(), lambda: loads(small).link(allow="artifact_flows")):
            try:
                result = call()
            except (TypeError, ValueError, LinkError):
                continue
            assert result.run(x=1)[0][0] == 2  # or it is taken as one module, which is what was meant

    def test_the_registry_has_what_is_defined_last(self):
        """A name that was defined twice is refused at save, since the other process would find the later one"""
        first = flows.double
        assert registry.lookup("artifact_flows:double") is first.task
        try:
            task(name="double")(first.fn)
            with pytest.raises(CompileError, match="double"):
                compile(first(1)).to_bytes()
        finally:
            registry.register(first.task)


def test_allow_is_a_list_not_a_text(tmp_path):
    """A text would be taken for the sequence of its characters, and allow a module of one letter"""
    compile(flows.small).save(tmp_path / "small.cbp")
    with pytest.raises(TypeError, match=r"allow=\['artifact_flows'\]"):
        load(tmp_path / "small.cbp", allow="artifact_flows")
    with pytest.raises(TypeError, match="not a str"):
        load(tmp_path / "small.cbp").link(allow="artifact_flows")
    with pytest.raises(TypeError, match="loads"):
        load((tmp_path / "small.cbp").read_bytes())
