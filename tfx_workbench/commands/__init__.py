"""The commands of `tfx-workbench`, one file each: what they do and what they print. No Qt, no torch."""
