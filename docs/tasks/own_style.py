"""A figure in one's own style: own axes, own colours, own words."""

import io

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
prompts = jc.problems.contextual_bandit(np.array([[1.0, 0.8, 0.2], [0.3, 0.5, 0.45]]))
helpful, honest = np.array([[1.0, 0, 0], [0, 1.0, 0]]), np.array([[0, 1.0, 0], [0, 0, 1.0]])
ds = jc.studies.phase_diagram(prompts, None, helpful, honest, extent=(-1, 1, -1, 1), resolution=200)

answers = ds.optimal.argmax("action").values  # of every region: which answer each prompt gets
with plt.rc_context({"font.family": "serif", "axes.titlesize": 11}):
    figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
    jc.figures.phase_diagram(
        ds,
        axes=axes,
        names=("helpfulness", "honesty"),
        colors=plt.get_cmap("cividis")(np.linspace(0.2, 0.95, ds.sizes["region"])),
        labels=[f"answers {one} and {two}" for one, two in answers],
    )
    axes.axvline(0.2, color="black", ls=":")
    axes.text(0.22, -0.9, "what we ship")
figure.savefig(io.BytesIO(), format="pdf")
print(f"{ds.sizes['region']} policies, in {axes.xaxis.label.get_family()[0]}")
