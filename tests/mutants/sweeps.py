"""Faults in sweeps: in keys, statistics, marks, and in what a store refuses."""

from tests.mutants import Mutant

POINT, STATISTICS, STORE = "jaxcliff.sweep.point", "jaxcliff.sweep.statistics", "jaxcliff.sweep.store"
PLAN, RESPONSE = "jaxcliff.sweep.plan", "jaxcliff.studies.response"

OF_ALL_DRAWS = "sweep.py::test_statistics_are_those_of_all_draws[True]"
EVERY_PLACE = "sweep.py::test_a_point_is_computed_at_every_place"

MUTANTS = (
    Mutant(
        f"{POINT}.Box.call",
        "a point's own key forgets where it is on the last axis",
        "(index[name] for name in self.axes), points)",
        "(index[name] for name in list(self.axes)[:-1]), points)",
        EVERY_PLACE,
    ),
    Mutant(
        f"{POINT}.Box.call",
        "a draw depends on where the point is",
        "jax.random.fold_in(jax.random.fold_in(drawn, zlib.crc32(name.encode())), index[name])",
        "jax.random.fold_in(own, index[name])",
        EVERY_PLACE,
    ),
    Mutant(
        f"{POINT}.Program._arguments",
        "draws beyond the last are counted",
        "draws < self.layout.draws",
        "draws >= 0",
        OF_ALL_DRAWS,
    ),
    Mutant(
        f"{STATISTICS}.merged",
        "means of blocks are averaged whatever their counts",
        'first["mean"] + apart * (m / total)',
        'first["mean"] + apart / 2',
        OF_ALL_DRAWS,
    ),
    Mutant(
        f"{STATISTICS}.merged",
        "M2 forgets how far the means of two blocks are apart",
        "+ apart**2 * (n * (m / total))",
        "+ 0 * apart",
        OF_ALL_DRAWS,
    ),
    Mutant(
        "jaxcliff.core.slices.Shared.__init__",
        "programs that call back to Python are taken for one another",
        'if "callback" not in text:',
        "if text:",
        "sweep.py::test_what_a_point_closes_over_belongs_to_it",
    ),
    Mutant(
        f"{STORE}.Store.write",
        "the mark is written before the values",
        "        files = [self._put(name, place, region, values[name]) for name in self.names]\n",
        "        self._put(DONE, place, region, np.True_)\n"
        "        files = [self._put(name, place, region, values[name]) for name in self.names]\n",
        survives="a file that is missing or torn is found by its checksum all the same; the order spares that work",
    ),
    Mutant(
        f"{STORE}.Store.damaged",
        "marks are not looked at",
        "for name in (DONE, *self.names):",
        "for name in self.names:",
        "store.py::test_rotten_bytes_are_found_and_named",
    ),
    Mutant(
        f"{PLAN}.check_same",
        "another function is taken for the same",
        'if not lines and mine["hash"] != made["hash"]',
        'if lines and mine["hash"] != made["hash"]',
        "resume.py::test_another_function_of_the_same_name_is_refused",
    ),
    Mutant(
        f"{PLAN}._described",
        "of long axes only the ends are compared",
        '"hash": own.hexdigest()[:12]',
        '"hash": ""',
        "resume.py::test_another_sweep_is_refused_in_words",
    ),
    Mutant(
        f"{RESPONSE}.Point.__call__",
        "what is given away is measured under the perturbed reward",
        '(_start(mdp, best) - _earned(mdp, taken, reward), "reward")',
        '(_start(mdp, best) - _earned(mdp, taken, there.rewards[0]), "reward")',
        "response.py::test_two_arms_have_a_closed_form",
    ),
    Mutant(
        f"{RESPONSE}.Point.__call__",
        "the safe radius does not pay for the error of the gap",
        "acts.gap - acts.gap_bound",
        "acts.gap",
        survives="the error is a millionth of the gaps of every problem at hand",
    ),
    Mutant(
        f"{RESPONSE}.Point.__call__",
        "the bound has another horizon",
        "theory.soft_jump(norm, strength, mdp.steps)",
        "theory.soft_jump(norm, strength, 2 * mdp.steps)",
        "response.py::test_two_arms_have_a_closed_form",
    ),
)
