"""How many graphs are drawn, and how."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, seed, settings

from cascade_compiler.testing import GraphSpec, graph_specs

EXAMPLES = int(os.environ.get("CASCADE_EXAMPLES", "240"))
IN_A_RUN = 6  # a long run of Hypothesis draws most graphs as variations of others


def try_all(check: Callable[[GraphSpec], object], share: float, focus: str | None = None) -> None:
    """Call ``check`` with drawn graphs, as many as are this share of all."""
    for number in range(max(1, round(EXAMPLES * share / IN_A_RUN))):

        @seed(number if "CASCADE_EXAMPLES" not in os.environ else random.getrandbits(64))
        @settings(max_examples=IN_A_RUN, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(spec=graph_specs(focus=focus))
        def drawn(spec: GraphSpec) -> None:
            check(spec)

        drawn()
