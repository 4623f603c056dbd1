"""Executors at an agent: launched, subscribed, told, and ended."""
