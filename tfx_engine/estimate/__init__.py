"""What a configuration will cost, in closed form: parameters and FLOPs, from what its techniques declare."""

from __future__ import annotations

from tfx_engine.estimate.flops import Flops, flops_by_component, flops_per_token
from tfx_engine.estimate.parameters import Parameters, count_parameters

__all__ = ["Flops", "Parameters", "count_parameters", "flops_by_component", "flops_per_token"]
