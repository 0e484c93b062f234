"""One run from configuration to run file, phase by phase."""
