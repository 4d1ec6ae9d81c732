"""Linking: what a program may name, what it gets, and what is said where that does not fit."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from typing import Any

import artifact_flows as flows
import msgspec
import pytest
from elsewhere import HERE, ROOT, python

from cascade_compiler import CompileError, Jump, Param, Registry, bind, compile, inject, resource, select_jump, task
from cascade_vm import LinkError, Program, assemble, disassemble, load, loads, registry
from cascade_vm.caching import MemoryCache


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


@pytest.fixture(scope="module")
def changing(tmp_path_factory) -> bytes:
    """The artifact of a module, made by a process of its own."""
    folder = tmp_path_factory.mktemp("changing")
    (folder / "changing.py").write_text(source())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\nimport changing\n"
        "from cascade_compiler import compile\ncompile(changing.flow).save(sys.argv[1] + '/flow.cbp')"
    )
    python(code, str(folder))
    return (folder / "flow.cbp").read_bytes()


class TestLinking:
    @pytest.fixture
    def folder(self, tmp_path, changing):
        """A folder with the module and its artifact."""
        (tmp_path / "changing.py").write_text(source())
        (tmp_path / "flow.cbp").write_bytes(changing)
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


# --- a registry that is given -----------------------------------------------------------------------------------------


class Unavailable(Exception):
    """What a retry may name."""


@task
def flaky(x: int) -> int:
    return x + 1


@task
def untold() -> object:
    return object()


@resource
def linking_store() -> Any:
    yield 40


@task
def look_up(x: int, store: Any = inject("linking_store")) -> int:
    return x + int(store)


@task
def steps(n: int) -> Any:
    return steps(n - 1) if n else flaky(1)


@task
def turn(n: int) -> Any:
    return Jump("again" if n else "end", {"n": n - 1} if n else "done")


@task(mode="thread")
def threaded(x: int) -> int:
    return x


HERE_TOO = [flaky, look_up, steps, turn, threaded, linking_store]


def everything() -> Any:
    """All that a program can name: tasks, a resource, exception classes, a table of a jump."""
    tried = flaky(look_up(1)).with_retry(2, on=(Unavailable, OSError))
    loop = bind(turn(Param("n", int, 3)), select_jump({"again": turn(0), "end": None}))
    return [tried, steps(2), loop, threaded(tried)]


def loaded(target: Any) -> Any:
    return loads(compile(target).to_bytes())


class TestGivenRegistry:
    def test_everything_comes_from_it(self):
        registry = Registry(HERE_TOO, errors=[Unavailable])
        for program in (loaded(everything()), compile(everything())):
            for engine in ("interpreter", "codegen"):
                assert program.link(registry=registry, engine=engine).run(n=5) == [42, 2, "done", 42]

    def test_caches_of_a_program_that_was_compiled_here(self):
        """They are what they were made with: no registry has them"""
        program = compile(untold().with_cache(MemoryCache()))
        linked = program.link(registry=Registry([untold]))
        assert linked.run() is linked.run() is program.run()

    def test_it_is_the_only_place(self):
        """What it holds under a name is what runs, though the process has another of that name"""
        program = loaded(flaky(1))
        fake = type("Fake", (), {"signature_text": flaky.task.signature_text})()
        fake.symbol, fake.fn, fake.is_async, fake.mode, fake.version = flaky.task.symbol, lambda x: -x, False, "inline", "1"
        assert program.link(registry=Registry([fake]), drift="ignore").run() == -1
        assert compile(flaky(1)).link(registry=Registry([fake])).run() == -1
        assert program.run() == 2

    def test_what_it_does_not_hold_is_said_in_one_error(self):
        with pytest.raises(LinkError) as caught:
            loaded(everything()).link(registry=Registry([flaky, threaded]))
        faults = caught.value.faults
        assert [fault.split(" ")[0] for fault in faults] == ["K03"] * 3 + ["K06"] * 2
        assert all("in the registry" in fault for fault in faults)
        assert any("test_linking:Unavailable" in fault and "errors=[...]" in fault for fault in faults)
        assert any("test_linking:linking_store: no @resource" in fault for fault in faults)
        assert caught.value.code == "K03"
        first, *listed, third, sixth = str(caught.value).split("\n")
        assert (first, listed) == ("5 parts of the program cannot be linked:", [f"  {fault}" for fault in faults])
        assert third == "For K03: give the task that name again, @task(name=...), or compile the program again"
        assert sixth == "For K06: define it there again, or compile the program again"

    def test_names_that_are_near(self):
        text = disassemble(loaded(everything()))
        text = text.replace(":flaky", ":flakey").replace(":linking_store", ":linking_stores").replace(":Unavailable", ":Unavailible")
        with pytest.raises(LinkError) as caught:
            assemble(text).link(registry=Registry(HERE_TOO, errors=[Unavailable]))
        assert [fault.partition("near it: ")[2].split(", ")[0] for fault in caught.value.faults] == [
            f"test_linking:{name}" for name in ("flaky", "Unavailable", "linking_store")
        ]

    def test_it_is_as_strict(self):
        for old, new, says in (("thread", "process", "mode"), ("(x)", "(x, y)", "signature"), ("1", "2", "version")):
            program = changed_symbol(loaded(threaded(1)), old, new)
            with pytest.raises(LinkError, match=says) as caught:
                program.link(registry=Registry(HERE_TOO))
            assert caught.value.code == "K04"

    def test_nothing_is_imported(self, tmp_path):
        """No module is in ``sys.modules`` that was not there before, also where the program names some that could be imported"""
        compile(flows.small).save(tmp_path / "small.cbp")
        code = (
            "import sys\nfrom cascade_compiler import task, Registry\nfrom cascade_vm import load, LinkError\n"
            "import difflib, asyncio, cascade_vm.linker, cascade_vm.asyncio_driver\n"  # what the machine itself brings, later
            "p = load(sys.argv[1])\nbefore = set(sys.modules)\n"
            "try: p.link(registry=Registry())\nexcept LinkError as e: print(len(e.faults), e.code)\n"
            "def double(x: int) -> int: return 2 * x\n"
            "def collect(*args, **kwargs): return args, kwargs\n"
            "async def later(x): return x\n"
            "for f in (double, collect, later): f.__module__ = 'artifact_flows'\n"
            "made = [task(f) for f in (double, collect, later)]\n"
            "print(p.link(registry=Registry(made), drift='ignore').run(x=5))\n"
            "print(sorted(set(sys.modules) - before))"
        )
        assert python(code, str(tmp_path / "small.cbp")) == "3 K03\n((10, ['d', {'k': (5,)}]), {'k': 4})\n[]\n"

    def test_allow_has_no_say(self):
        program = loads(compile(flaky(1)).to_bytes(), allow=["somewhere"])
        assert program.link(registry=Registry([flaky])).run() == 2
        with pytest.raises(ValueError, match="leave one of them out"):
            program.link(registry=Registry([flaky]), allow=["test_linking"])
        for wrong in ([flaky], {"flaky": flaky}, registry):
            with pytest.raises(TypeError, match="Registry"):
                program.link(registry=wrong)

    def test_builtin_exceptions_need_not_be_given(self):
        program = loaded(flaky(1).with_retry(2, on=(OSError, KeyError)))
        assert program.link(registry=Registry([flaky])).run() == 2
        with pytest.raises(LinkError, match="no exception class of that name") as caught:
            assemble(disassemble(program).replace("builtins:OSError", "builtins:print")).link(registry=Registry([flaky]))
        assert caught.value.code == "K06"


class TestRegistry:
    def test_filling_it(self):
        made = Registry([flaky])
        made.add(flaky, look_up, linking_store, errors=[Unavailable])
        made.add(turn.task)
        assert made.symbols() == [f"test_linking:{name}" for name in ("flaky", "look_up", "turn")]
        assert made.resource_symbols() == ["test_linking:linking_store"]
        assert made.error_symbols() == ["test_linking:Unavailable"]
        assert repr(made) == "<Registry: 3 tasks, 1 resources, 1 errors>"
        assert made.lookup("test_linking:flaky") is flaky.task
        assert made.lookup("test_linking:gone") is made.lookup_resource("test_linking:gone") is made.lookup_error("x:y") is None

    @pytest.mark.parametrize(
        ("thing", "says"),
        [(len, "the function len: decorate it"), (flows.small, "a workflow: give the tasks"), (Unavailable, r"errors=\["), (3, "type int"),
         (flows.double(1), "a call of a task: give the task itself"), (int, "a class"), ("artifact_flows:double", "type str")],
    )  # fmt: skip
    def test_what_is_neither(self, thing, says):
        made = Registry()
        with pytest.raises(TypeError, match=says):
            made.add(flaky, thing)
        assert made.symbols() == []  # all or nothing

    @pytest.mark.parametrize("error", [int, 3, "ValueError", KeyboardInterrupt, ValueError()])
    def test_what_is_no_exception_class(self, error):
        with pytest.raises(TypeError, match="exception classes"):
            Registry(errors=[error])

    def test_one_name_for_two_things(self):
        other = task(name="flaky")(flaky.fn)
        try:
            with pytest.raises(ValueError, match=r"another test_linking\.flaky"):
                Registry([flaky, other])
        finally:
            registry.register(flaky.task)


def changed_symbol(program: Any, old: str, new: str) -> Any:
    """The program with one text of its only symbol replaced."""
    (blueprint,) = program.data.blueprints
    (symbol,) = blueprint.symbols
    fields = {name: new for name in symbol.__struct_fields__ if getattr(symbol, name) == old}
    blueprint = msgspec.structs.replace(blueprint, symbols=(msgspec.structs.replace(symbol, **fields),))
    return Program(msgspec.structs.replace(program.data, blueprints=(blueprint,)), program.source_maps)


# --- faults -----------------------------------------------------------------------------------------------------------


class TestFaults:
    def test_codes_in_the_order_of_the_faults(self):
        """Tasks by name, then policies, then resources; the code is that of the first"""
        text = disassemble(loaded(everything())).replace("test_linking:look_up", "os:system").replace("test_linking:steps", "no_such.mod:x")
        text = text.replace(":turn", ":trun").replace(":Unavailable", ":Gone").replace(":linking_store", ":nothing")
        with pytest.raises(LinkError) as caught:
            assemble(text).link(allow=["test_linking", "no_such"])
        assert [fault.split(" ")[:2] for fault in caught.value.faults] == [
            ["K01", "no_such.mod:x:"], ["K02", "os:system:"], ["K03", "test_linking:trun:"], ["K06", "test_linking:Gone:"],
            ["K06", "test_linking:nothing:"],
        ]  # fmt: skip
        assert caught.value.code == "K01"
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.code, again.faults, str(again)) == ("K01", caught.value.faults, str(caught.value))

    def test_near_modules_and_resources(self):
        text = disassemble(loaded(look_up(1))).replace("test_linking:look_up", "test_linkign:look_up").replace(":linking_s", ":lnking_s")
        with pytest.raises(LinkError) as caught:
            assemble(text).link()
        assert "No module named 'test_linkign'; near it: test_linking" in caught.value.faults[0]
        assert "near it: test_linking:linking_store" in caught.value.faults[1]

    def test_a_program_that_fits_not_at_all(self):
        """Names near to a few of its faults are enough: to look for them takes long"""
        tasks = [changed_symbol(loaded(flaky(1)), flaky.task.symbol, f"test_linking:fluky{n}").data for n in range(50)]
        (first, *_), symbols = tasks[0].blueprints, tuple(one.blueprints[0].symbols[0] for one in tasks)
        data = msgspec.structs.replace(tasks[0], blueprints=(msgspec.structs.replace(first, symbols=symbols),))
        with pytest.raises(LinkError) as caught:
            Program(data, {}).link()
        assert len(caught.value.faults) == 50
        assert [("near it" in fault) for fault in caught.value.faults] == [True] * 20 + [False] * 30

    def test_a_module_that_fails_is_imported_once(self, tmp_path):
        (tmp_path / "failing_module.py").write_text("import sys\nsys.stdout.write('imported ')\n1 / 0\n")
        compile([flows.double(1), flows.later(2), flows.collect(3)]).save(tmp_path / "x.cbp")
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\nfrom cascade_vm import load, LinkError, assemble, disassemble\n"
            "p = assemble(disassemble(load(sys.argv[1] + '/x.cbp')).replace('artifact_flows:', 'failing_module:'))\n"
            "try: p.link()\nexcept LinkError as e: print(len(e.faults), e.code)"
        )
        assert python(code, str(tmp_path)) == "imported 3 K01\n"

    def test_a_module_that_is_not_there_after_its_import(self, tmp_path):
        """It takes itself out of ``sys.modules``, or puts something else there"""
        (tmp_path / "odd.py").write_text("import sys\nclass Slots: __slots__ = ()\nsys.modules[__name__] = Slots()\n")
        program = loaded(flaky(1).with_retry(2, on=Unavailable))
        program.save(tmp_path / "x.cbp")
        code = (
            "import sys; sys.path[:0] = sys.argv[1:]\nfrom cascade_vm import load, LinkError, assemble, disassemble\n"
            "p = assemble(disassemble(load(sys.argv[1] + '/x.cbp')).replace('test_linking:', 'odd:'))\n"
            "try: p.link()\nexcept LinkError as e: print([fault[:3] for fault in e.faults])"
        )
        assert python(code, str(tmp_path)) == "['K03', 'K06']\n"


class TestNothingIsImportedBefore:
    """Loading a file, good or bad, imports none of the modules that it names, and nothing that is not Cascade's or Python's."""

    CODE = (
        "import sys\nfrom cascade_vm import loads, verify, LoadError, VerifyError\n"
        "import cascade_vm.listing, cascade_vm.assembler\n"  # what verify needs to show faults
        "good = open(sys.argv[1], 'rb').read()\nloads(good)\n"
        "before = set(sys.modules)\n"
        "def refused(content):\n"
        "    try: loads(content)\n    except (LoadError, VerifyError) as e: return e.code\n"
        "codes = {refused(good[:n]) for n in range(0, len(good), 7)} | {refused(good[:n] + bytes([good[n] ^ 1]) + good[n + 1:])"
        " for n in range(0, len(good), 7)}\n"
        "p = loads(good); verify(p); p.inputs; p.symbols; p.fingerprints; p.provenance; repr(p)\n"
        "print(sorted(c for c in codes if c), sorted(set(sys.modules) - before), 'artifact_flows' in sys.modules)"
    )

    def test_in_a_process_of_its_own(self, tmp_path):
        compile(flows.rich).save(tmp_path / "rich.cbp")
        said = python(self.CODE, str(tmp_path / "rich.cbp"))
        assert said.endswith(" [] False\n")
        assert "'L02'" in said
        assert "'L05'" in said
