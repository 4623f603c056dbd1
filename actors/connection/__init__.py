"""Parts of the master connection (`connection_actor`): state table, calls, routing of events, who leads."""
