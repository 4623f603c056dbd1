"""Parts of the failure actor: what a sandbox says, and what to try."""
