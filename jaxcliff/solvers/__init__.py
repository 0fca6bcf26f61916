"""Reward → values: certified solutions of the Bellman equation for whole batches of rewards."""
