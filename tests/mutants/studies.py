"""Faults in studies, figures, words, and the command line."""

from tests.mutants import Mutant

SCAN, PHASE, TEMPERATURE = "jaxcliff.studies.scan", "jaxcliff.studies.phase", "jaxcliff.studies.temperature"
TWO_ARMS = "small_studies.py::test_the_temperature_curve_of_two_arms_is_known"
WAITING = "scan.py::test_waiting_is_worth_it_above_a_border_in_closed_form"
BORDER = "small_studies.py::test_a_pixel_on_a_border_is_not_certain_but_a_tie_all_over_a_region_is"
THREE_STATES = "small_studies.py::test_what_changes_in_one_of_three_states_is_counted_once"
MISTAKE = "studies.py::test_a_mistake_on_the_command_line_gets_a_sentence"
FOLDER = "folder.py::test_the_same_problem_writes_over_its_atlas_and_another_one_does_not"

STUDIES = (
    Mutant(
        "jaxcliff.studies.flips._smallest_gaps",
        "tied actions leave a radius in which nothing flips",
        "return np.where(tied, 0.0, np.maximum(behind, 0.0))",
        "return np.maximum(behind, 0.0)",
        "studies.py::test_on_a_tie_any_reward_flips_something",
    ),
    Mutant(
        "jaxcliff.studies.flips._smallest_gaps",
        "a gap is what was computed, whatever its error",
        "np.asarray(acts.gaps() - acts.gap_bound)",
        "np.asarray(acts.gaps() + acts.gap_bound)",
        "small_studies.py::test_a_smallest_gap_is_what_it_certainly_is",
    ),
    Mutant(
        "jaxcliff.studies.flips._flip_shares",
        "rewards that flip some state and leave another undecided count twice",
        "jnp.mean(jnp.any(unsure, axis=-1) & ~some)",
        "jnp.mean(jnp.any(unsure, axis=-1))",
        "small_studies.py::test_a_reward_flips_or_is_undecided_and_never_both",
    ),
    Mutant(
        f"{PHASE}._from_gaps",
        "a pixel is certain whatever the error of its gaps",
        "certain[own] = (lowest > np.abs(here[own]) @ error[i]) & ~plan.undecided[start + i].any()",
        "certain[own] = True",
        BORDER,
    ),
    Mutant(
        f"{PHASE}._from_gaps",
        "a pixel of a tie all over its region is not certain",
        "lowest = np.where(ties, np.inf, values).min(axis=1)",
        "lowest = values.min(axis=1)",
        BORDER,
    ),
    Mutant(
        f"{PHASE}._against_base",
        "ties that the base has already count as changes",
        "| base.tied | base.undecided",
        "",
        "small_studies.py::test_ties_that_the_base_has_already_are_no_change",
    ),
    Mutant(
        f"{PHASE}._against_base",
        "actions that change are counted and not states",
        "(plan.optimal != own).any(axis=-1).sum(axis=-1)",
        "(plan.optimal != own).sum(axis=(-2, -1))",
        THREE_STATES,
    ),
    Mutant(
        f"{PHASE}.phase_diagram",
        "the circle of a plane is that of the sup norm",
        'family=family.features(plane[1:]), norm="2"',
        'family=family.features(plane[1:]), norm="inf"',
        "small_studies.py::test_the_circle_of_a_plane_touches_its_border",
    ),
    Mutant(
        "jaxcliff.studies.ray.ray",
        "the return at t = 0 is that of the direction",
        'return_at_start=("segment", jumps.earned(visits, chosen, base)',
        'return_at_start=("segment", jumps.earned(visits, chosen, along)',
        "three_maps.py::test_a_ray_is_drawn_as_it_is",
    ),
    Mutant(
        f"{SCAN}._borders",
        "a border is the middle of its edge",
        "low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)",
        "low, high = low, high",
        WAITING,
    ),
    Mutant(
        f"{SCAN}._compared",
        "cliffs that were missed are not counted",
        "missed.append(int(np.maximum(inside - seen, 0).sum()))",
        "missed.append(0)",
        "scan.py::test_no_border_is_far_from_an_exact_cliff_and_the_missed_are_counted[garnet]",
    ),
    Mutant(
        f"{SCAN}._compared",
        "a border far from any cliff is none",
        "farthest = max(farthest,",
        "farthest = min(farthest,",
        "small_studies.py::test_how_far_a_coarse_border_is_from_the_exact_one",
    ),
    Mutant(
        "jaxcliff.policies.sets.most_probable",
        "the difference of two action values is as exact as each of them",
        "bound = 2 * soft.gap_error",
        "bound = soft.gap_error",
        "small_studies.py::test_gaps_of_the_most_probable_actions_are_twice_as_uncertain",
    ),
    Mutant(
        f"{SCAN}.phase_scan",
        "what is undecided is certain",
        "certain = (optimal | suboptimal | ~cones.legal)[:, :-1]",
        "certain = (optimal | suboptimal | cones.legal)[:, :-1]",
        "small_studies.py::test_a_gap_as_large_as_the_tolerance_is_not_certain",
    ),
    Mutant(
        f"{TEMPERATURE}._rung",
        "the bonus of a strength is not divided by it",
        "(mdp.initial @ soft.values - earned) / strength",
        "(mdp.initial @ soft.values - earned)",
        TWO_ARMS,
    ),
    Mutant(
        f"{TEMPERATURE}._rung",
        "the mass on optimal actions is called suboptimal",
        "jnp.where(acts.suboptimal, policy, 0)",
        "jnp.where(acts.suboptimal, 0, policy)",
        TWO_ARMS,
    ),
    Mutant(
        f"{TEMPERATURE}._widths",
        "a cliff is as wide as from one half to three quarters",
        "np.repeat([0.25, 0.75], len(ladder))",
        "np.repeat([0.5, 0.75], len(ladder))",
        "three_maps.py::test_the_width_of_a_cliff_in_a_bandit_is_known",
    ),
    Mutant(
        f"{TEMPERATURE}.temperature_curve",
        "the limit of small strengths is the uniform policy",
        "policies.entropy_limit(acts, mdp)",
        "policies.uniform(acts)",
        "small_studies.py::test_ways_count_in_the_limit_of_a_tie",
    ),
    Mutant(
        "jaxcliff.studies.aggregation._neighbours",
        "a component that errs alone moves the mixture by all of its error",
        "alone = mixed + table[:, None, :, None] * delta",
        "alone = mixed + 0 * table[:, None, :, None] + delta",
        "aggregation_study.py::test_the_study_agrees_with_the_weight_map_and_with_regret",
    ),
    Mutant(
        "jaxcliff.studies.aggregation._deployed",
        "the policy of a mixture is measured under the mixture itself",
        "return metrics.regret(mdp, policies.uniform(acts), moved)",
        "return metrics.regret(mdp, policies.uniform(acts), mixed + 0 * moved)",
        "small_studies.py::test_regret_of_a_mixture_of_two_rewards_of_a_bandit_is_known",
    ),
    Mutant(
        "jaxcliff.studies.aggregation._moves",
        "the mean of a distance is over all states alike",
        "jnp.sum(visits * metrics.total_variation(",
        "jnp.sum(visits**0 * metrics.total_variation(",
        "small_studies.py::test_only_one_of_three_decisions_can_flip",
    ),
    Mutant(
        "jaxcliff.studies.soft.soft_against_hard",
        "of several strengths the policies are exchanged",
        "np.asarray(soft.policy)[:, state, legal]",
        "np.asarray(soft.policy)[::-1, state, legal]",
        "three_maps.py::test_soft_modes_where_hard_ones_tie",
    ),
    Mutant(
        "jaxcliff.studies.learner.learn",
        "a learner is compared with what it learns for the first reward and not for the base",
        "metrics.largest_total_variation(policies[1:], policies[0])",
        "metrics.largest_total_variation(policies[1:], policies[1])",
        "small_studies.py::test_a_learner_is_measured_against_what_it_learns_for_the_base",
    ),
)

