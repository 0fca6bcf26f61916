"""Other libraries, as they are shipped, each at the setting that is best for the accuracy asked for.

A maker gets a problem and returns solve(reward) -> values; what a user would do once, the maker does, untimed.
A problem has `rows` (CSR, one row per pair of state and action), `legal`, `gamma`, and a `base` value to start from, or
None. Where a library wants every action in every state, an illegal one is a copy of the first legal one.
"""

import dataclasses
import functools

import numpy as np
from scipy.sparse import csr_matrix

ACCURACY = 1e-6  # ‖v − v*‖, absolute, in units of the reward
DENSE = 2**22  # numbers


@dataclasses.dataclass
class Problem:
    """Transitions of all pairs, which of them are legal, the discount, and a value to start from."""

    rows: csr_matrix
    legal: np.ndarray
    gamma: float
    base: np.ndarray | None
    base_reward: np.ndarray

    @property
    def shape(self):
        """States, actions."""
        return self.legal.shape

    @functools.cached_property
    def filled(self):
        """For every pair, the pair whose row and reward it takes: its own, or that of the first legal action."""
        states, actions = self.shape
        first = np.broadcast_to(self.legal.argmax(axis=1)[:, None], self.shape)
        return np.arange(states)[:, None] * actions + np.where(self.legal, np.arange(actions), first)

    def full(self, reward):
        """The reward with every pair legal."""
        return reward.ravel()[self.filled]

    @functools.cached_property
    def full_rows(self):
        """The rows with every pair legal."""
        return self.rows[self.filled.ravel()]

    @functools.cached_property
    def dense(self):
        """P[s, a, t]."""
        states, actions = self.shape
        if states * states * actions > DENSE:
            raise ValueError(f"needs a dense array of {states * states * actions:,} numbers")
        return np.asarray(self.full_rows.todense()).reshape(states, actions, states)

    @functools.cached_property
    def policy(self):
        """The greedy policy of the base value."""
        following = 0 if self.base is None else self.gamma * (self.full_rows @ self.base).reshape(self.shape)
        return (self.full(self.base_reward) + following).argmax(axis=1)

    def lists(self):
        """Probabilities and successors as nested lists."""
        states, actions = self.shape
        rows, cut = self.full_rows, self.full_rows.indptr
        each = [[slice(cut[s * actions + a], cut[s * actions + a + 1]) for a in range(actions)] for s in range(states)]
        return [[[x[i].tolist() for i in row] for row in each] for x in (rows.data, rows.indices)]


def quantecon(method, sparse):
    """DiscreteDP; epsilon bounds the values: ‖v − v*‖ < epsilon/2 (its span and sup rules have the 1 − γ in them).

    One object: every solve reads `R` anew (0.11.4: bellman_operator, RQ_sigma), and nothing else depends on it.
    """

    def make(problem):
        from quantecon.markov import DiscreteDP

        pairs = np.argwhere(problem.legal)
        own = (lambda r: r[pairs[:, 0], pairs[:, 1]]) if sparse else problem.full
        if sparse:
            rows = problem.rows[np.flatnonzero(problem.legal.ravel())]
            ddp = DiscreteDP(own(problem.base_reward), rows, problem.gamma, pairs[:, 0], pairs[:, 1])
        else:
            ddp = DiscreteDP(own(problem.base_reward), problem.dense, problem.gamma)

        def solve(reward):
            ddp.R = own(reward)
            return ddp.solve(method, v_init=problem.base, epsilon=2 * ACCURACY, max_iter=10**6).v

        return solve

    return make


def cold(make):
    """The same from the library's own start."""
    return lambda problem: make(dataclasses.replace(problem, base=None))


def pymdptoolbox(problem):
    """Policy iteration is exact; modified policy iteration stops by span and returns values off by a constant."""
    from mdptoolbox.mdp import PolicyIteration

    rows = np.ascontiguousarray(problem.dense.transpose(1, 0, 2))
    solver = PolicyIteration(rows, problem.full(problem.base_reward), problem.gamma, policy0=problem.policy)

    def solve(reward):  # one object: `run` reads R, policy and iter, and sets V
        solver.R, solver.policy, solver.iter = tuple(problem.full(reward).T), problem.policy, 0
        solver.run()
        return np.array(solver.V)

    return solve


def mdpsolver(problem):
    """C++; `tolerance` bounds the error (span rule, Puterman's correction); its threads cost more than they save here.

    The transitions go with every reward (it has no other way); the lists themselves are built once.
    """
    import mdpsolver as peer

    probabilities, columns = problem.lists()
    start = [] if problem.base is None else problem.base.tolist()

    def solve(reward):
        model = peer.model()
        full = problem.full(reward).tolist()
        model.mdp(discount=problem.gamma, rewards=full, tranMatProbs=probabilities, tranMatColumns=columns)
        model.solve("mpi", ACCURACY, initValueVector=start, parallel=False, makeFinalCheck=False)
        return np.array(model.getValueVector())

    return solve


