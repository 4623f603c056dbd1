"""Parts of the operation actor: its state table."""