FIGURES = (
    Mutant(
        "jaxcliff.figures.phase._regions",
        "what is not certain in a map is not hatched",
        "if unsure.any():",
        "if False:",
        "figures.py::test_what_is_not_certain_is_hatched",
    ),
    Mutant(
        "jaxcliff.figures.phase._regions",
        "what lies outside of a map is hatched",
        " & (ds.region_of_pixel.values >= 0)",
        "",
        "figures.py::test_what_is_not_certain_is_hatched",
    ),
    Mutant(
        "jaxcliff.figures.scan.phase_scan",
        "what is not certain in a scan is not hatched",
        "if not ds.certain.values.all():",
        "if False:",
        "figures.py::test_what_is_not_certain_is_hatched",
    ),
    Mutant(
        "jaxcliff.figures.scan.phase_scan",
        "cliffs that a scan missed are not mentioned",
        "({int(ds.missed.sum()):,} of",
        "({int(0 * ds.missed.sum()):,} of",
        "figures.py::test_cliffs_that_a_scan_missed_are_counted_in_its_title",
    ),
    Mutant(
        "jaxcliff.figures.phase._numbers",
        "neighbours have one colour",
        "taken = {int(found[j]) for j in neighbours[i]}",
        "taken = set()",
        "three_maps.py::test_neighbours_never_share_a_colour",
    ),
    Mutant(
        "jaxcliff.figures.phase._weights",
        "the weight of a border is not its height",
        "(THICK - THIN) * height / height.max()",
        "(THICK - THIN) * (1 - height / height.max())",
        "figures.py::test_the_highest_border_is_the_thickest",
    ),
    Mutant(
        "jaxcliff.figures.style.counted",
        "the colours of a count are shifted",
        "Normalize(-0.5, most + 0.5)",
        "Normalize(0.5, most + 1.5)",
        "figures.py::test_every_count_has_a_colour_of_its_own",
    ),
    Mutant(
        "jaxcliff.figures.style.words",
        "a dollar in a name begins mathematics",
        'shown.replace("$", r"\\$")',
        "shown",
        "figures.py::test_words_that_are_not_ours_are_drawn_as_they_are",
    ),
)

