"""What is stored: the durable values of tasks, operations and uploads, which a restart reads back."""
