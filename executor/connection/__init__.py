"""Parts of the agent connection (`connection_actor`): state table, wire, what is not acknowledged yet."""
