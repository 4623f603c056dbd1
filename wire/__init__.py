"""What the two sides of a framework, scheduler and executor, have agreed on. Neither imports the other; both import this."""
