"""The election of the process that leads, where several share a store."""
