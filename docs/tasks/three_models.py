"""Three reward models score answers: which prompts change their answer when one model is left out, as a CSV file."""

import csv
import pathlib
import tempfile

import jax
import numpy as np

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
quality = rng.normal(size=(40, 4))
rows = [
    {"context": f"prompt {s}", "action": f"answer {a}"}
    | {name: quality[s, a] + 0.8 * rng.normal() for name in ("helpful", "honest", "harmless")}
    for s in range(40)
    for a in range(4)
]
scores = jc.problems.from_scores(rows)
mdp, rewards = scores
base = jc.optimal_actions(jc.solve(mdp)).optimal
out = pathlib.Path(tempfile.mkdtemp()) / "flips.csv"
with out.open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["prompt", "left out", "before", "after", "margin"])
    margin = {m.state: m.margin for m in jc.nearest_cliff(mdp).ranking(mdp.num_states)}
    for k, name in enumerate(scores.names):
        rest = np.delete(np.asarray(rewards), k, axis=0).mean(axis=0)
        moved = jc.optimal_actions(jc.solve(mdp, rest)).optimal
        for s in np.flatnonzero((base != moved).any(axis=-1)):
            names = [mdp.labels.action(int(which[s].argmax()), s) for which in (base, moved)]
            table.writerow([mdp.labels.state(s), name, *names, f"{margin[s]:.3f}"])
print(out.read_text())
