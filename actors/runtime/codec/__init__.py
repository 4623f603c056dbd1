"""Messages to bytes and back, and the values that they may hold. Private to the runtime."""
