"""Arithmetic of cones and linear families of rewards, on the host in float64 whatever JAX's switch is."""
