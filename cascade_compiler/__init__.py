"""Cascade's language and compiler: compose calls lazily, compile their shape once, run instructions."""

from cascade_compiler.ahead_of_time import compile
from cascade_compiler.api import arun, cycle_id, run
from cascade_compiler.cache import cache_clear, cache_info, cache_resize
from cascade_compiler.combining import pipeline, sequence
from cascade_compiler.edge_types import TypeMismatchWarning
from cascade_compiler.explaining import explain
from cascade_compiler.inputs import Env, Param, gather
from cascade_compiler.jumping import Jump, bind, select_jump
from cascade_compiler.lazy import LazyResult
from cascade_compiler.mapping import common
from cascade_compiler.node_kinds import literal
from cascade_compiler.resource import inject, resource
from cascade_compiler.routing import Router
from cascade_compiler.task import TaskFunction, task
from cascade_compiler.workflow import Workflow, workflow
from cascade_vm.errors import (
    CapacityError,
    CascadeError,
    CodeDriftWarning,
    CompileError,
    EventLoopRunning,
    InputError,
    InternalError,
    LazyUseError,
    LinkError,
    LoadError,
    ResourceError,
    RouteNotFound,
    TargetSkipped,
    VerifyError,
)
from cascade_vm.events import subscribe
from cascade_vm.registry import Registry

__all__ = [
    "CapacityError", "CascadeError", "CodeDriftWarning", "CompileError", "Env", "EventLoopRunning", "InputError", "InternalError",
    "Jump", "LazyResult", "LazyUseError", "LinkError", "LoadError", "Param", "Registry", "ResourceError", "RouteNotFound", "Router",
    "TargetSkipped", "TaskFunction", "TypeMismatchWarning", "VerifyError", "Workflow", "arun", "bind", "cache_clear", "cache_info",
    "cache_resize", "common", "compile", "cycle_id", "explain", "gather", "inject", "literal", "pipeline", "resource", "run",
    "select_jump", "sequence", "subscribe", "task", "workflow",
]  # fmt: skip
