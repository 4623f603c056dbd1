"""What executors ask of the framework's server, with the token of their start-up letter.

`PUT /uploads/<name>` is answered 201 with JSON `{"name", "url", "size"}`; `PUT /traces/<executor>?offset=N`, with the bytes
of the trace from N on, 204, or 409 with `{"offset": M}` when the server has only M bytes.
"""

UPLOADS = "/uploads"
TRACES = "/traces"
TASK_HEADER = "Mesostic-Task"
"""Whose upload it is: the task's id, quoted."""
MAX_TRACE_PIECE = 1024 * 1024
