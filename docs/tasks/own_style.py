"""A figure in one's own style: own axes, own colours, own words."""

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
prompts = jc.problems.contextual_bandit(np.array([[1.0, 0.8, 0.2], [0.3, 0.5, 0.45]]))
helpful, honest = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[0, 1.0, 0], [0, 0, 1.0]])
ds = jc.studies.phase_diagram(prompts, None, helpful, honest, extent=(-1, 1, -1, 1), resolution=200)

with plt.rc_context({"font.family": "serif", "axes.titlesize": 11}):
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    colours = plt.get_cmap("cividis")(np.linspace(0.1, 0.9, ds.sizes["region"]))
    jc.figures.phase_diagram(ds, axes=axes, names=("helpfulness", "honesty"), colors=colours)
    axes[0].set_title("What the assistant answers")
    axes[0].axvline(0.2, color="black", ls=":")
print(f"{ds.sizes['region']} policies, drawn on {len(figure.axes)} axes")
