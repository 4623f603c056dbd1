"""Parts of a running task (`task_actor`): state table, what it is given, what it reports."""