def jaxdp(problem):
    """Exact policy iteration under jit and vmap, many rewards at a time, from the base policy."""
    run, start = _jaxdp(problem.gamma, problem.shape, (0, None, None)), _one_hot(problem.policy, problem.shape)
    transition = problem.dense.transpose(1, 2, 0)

    def solve(rewards):
        return np.asarray(run(np.stack([problem.full(r) for r in rewards]), transition, start))

    states, actions = problem.shape
    solve.batch = int(np.clip(2**24 // (actions * states**2), 1, 256))  # its rewards are A × S × S' each
    return solve


def jaxdp_models(gamma, shape):
    """The same, also mapped over transitions [B, S, A, S]."""
    run = _jaxdp(gamma, shape, (0, 0, 0))

    def solve(dense, rewards):
        starts = np.stack([_one_hot(r.argmax(axis=1), shape) for r in rewards])
        return np.asarray(run(rewards, dense.transpose(0, 2, 3, 1), starts))

    return solve


def _one_hot(policy, shape):
    return (policy == np.arange(shape[1])[:, None]).astype(float)


def _jaxdp(gamma, shape, axes):
    import chex
    import jax
    import jax.numpy as jnp
    from jaxdp.mdp.mdp import MDP
    from jaxdp.planning import PolicyIteration

    jax.config.update("jax_enable_x64", True)
    states, actions = shape
    planner = PolicyIteration(gamma=gamma)

    def one(reward, transition, start):
        table = jnp.broadcast_to(reward.T[:, :, None], (actions, states, states))
        mdp = MDP(transition=transition, reward=table, initial=jnp.ones(states) / states, terminal=jnp.zeros(states))
        first = planner.init(mdp, start)

        def unfinished(carry):
            return jnp.any(carry[0].policy != carry[1].policy) & (carry[2] < 1000)

        def step(carry):
            return planner.update(mdp, carry[0]), carry[0], carry[2] + 1

        return jax.lax.while_loop(unfinished, step, (planner.update(mdp, first), first, 0))[0].v_val

    chex.disable_asserts()  # they cannot be batched
    return jax.jit(jax.vmap(one, axes))


def mdpax(problem):
    """Value iteration; its sup rule (not its default) bounds the error by epsilon; compiles anew for every reward."""
    import jax
    import jax.numpy as jnp
    from mdpax.core.problem import Problem as Base
    from mdpax.solvers.value_iteration import ValueIteration

    jax.config.update("jax_enable_x64", True)
    states, actions = problem.shape
    counts = np.diff(problem.full_rows.indptr)
    successors, probabilities = np.zeros((2, states * actions, counts.max()))
    inside = np.arange(counts.max()) < counts[:, None]
    successors[inside], probabilities[inside] = problem.full_rows.indices, problem.full_rows.data
    successors = jnp.asarray(successors, int).reshape(states, actions, -1)
    probabilities = jnp.asarray(probabilities).reshape(states, actions, -1)
    start = jnp.asarray(problem.base)

    class Table(Base):
        name = "table"

        def __init__(self, reward):
            self.reward = jnp.asarray(reward)
            super().__init__()

        def _construct_state_space(self):
            return jnp.arange(states)

        def _construct_action_space(self):
            return jnp.arange(actions)

        def _construct_random_event_space(self):
            return jnp.arange(probabilities.shape[-1])

        def state_to_index(self, state):
            return state[0]

        def random_event_probability(self, state, action, event):
            return probabilities[state[0], action[0], event[0]]

        def transition(self, state, action, event):
            return successors[state[0], action[0], event[0]][None], self.reward[state[0], action[0]]

        def initial_value(self, state):
            return start[state[0]]

    def solve(reward):
        rule = {"gamma": problem.gamma, "epsilon": ACCURACY, "convergence_test": "max_diff", "verbose": 0}
        return np.asarray(ValueIteration(Table(problem.full(reward)), **rule).solve(max_iterations=10**6).values)

    return solve


def stormpy(problem):
    """Storm's one discounted method, value iteration; an absolute `precision` (not its default) bounds the error."""
    import stormpy as storm
    from stormpy import datastructures, environments, models

    states, actions = problem.shape
    rows, cut = problem.full_rows.tocsr(), problem.full_rows.indptr
    rows.sort_indices()
    builder = datastructures.SparseMatrixBuilder[float](states * actions, states, 0, False, True, states)
    for row in range(states * actions):
        if row % actions == 0:
            builder.new_row_group(row)
        for i in range(cut[row], cut[row + 1]):
            builder.add_next_value(row, int(rows.indices[i]), float(rows.data[i]))
    matrix, labels = builder.build(), models.StateLabeling(states)
    labels.add_label("init")
    labels.add_label_to_state("init", 0)
    question = storm.parse_properties(f'R{{"r"}}max=? [ Cdiscount={problem.gamma} ]')[0]
    environment = environments.sound()
    rule = environment.solver().min_max()
    rule.relative_termination_criterion, rule.precision = False, storm.Rational(f"{ACCURACY:.12f}")

    def solve(reward):
        own = models.SparseRewardModel[float](optional_state_action_reward_vector=problem.full(reward).ravel())
        model = models.SparseMdp[float](models.SparseModelComponents[float](matrix, labels, {"r": own}))
        return np.array(storm.model_checking(model, question, environment=environment).get_value_vector())

    return solve


NEAR = {  # one problem, many rewards
    "quantecon sparse mpi": quantecon("modified_policy_iteration", sparse=True),
    "quantecon sparse mpi, cold": cold(quantecon("modified_policy_iteration", sparse=True)),
    "quantecon sparse vi": quantecon("value_iteration", sparse=True),
    "quantecon sparse pi": quantecon("policy_iteration", sparse=True),
    "quantecon dense mpi": quantecon("modified_policy_iteration", sparse=False),
    "quantecon dense pi": quantecon("policy_iteration", sparse=False),
    "pymdptoolbox": pymdptoolbox,
    "mdpsolver": mdpsolver,
    "jaxdp": jaxdp,
    "mdpax": mdpax,
    "stormpy": stormpy,
}
NEW = {
    name: NEAR[name] for name in ("quantecon dense mpi", "quantecon dense pi", "pymdptoolbox", "mdpsolver", "stormpy")
}
ALONE = {  # one problem of a million states: what can hold it
    "quantecon sparse mpi": NEAR["quantecon sparse mpi"],
    "quantecon sparse vi": NEAR["quantecon sparse vi"],
    "stormpy": stormpy,
}
