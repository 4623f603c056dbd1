"""Parts of the store (`store_actor`): where records are kept."""
