"""Parts of the master connection (`connection_actor`): state table, calls, the stream, who leads."""
