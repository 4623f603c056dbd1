"""The agent of the embedded cluster: tasks, executors, sandboxes, and what the master and executors hear of them.

What belongs here: the agent actor and its HTTP site, the executor API from the agent's side, the built-in command and
default executors, processes and sandboxes, the fetcher, health checks, the status update manager, checkpoints.

What does not: offers, roles, allocation and frameworks' connections (the master's rooms of `playa`), and anything that
a client would import: executors and schedulers reach an agent over HTTP only.
"""
