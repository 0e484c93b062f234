"""What a fresh process does once and slowly, done before anybody waits for it.

The first optimiser loads torch's compiler front end (about a second), the first matrix product starts the threads, the
first profile loads the profiler. Nothing of it stays allocated. What is loaded is never garbage: to look through all of
it for some takes Python a tenth of a second, in which neither a step nor an answer goes on, so that it is left out.
"""

from __future__ import annotations

import gc

import torch
import torch.nn.functional as F

from tfx_engine.measure.memory_events import warm_up_profiler
from tfx_engine.techniques.catalogue import discover


def warm_up() -> None:
    """Load and start everything that the first step of a run would load and start."""
    discover()
    weight = torch.nn.Parameter(torch.zeros(64, 64))
    optimizer = torch.optim.AdamW([weight])
    x_TD = torch.zeros(64, 64) @ weight
    q_BHTK = x_TD.view(1, 1, 64, 64)
    y_BHTK = F.scaled_dot_product_attention(q_BHTK, q_BHTK, q_BHTK, is_causal=True)
    F.cross_entropy(y_BHTK.view(64, 64), torch.zeros(64, dtype=torch.long)).backward()
    optimizer.step()
    warm_up_profiler()
    gc.freeze()
