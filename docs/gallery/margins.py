"""By how much the best answers win."""

import numpy as np

import jaxcliff as jc

rng = np.random.default_rng(0)
quality = rng.normal(size=(400, 8))
table = {"prompt": np.repeat(np.arange(400), 8), "answer": np.tile(np.arange(8), 400)}
table["helpful_score"] = (quality + 0.3 * rng.normal(size=(400, 8))).ravel().round(2)
figure = jc.figures.margins(jc.audit(table, noise=0.3).to_dataset())
