"""One decision with and without entropy"""

import jaxcliff as jc

mdp = jc.problems.bandit([1.0, 0.95, 0.7, 0.2, 0.1])
ds = jc.studies.soft_against_hard(mdp, strength=[0.05, 0.2, 1.0])
figure = jc.figures.soft_against_hard(ds)
