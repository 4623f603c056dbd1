"""Status updates: written, kept in order, sent until acknowledged."""
