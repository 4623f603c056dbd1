"""An agent killed and started again: what it wrote down, and how it takes up from there."""
