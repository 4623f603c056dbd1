"""Reading trace logs, whichever process wrote them, without the classes whose messages they hold."""