WORDS = (
    Mutant(
        "jaxcliff.report.verdict.words",
        "where nothing is certain the verdict says that nothing ties",
        "if not ties and not unsure:",
        "if not ties:",
        "verdicts.py::test_undecided_ties_are_named_wherever_ties_are",
    ),
    Mutant(
        "jaxcliff.report.verdict.words",
        "a tie is one of the states nearest to flipping",
        "if no_tie[m.state, m.enters]][:SHOWN]",
        "if True][:SHOWN]",
        "verdicts.py::test_a_tie_is_no_state_near_to_flipping",
    ),
    Mutant(
        "jaxcliff.cliffs.radius.NearestCliff.summary",
        "of visited states alone a bound is called a distance",
        'bound = "at most " if kind is None else ""',
        'bound = ""',
        "radius.py::test_states_that_are_looked_at",
    ),
    Mutant(
        "jaxcliff.report.folder.make_room",
        "the atlas of another problem is written over",
        "if not replace:",
        "if False:",
        FOLDER,
    ),
    Mutant(
        "jaxcliff.report.folder.make_room",
        "what is of no atlas is written over",
        'if not re.match(r".*: MDP\\(.*\\)(\\n|$)", found):',
        "if False:",
        "hostile.py::test_what_comes_back[a README of one's own, to be replaced]",
    ),
    Mutant(
        "jaxcliff.report.folder.make_room",
        "everything in the folder is removed",
        "for path in there:",
        "for path in list(out.iterdir()):",
        FOLDER,
    ),
    Mutant(
        "jaxcliff.model.provenance.fingerprint",
        "problems of the same shape are the same",
        "found.update(np.ascontiguousarray(array).data)",
        "array.shape",
        "folder.py::test_a_fingerprint_belongs_to_every_number_and_name",
    ),
    Mutant(
        "jaxcliff.cli.main.main",
        "a mistake ends with the status of success",
        "else MISTAKE",
        "else 0",
        f"{MISTAKE}[arguments0-there is no built-in problem 'no-such'; choose one of grid]",
    ),
    Mutant(
        "jaxcliff.cli.atlas.run",
        "any number of rewards will do",
        "if not 1 <= options.count <= MOST:",
        "if False:",
        f"{MISTAKE}[arguments6-count must be a number from 1]",
    ),
    Mutant(
        "jaxcliff.cli.main._interrupted",
        "an interrupted command ends with the status of success",
        "return INTERRUPTED",
        "return 0",
        "folder.py::test_an_interrupted_command_says_so",
    ),
)

MUTANTS = (*STUDIES, *FIGURES, *WORDS)
