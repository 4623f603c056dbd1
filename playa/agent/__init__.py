"""The agent of the embedded cluster: tasks, executors, sandboxes, and what the master and executors hear of them.

What does not belong here: offers, roles, allocation and frameworks' connections (the master's rooms of `playa`), and anything
that a client would import: executors and schedulers reach an agent over HTTP only.
"""
