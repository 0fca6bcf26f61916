"""How many winners change as weight goes from one reward model to another."""

import numpy as np

import jaxcliff as jc


def scores(models, prompts=400, answers=8):
    """Answers of some quality, and models that see it with errors of their own."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(prompts, answers))
    table = {"prompt": np.repeat([f"question {i}" for i in range(prompts)], answers)}
    table["answer"] = np.tile([f"answer {i}" for i in range(answers)], prompts)
    for k, name in enumerate(models):
        table[f"{name}_score"] = (quality + (0.3 + 0.4 * k) * rng.normal(size=quality.shape)).ravel().round(2)
    return table


found = jc.audit(scores(["helpful", "honest", "harmless"]), noise=0.3)
figure = jc.figures.winners_over_weights(found.to_dataset())
