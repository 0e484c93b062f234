"""The engine service: JSON lines over stdio, the queue of runs, the launching of workers. No torch."""
