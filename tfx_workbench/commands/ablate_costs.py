"""What the cells of an ablation are predicted to cost, asked of the engine; what it refuses is left out of the plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tfx_engine.client import Client, ServiceGone
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.analysis.ablation import Plan
from tfx_workbench.commands.engine import engine_gone
from tfx_workbench.commands.output import say

_TIMED = 12  # configurations of which the time of a step is predicted; the others are taken for their mean


def predicted_costs(plan: Plan, wanted: Collection[Any], instant: bool) -> tuple[Plan, list[dict[str, Any]]]:
    """The plan without what the engine refuses, and what it predicts of the cells with the `wanted` keys.

    Of the others nothing: `{}`. Raises `ConfigError`: the engine is gone, or refuses what all are compared with.
    """
    if not wanted:
        return plan, [{} for _ in plan.cells]
    configs = {cell.key[0]: cell.config for cell in plan.cells if cell.key in wanted}  # a seed changes no figure
    try:
        with Client(on_disconnect="stop") as client:
            answers = {levels: _estimated(client, config) for levels, config in configs.items()}
            legal = [levels for levels, answer in answers.items() if isinstance(answer, dict)]
            for number, levels in enumerate([] if instant else _spread(legal), start=1):
                say(tr_mark("predicting the time of a step: {number} of {all} ...").format(
                    number=number, all=min(len(legal), _TIMED)))
                answers[levels] = client.estimate(configs[levels], "traced")
    except ServiceGone as error:
        raise engine_gone(error) from error
    first = answers.get(plan.cells[0].key[0])
    if isinstance(first, tuple):
        raise ConfigError(first)
    refused = {i: answer for i, cell in enumerate(plan.cells)
               if cell.key in wanted and isinstance(answer := answers[cell.key[0]], tuple)}
    left = plan.without(refused)
    found = [answers.get(cell.key[0], {}) if cell.key in wanted else {} for cell in left.cells]
    return left, [answer if isinstance(answer, dict) else {} for answer in found]


def _estimated(client: Client, config: Mapping[str, Any]) -> dict[str, Any] | tuple[Problem, ...]:
    """What a configuration costs by closed forms; its problems where it cannot be run."""
    try:
        return client.estimate(config, "instant")
    except ConfigError as error:
        return error.problems


def _spread(all_of_them: Sequence[Any]) -> list[Any]:
    """As many as are asked how long a step takes, which needs seconds, from the first to the last."""
    count = min(len(all_of_them), _TIMED)
    return [all_of_them[round(i * (len(all_of_them) - 1) / max(1, count - 1))] for i in range(count)]
