"""The verdict on a problem in words: ties first, then the nearest cliff, margins, noise, and what would mend it."""

from typing import Any

import numpy as np

from jaxcliff.cliffs.noise import flip_probability
from jaxcliff.cliffs.radius import NearestCliff
from jaxcliff.cliffs.repair import repair
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.solve import solve

DRAWS = 20_000  # of noise
SHOWN = 5  # of ties, and of the states nearest to flipping
LARGEST_PROGRAMME = 20_000  # entries of the reward for which a repair is computed


def words(mdp: MDP, near: NearestCliff, key: Any = None) -> str:
    """A few lines; what the arithmetic could not decide is said to be undecided. Without a key no noise is drawn."""
    labels, walls, tie = mdp.labels, near.walls, near.walls.tie_tolerance
    span = float(solve(mdp).span) or 1.0
    lines = []
    if ties := near.tied_actions():
        lines.append(f"Ties: {len(ties)}; any change, however small, can break them: {_some(ties)}.")
    if unsure := near.undecided_actions():
        lines.append(f"Undecided: {len(unsure)}; the arithmetic cannot tell whether these tie: {_some(unsure)}.")
    if not ties and not unsure:
        lines += ["Ties: none.", _sentence(near.summary())]
    elif unsure:
        lines.append(f"The nearest cliff is at {float(near.upper):.4g} or nearer.")
    no_tie = ~(walls.tied | walls.undecided)
    ranking = [m for m in near.ranking(len(walls.gap)) if no_tie[m.state, m.enters]][:SHOWN]
    if ranking:
        lines.append("States nearest to flipping, by their margins (true distances only if nothing else flips first):")
        for m in ranking:
            switch = f"{labels.action(m.leaves, m.state)} to {labels.action(m.enters, m.state)}"
            lines.append(f"  {m.margin:.4g}  {labels.state(m.state)}: from {switch}")
    first = " (of actions that tie, the first is taken)" if ties or unsure else ""
    for share in (0.001, 0.01):
        noise = flip_probability(mdp, sigma=share * span, tie_tolerance=tie, key=key, count=DRAWS)
        found = f"{noise.estimate:.3g} (± {noise.standard_error:.1g})" if noise.count else f"{noise.lower:.3g} or more"
        lines.append(
            f"Noise of {share:.1%} of the reward's span on every entry changes the optimal policy{first} "
            f"with probability {found}."
        )
    clear = np.isfinite(near.radius) and not near.tied and not near.undecided
    wanted = 2 * float(near.radius) if clear else 0.01 * span
    if mdp.reward.size <= LARGEST_PROGRAMME and np.isfinite(near.margin):
        mended = repair(mdp, walls.actions, radius=wanted, tie_tolerance=tie)
        if mended.feasible:
            lines.append(
                f"To keep this policy (ties to the first action) safe from errors up to {wanted:.4g}, change the "
                f"reward by {mended.size:.4g} at most in any entry."
            )
        else:
            lines.append(_sentence(mended.summary()))
    return "\n".join(lines)


def _some(things: list[str]) -> str:
    more = f" (and {len(things) - SHOWN} more)" if len(things) > SHOWN else ""
    return f"{'; '.join(things[:SHOWN])}{more}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
