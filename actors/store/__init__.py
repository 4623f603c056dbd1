"""Parts of the store (`store_actor`): where records can be kept, and whose they are."""
