"""What an executor's container is made of: sandbox, fetched files, processes."""
