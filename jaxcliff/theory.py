"""Closed-form bounds and constants, each with its label: what figures overlay and tests assert.

Labels refer to "The Policy Cliff" (arXiv 2507.20150).
"""

from typing import Any


def safe_radius(gap: Any, steps: Any) -> Any:
    """g/(2L), which is g(1 − γ)/2: no reward nearer in the sup norm closes a gap of g (Theorem 2.7)."""
    return gap / (2 * steps)


def uniform_jump(ties: Any) -> Any:
    """(m − 1)/m: the jump of the uniform policy when one of m tied actions is preferred (Proposition 2.10)."""
    return (ties - 1) / ties
