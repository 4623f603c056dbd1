"""Parts of the task actor: its state table, its own messages."""
