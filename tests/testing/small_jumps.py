"""Jumps: from what a bound call returned to the call that goes on, or to the value at the end."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from small_graph import Step
from small_limits import Limits

from cascade_compiler.jumping import Jump
from cascade_compiler.lazy import LazyResult
from cascade_compiler.policy import NO_POLICY
from cascade_vm.errors import RouteNotFound
from cascade_vm.inputs import MISSING


class Jumps(Limits):
    def land(self, step: Step, jump: Jump) -> Any:
        """The route of a jump, with its data; at the end the data alone.

        :raises RouteNotFound: there is no such route.
        """
        table = step.lazy.policy.jumps if step.lazy.policy is not None else None
        routes = table._routes if table is not None else {}
        if jump.key not in routes and self.bug == "an unknown key ends the loop":
            return jump.data
        if jump.key not in routes:
            raise RouteNotFound(f"there is no route for {jump!r}")
        key = jump.key
        if self.bug == "a jump goes to the route that is written first":
            key = next(iter(routes))
        route = routes[key]
        if route is None:
            return None if jump.data is MISSING or self.bug == "the end of a loop drops its data" else jump.data
        data = self.data(route, jump.data)
        if self.bug == "a jump keeps the arguments of the call that it leaves":
            data = {**step.lazy.kwargs, **data}
        args, kwargs = list(route.args), dict(route.kwargs)
        names = list(route.task.signature.parameters)
        for name, value in data.items():
            if names.index(name) < len(args):
                args[names.index(name)] = value
            else:
                kwargs[name] = value
        lazy = LazyResult(route.task, tuple(args), kwargs, route.policy, route.code, route.lasti)
        if self.bug == "a jump computes what is overridden":
            lazy = lazy.after(*[value for value in route.kwargs.values() if type(value) is LazyResult])
        if self.bug == "a jump forgets the selector":
            return lazy
        policy = lazy.policy or NO_POLICY
        policy = policy if policy.jumps is not None else replace(policy, jumps=table)
        return LazyResult(route.task, lazy.args, lazy.kwargs, policy, route.code, route.lasti)

    def data(self, route: LazyResult, data: Any) -> dict[str, Any]:
        if data is MISSING or self.bug == "a jump drops its data":
            return {}
        names = list(route.task.signature.parameters)
        if type(data) is dict and self.bug != "a dict is taken as the first parameter":
            if self.bug == "a jump loses the last of its keywords" and len(data) > 1:
                return dict(list(data.items())[:-1])
            return data
        return {names[-1 if self.bug == "data goes to the last parameter" else 0]: data}
