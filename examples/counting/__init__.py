"""Counting exactly once, by what the scheduler keeps, however often it is killed."""
