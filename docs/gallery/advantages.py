"""What a training run makes of ties: dead groups, and nearly dead ones."""

import numpy as np

import jaxcliff as jc

rng = np.random.default_rng(0)
steps, prompts, rollouts = 40, 16, 8
chance = np.clip(np.linspace(0.2, 0.98, steps)[:, None] + 0.2 * rng.normal(size=(steps, prompts)), 0, 1)
right = rng.random((steps, prompts, rollouts)) < chance[..., None]
log = {"step": np.repeat(np.arange(steps), prompts * rollouts)}
log["prompt"] = np.tile(np.repeat([f"question {i}" for i in range(prompts)], rollouts), steps)
log["completion"] = [f"rollout {i}" for i in range(right.size)]
log["accuracy"] = right.ravel().astype(float)
log["brevity"] = 0.001 * rng.random(right.size).round(1)
found = jc.audit(log, group="step", rewards=["accuracy", "brevity"])
figure = jc.figures.advantages(found.to_dataset())
