"""Cliffs: where the optimal policy jumps, exactly. Host geometry in float64, whatever JAX's switch is."""
