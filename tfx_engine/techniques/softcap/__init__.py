"""Slot `softcap`: a bound on the attention's scores. `build` gives scores -> scores, or None for no bound."""
