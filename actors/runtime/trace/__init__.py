"""The trace log: what is noted, how it is written and read. Private to the runtime."""
