"""The engine service: a queue of runs, one worker process at a time, JSON lines over stdio. Never imports torch."""
