"""Faults in where problems come from: named ones, arrays, tables, files, names."""

from tests.mutants import Mutant

SCORES, TABLES = "jaxcliff.problems.scores", "jaxcliff.problems.tables"
MISTAKE = "scores.py::test_a_mistake_is_met_with_a_sentence"
FRAME = "scores.py::test_a_data_frame_and_its_csv_are_the_same_table"
FORMS = "scores.py::test_every_form_of_a_table_is_the_same_problem"
SAVED = "importers.py::test_a_saved_problem_comes_back_bit_for_bit"
ARRAYS = "importers.py::test_every_form_of_the_same_arrays_is_the_same_problem"
LIVING = "importers.py::test_an_ending_transition_into_a_living_state_ends_elsewhere"

MUTANTS = (
    Mutant(
        "jaxcliff.problems.arrays._from_dense",
        "with actions first, rows and columns of the transitions are exchanged",
        "jnp.swapaxes(p, 0, 1)",
        "jnp.transpose(p, (2, 0, 1))",
        ARRAYS,
    ),
    Mutant(
        "jaxcliff.problems.layouts.of_entries",
        "the entries of a sparse row are put in one place",
        "probabilities[pair, slot] = state[order]",
        "probabilities[pair, 0 * slot] = state[order]",
        ARRAYS,
    ),
    Mutant(
        "jaxcliff.problems.gymnasium.from_gymnasium",
        "a state in which an episode can end is terminal though it is passed through",
        "t in ended and t not in continued and",
        "t in ended and",
        LIVING,
    ),
    Mutant(
        "jaxcliff.problems.gymnasium.from_gymnasium",
        "an ending transition into a living state goes on",
        "target = t if terminal[t] or not done else count",
        "target = t",
        LIVING,
    ),
    Mutant(
        "jaxcliff.problems.gymnasium.from_gymnasium",
        "of transitions to the same state the last one counts",
        "row[target] = row.get(target, 0.0) + p",
        "row[target] = p",
        "importers.py::test_gymnasium_tables_mean_the_same[FrozenLake-v1-options0]",
    ),
    Mutant(
        "jaxcliff.problems.files.load",
        "terminal states are not read",
        'terminal=arrays.get("terminal")',
        "terminal=None",
        f"{SAVED}[grid]",
    ),
    Mutant(
        "jaxcliff.problems.files.load",
        "the first states are not read",
        'initial=arrays.get("initial")',
        "initial=None",
        "importers.py::test_a_file_keeps_where_episodes_begin",
    ),
    Mutant(
        "jaxcliff.problems.files._check",
        "entries that are not understood are left out",
        "if name not in ENTRIES:",
        "if False:",
        "hostile.py::test_what_comes_back[an entry of another world]",
    ),
    Mutant(
        f"{SCORES}._places",
        "an answer that is there twice has its last score",
        "if what in choices[s]:",
        "if False:",
        f"{MISTAKE}[twice]",
    ),
    Mutant(
        f"{TABLES}.missing",
        "what another library marks as missing is a name",
        "return bool(cell != cell)",
        "return False",
        FRAME,
    ),
    Mutant(
        f"{TABLES}._csv",
        "a row of a file that is too short is filled up",
        "if len(record) != len(names):",
        "if len(record) > len(names):",
        "scores.py::test_a_mistake_in_a_file_names_its_line",
    ),
    Mutant(
        "jaxcliff.problems.columns.finite",
        "a score may be NaN",
        "np.flatnonzero(texts | empty | ~np.isfinite(values))",
        "np.flatnonzero(texts | empty)",
        f"{MISTAKE}[nan]",
    ),
    Mutant(
        "jaxcliff.problems.columns.why_left_out",
        "a column that decides nothing is a reward model",
        "if len(values) > 1 and _decides_nothing(values, states):",
        "if False:",
        FRAME,
    ),
    Mutant(
        "jaxcliff.problems.columns.why_left_out",
        "an index is a reward model",
        "if NAMELESS.fullmatch(name):",
        "if False:",
        FRAME,
    ),
    Mutant(
        f"{SCORES}._padded",
        "the base policy is not divided by its sum",
        "log -= np.log(np.exp(log).sum(axis=1, keepdims=True))",
        "log -= 0",
        FORMS,
    ),
    Mutant(
        f"{SCORES}._padded",
        "rare answers have no base mass",
        "np.maximum(np.exp(log), least)",
        "np.exp(log)",
        "scores.py::test_no_answer_of_a_table_loses_its_mass",
    ),
    Mutant(
        f"{SCORES}._padded",
        "the mean of the models is rounded before it is summed",
        "mean = components.mean(axis=0)",
        "mean = (components / len(components)).sum(axis=0)",
        "scores.py::test_ties_of_the_mean_stay_ties",
    ),
    Mutant(
        f"{SCORES}._padded",
        "the padding of a context is one of its answers",
        "contextual_bandit(mean, legal=legal)",
        "contextual_bandit(mean, legal=None)",
        FORMS,
    ),
    Mutant(
        f"{SCORES}.from_ragged_scores",
        "contexts with very different numbers of answers are one table",
        "len(names).bit_length()",
        "len(names) > 1",
        "scores.py::test_ragged_contexts_are_several_tables_that_hardly_pad[0]",
    ),
    Mutant(
        "jaxcliff.core.labels.Labels.action",
        "an action is called as in the first state",
        "self.actions[state] if self.per_state",
        "self.actions[0] if self.per_state",
        FORMS,
    ),
    Mutant(
        "jaxcliff.model.mdp._fill",
        "episodes begin in terminal states too",
        "np.ones(mdp.num_states, bool) if mdp.terminal is None else ~mdp.terminal",
        "np.ones(mdp.num_states, bool)",
        "problems.py::test_no_episode_begins_at_its_end",
    ),
    Mutant(
        "jaxcliff.problems.grids.gridworld",
        "the ground slips to one side only",
        "np.roll(target, 1, axis=1)",
        "np.roll(target, -1, axis=1)",
        "problems.py::test_gridworld_tends_to_the_textbook_values",
    ),
    Mutant(
        "jaxcliff.problems.random._planted",
        "planted rivals are nearer than the margin",
        "below = margin + in_both_dtypes(jax.random.exponential,",
        "below = 0 * margin + in_both_dtypes(jax.random.exponential,",
        "problems.py::test_planted_rivals_are_behind_by_the_margin",
    ),
)
