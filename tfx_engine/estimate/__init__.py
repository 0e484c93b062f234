"""What a configuration will cost, in closed form: parameters and FLOPs. Imports no torch."""

from __future__ import annotations

from tfx_engine.estimate.flops import Flops, flops_per_token
from tfx_engine.estimate.known import NOT_COUNTED, unknown_techniques
from tfx_engine.estimate.parameters import Parameters, count_parameters

__all__ = ["NOT_COUNTED", "Flops", "Parameters", "count_parameters", "flops_per_token", "unknown_techniques"]
