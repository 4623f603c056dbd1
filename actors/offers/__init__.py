"""Parts of the broker (`offer_actor`): demands that wait, how they are matched to offers, the ACCEPT that follows."""
