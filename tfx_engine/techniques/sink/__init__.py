"""Slot `sink`: a place that takes attention and gives nothing, so that a head may look at nothing at all.

`build(options, config, heads)` gives a module () -> logit_H, or None for no sink.
"""
