"""Slot `attention`: a module (x_BTD, mask) -> x_BTD through which tokens exchange information."""
