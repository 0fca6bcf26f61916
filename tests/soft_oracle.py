"""Independent reference for regularised problems: 60 digits, from the definitions of the regularisers.

Every multiplier is found by bisection, every fixed point by soft policy iteration in arb arithmetic. Reads only the
stored floats and shares no code with the solvers.
"""

import flint
import numpy as np

import jaxcliff as jc

PRECISION = 420  # bits: a multiplier next to a pole loses a hundred
SETTLED = flint.arb(2) ** -380


def arb(x):
    return flint.arb(flint.fmpq(*float(x).as_integer_ratio()))


def power(x, exponent):
    return flint.arb(0) if x == 0 and exponent > 0 else x ** flint.arb(exponent)


class CressieRead:
    def __init__(self, order):
        self.order, self.p = order, flint.arb(order) - 1

    def f(self, u):
        o = flint.arb(self.order)
        if self.order == 0:
            return -u.log() + u - 1
        return (power(u, self.order) - 1) / (o * self.p) - (u - 1) / self.p

    def ratio(self, y):
        reach = 1 + self.p * y
        if reach <= 0:
            return flint.arb(0) if self.p > 0 else None
        return reach ** (1 / self.p)

    def slope(self, u):
        return (u**self.p - 1) / self.p


class JensenShannon:
    def f(self, u):
        first = u * u.log() if u > 0 else flint.arb(0)
        return first - (u + 1) * ((u + 1) / 2).log()

    def ratio(self, y):
        return None if 2 - y.exp() <= 0 else y.exp() / (2 - y.exp())

    def slope(self, u):
        return (2 * u / (u + 1)).log()


NAMED = {
    "jensen_shannon": JensenShannon(),
    "forward_kl": CressieRead(0),
    "chi_square": CressieRead(2),
    "hellinger": CressieRead(0.5),
}


def exponential(q, base, strength):
    top = max(q)
    weight = [b * ((x - top) / strength).exp() for x, b in zip(q, base, strict=True)]
    total = sum(weight)
    return top + strength * total.log(), [w / total for w in weight]


def by_multiplier(q, base, strength, divergence):
    """max Σπq − strength·Σ b f(π/b) by bisection of Σ b (f')⁻¹((q − λ)/strength) = 1."""
    x = [(v - max(q)) / strength for v in q]

    def masses(multiplier):
        ratios = [divergence.ratio(v - multiplier) for v in x]
        return None if None in ratios else [b * r for b, r in zip(base, ratios, strict=True)]

    low = max(v - divergence.slope(1 / b) for v, b in zip(x, base, strict=True)).mid()
    high = flint.arb(0)
    while high - low > SETTLED * abs(low):
        middle = ((low + high) / 2).mid()
        if middle in (low, high):
            break
        found = masses(middle)
        low, high = (middle, high) if found is None or sum(found) > 1 else (low, middle)
    found = masses(high)
    total = sum(found)
    policy = [m / total for m in found]
    penalty = sum(b * divergence.f(p / b) for p, b in zip(policy, base, strict=True))
    return sum(p * v for p, v in zip(policy, q, strict=True)) - strength * penalty, policy


def soften(regularizer, q, base, strength):
    """(V, π) of one state from its legal action values."""
    if strength == 0:
        best = q.index(max(q))
        return q[best], [flint.arb(a == best) for a in range(len(q))]
    if isinstance(regularizer, jc.Entropy):
        return exponential(q, [flint.arb(1)] * len(q), strength)
    total = sum(base)
    base = [b / total for b in base]
    if isinstance(regularizer, jc.KL):
        return exponential(q, base, strength)
    if isinstance(regularizer, jc.Sparsemax):
        n = len(q)
        value, policy = by_multiplier(q, [flint.arb(1) / n] * n, strength / n, NAMED["chi_square"])
        return value + strength / 2 * (1 - flint.arb(1) / n), policy
    choice = regularizer.divergence
    return by_multiplier(q, base, strength, NAMED.get(choice) or CressieRead(choice))


def solve(problem, regularizer, strength, base):
    """(Q, V, π) at 60 digits: {(s, a): Q}, {s: V}, {(s, a): π}, for strength [S] and base [S, A] of this lane."""
    flint.ctx.prec = PRECISION
    counts = problem.counts & (np.asarray(base) > 0)
    gamma = arb(problem.discount)
    states = [int(s) for s in problem.free]
    actions = {s: [int(a) for a in np.flatnonzero(counts[s])] for s in states}
    rows = {}
    for s in states:
        for a in actions[s]:
            entries = {int(t): arb(problem.p[s, a, t]) for t in np.flatnonzero(problem.p[s, a])}
            total = sum(entries.values(), flint.arb(0))
            rows[s, a] = {t: x / total for t, x in entries.items() if not problem.terminal[t]}
    value = dict.fromkeys(states, flint.arb(0))
    for _ in range(300):
        q = {
            (s, a): (
                arb(problem.reward[s, a]) + gamma * sum((x * value[t] for t, x in rows[s, a].items()), flint.arb(0))
            ).mid()
            for s in states
            for a in actions[s]
        }
        soft = {
            s: soften(
                regularizer, [q[s, a] for a in actions[s]], [arb(base[s, a]) for a in actions[s]], arb(strength[s])
            )
            for s in states
        }
        change = max(abs(soft[s][0] - value[s]) for s in states)
        size = max(abs(v) for v, _ in soft.values())
        policy = {(s, a): soft[s][1][i] for s in states for i, a in enumerate(actions[s])}
        if change < flint.arb(10) ** -45 * (1 + size):
            return q, {s: soft[s][0].mid() for s in states}, policy
        place = {s: i for i, s in enumerate(states)}
        system = [[flint.arb(int(i == j)) for j in range(len(states))] for i in range(len(states))]
        received = []
        for s in states:
            own = sum(policy[s, a] * q[s, a] for a in actions[s])
            received.append([sum(policy[s, a] * arb(problem.reward[s, a]) for a in actions[s]) + soft[s][0] - own])
            for a in actions[s]:
                for t, x in rows[s, a].items():
                    system[place[s]][place[t]] -= gamma * policy[s, a] * x
        middle = flint.arb_mat([[x.mid() for x in row] for row in system])
        solved = middle.solve(flint.arb_mat([[x.mid() for x in row] for row in received]))
        value = {s: solved[place[s], 0].mid() for s in states}
    raise AssertionError("the reference did not settle")
