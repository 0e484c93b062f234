"""What can be shown of runs: pure functions from runs and choices to an `Exhibit`. One file each; no Qt."""
