"""How actors live: start, stop, failure, supervision, background work. Private to the runtime."""
