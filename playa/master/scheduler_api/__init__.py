"""The scheduler API: calls validated and carried out, frameworks and tasks tracked, events sent."""
