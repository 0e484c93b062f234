"""Slot `mixer`: how tokens exchange information: by attention, or by what came before it. B batch, T tokens, D width.

`build(options, config, make_attention)` gives a module (x_BTD, context) -> x_BTD; `make_attention()` makes the
attention that the other slots describe.
"""
