"""Slot `qk_norm`: a norm on queries and keys before their scores. B batch, H query heads, G key heads, T tokens.

`build(options, config, shape)` gives a module (q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK), or None for no norm.
"""
