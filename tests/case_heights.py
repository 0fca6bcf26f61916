"""How high the cliff of a case study is, as certified optima show it."""

import numpy as np

import jaxcliff as jc


def uniform_of(case, values, knobs):
    """What is measured of the certified optimum at several values of the knob, ties shared equally.

    The tolerance is absolute: of two arms the gap is all of the span, and no fraction of it is rounding.
    """
    rewards = case.along(values, **knobs)
    acts = jc.optimal_actions(
        jc.solve(case.mdp(**knobs), rewards), 1e-11 * max(1, np.abs(rewards).max()), absolute=True
    )
    assert not acts.undecided.any()
    return case.quantity(jc.policies.uniform(acts), **knobs)


def assert_heights(case, knobs):
    knob, at = case.knob(case.axis), case.threshold(**knobs)
    beside = np.array([x for x in case.cliffs(**knobs) if x != at])
    if len(beside) and np.min(np.abs(beside - at)) < 3e-6 * (knob.high - knob.low):
        return
    step = 1e-6 * (knob.high - knob.low)
    found = uniform_of(case, [max(at - step, knob.low), at, min(at + step, knob.high)], knobs)
    np.testing.assert_allclose(found, case.heights(**knobs), atol=1e-9, rtol=0, err_msg=str(knobs))
