"""Which reward models choose different answers."""

import numpy as np

import jaxcliff as jc

rng = np.random.default_rng(0)
quality = rng.normal(size=(400, 8))
table = {"prompt": np.repeat(np.arange(400), 8), "answer": np.tile(np.arange(8), 400)}
for name, error in (("helpful", 0.3), ("honest", 0.7), ("harmless", 1.1)):
    table[f"{name}_score"] = (quality + error * rng.normal(size=(400, 8))).ravel().round(2)
figure = jc.figures.conflicts(jc.audit(table, noise=0.3).to_dataset())
