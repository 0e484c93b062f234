"""Which techniques the closed forms know. Of a configuration with any other, nobody shall read a wrong count."""

from __future__ import annotations

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

NOT_COUNTED = tr_mark("The closed forms do not know {names} yet.")
_KNOWN = {
    "position": {"none", "sinusoidal", "learned"}, "attention": {"multi_head"}, "placement": {"pre_norm", "post_norm"},
    "norm": {"layer_norm"}, "feedforward": {"gelu"}, "embedding": {"token"}, "head": {"tied", "untied"},
    "recompute": {"none", "every_block"}, "adapter": {"none", "lora"},
}  # masks, precisions, optimizers and schedules bring neither parameters nor matrix products


def unknown_techniques(config: Config) -> tuple[str, ...]:
    """Techniques of a configuration, as "slot/name", whose parameters and FLOPs the closed forms cannot count."""
    uses = {slot: config.use(slot) for slot in _KNOWN}
    return tuple(f"{slot}/{name}" for slot, name in uses.items() if name not in _KNOWN[slot])
