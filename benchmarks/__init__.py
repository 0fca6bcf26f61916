"""Measurements of speed and memory, always as ratios within one run. `python -m benchmarks` runs all."""
