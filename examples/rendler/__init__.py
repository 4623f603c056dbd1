"""RENDLER, a rendering web crawler: a crawl queue and a render queue, drained at the rate of the offers.

The pure parts come first and know no actors: `urls`, `links`, `robots`, `frontier`, `politeness`, `report`. Around them
stand the actors: `scheduler` (what to do next), `crawl_executor` and `render_executor` (doing it, on the agents),
`results_actor` (keeping and writing it) and `display_actor` (showing it). `messages` is the vocabulary they share.
"""
