"""A decision problem of one's own, with names: its nearest cliff, and a map along two named features of its reward."""

import numpy as np

import jaxcliff as jc

states = ("start", "shortcut", "long way", "goal")
actions = ("safe", "fast")
follows = np.zeros((4, 2, 4))
follows[0] = [[0, 0, 1, 0], [0, 1, 0, 0]]  # the safe action takes the long way
follows[1] = [[0.5, 0, 0, 0.5], [0.2, 0, 0, 0.8]]  # the shortcut can lead back
follows[2] = [[0, 0, 0, 1], [0.1, 0, 0, 0.9]]
follows[3, :, 3] = 1
reward = np.array([[-1.0, -0.5], [0.0, 2.0], [1.5, 1.0], [0.0, 0.0]])
terminal = np.array([False, False, False, True])
labels = jc.Labels(states, actions, name="two ways home")
mdp = jc.problems.from_arrays(follows, reward, discount=0.9, terminal=terminal, labels=labels)

near = jc.nearest_cliff(mdp)
print(near.summary())
print(near.to_dataframe().to_string(index=False))

haste = np.array([[0, 1], [0, 1], [0, 1], [0, 0]])  # every fast action earns more
detours = np.array([[0, 0], [0, 0], [1, 1], [0, 0]])  # the long way earns more
ds = jc.studies.phase_diagram(mdp, None, haste, detours, extent=(-2, 2, -2, 2), resolution=128)
figure = jc.figures.phase_diagram(ds, names=("haste", "detours"))
print(f"{ds.sizes['region']} policies in the plane of haste and detours")
