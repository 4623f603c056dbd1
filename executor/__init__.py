"""The executor side: a process on an agent that runs an author's tasks, made of actors.

Here belong the agent connection, the executor, one actor for each running task, and the class that authors subclass
(`executor.author`). Here does not belong anything of the scheduler side (never imported), nor what runs an executor for Mesos
(the agent). It imports nothing, so that `__main__` can say what an agent's Python lacks.
"""
