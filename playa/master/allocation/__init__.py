"""Who is offered what: allocator, filters, quota, and the offers that come of it."""
