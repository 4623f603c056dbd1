"""RENDLER, a rendering web crawler: a crawl queue and a render queue, drained at the rate of the offers.

The pure parts know no actors: `web`, `frontier`. Around them stand the actors: `scheduler` (what to do next), `crawl_executor` and
`render_executor` (doing it, on the agents), `results_actor` (writing it, with `drawings`), `display_actor` (showing it).
"""
