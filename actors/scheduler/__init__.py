"""Parts of the scheduler actors: the author's class and hooks, tasks launched and remembered, executors described, maintenance."""
