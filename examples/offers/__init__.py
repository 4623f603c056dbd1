"""Offers in hand: a scheduler with the classical callbacks of Mesos, which decides by itself what each offer is for."""
