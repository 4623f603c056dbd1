"""The executor side: a process on an agent that runs an author's tasks, made of actors.

Nothing of the scheduler side belongs here, nor what runs an executor for Mesos (the agent). The package imports nothing, so that
`__main__` can say what an agent's Python lacks.
"""
