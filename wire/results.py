"""How a task's end travels from executor to scheduler, in the fields of its last status update."""

RETRY_LABEL = "mesostic.retry"
"""With "false", another attempt cannot help."""

MAX_RESULT = 1024 * 1024
"""Most bytes of data in a status update. Mesos sets no limit of its own, but the update passes agent, master
and scheduler as one message, and is kept until it is acknowledged."""
