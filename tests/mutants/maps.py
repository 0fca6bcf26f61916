"""Faults in rays and maps: ties beside a reward, breakpoints, walks, polygons, weights."""

from tests.mutants import Mutant

WALK = "jaxcliff.geometry.walk"

UNDECIDED = "verdicts.py::test_undecided_ties_are_named_wherever_ties_are"
GALLERY = "maps.py::test_a_gallery_of_known_polygons"
DEGENERATE = "rays.py::test_degenerate_rays_of_a_bandit"
FOUR_ARMS = "small_geometry.py::test_sampled_weights_of_four_arms_are_known"

RAYS = (
    Mutant(
        "jaxcliff.geometry.beside.Ties.limits",
        "the tie tolerance of rays and maps is a gap and no share of the span",
        "self.tolerance * self.spans(parts, points)",
        "self.tolerance * np.ones(len(points))",
        "small_geometry.py::test_ties_of_rays_and_maps_are_in_units_of_the_span",
    ),
    Mutant(
        "jaxcliff.geometry.beside.Ties.spans",
        "the value 0 of an end does not belong to the span",
        "high, low = np.maximum(high, 0), np.minimum(low, 0)",
        "high, low = 1 * high, 1 * low",
        "small_geometry.py::test_ties_of_rays_and_maps_are_in_units_of_the_span",
    ),
    Mutant(
        "jaxcliff.geometry.beside.Ties.beside",
        "beside a tie the policy is the first best one and not the one that the direction prefers",
        "return self.improved(actions, parts, directions, tied & everything, 0 * blur)",
        "return actions",
        DEGENERATE,
    ),
    Mutant(
        "jaxcliff.geometry.beside.Ties.beside",
        "what is optimal for the direction need not be optimal at the point",
        "tied & everything, 0 * blur)",
        "everything, 0 * blur)",
        DEGENERATE,
    ),
    Mutant(
        "jaxcliff.geometry.beside.Ties.verdict",
        "whatever can tie along a ray does",
        "optimal = sets & (alone | (gap + bound <= threshold[:, None, None]))",
        "optimal = 1 * sets > 0",
        UNDECIDED,
    ),
    Mutant(
        "jaxcliff.geometry.beside.blurred",
        "the place of a wall is as exact as its gaps",
        "return error + away[:, None]",
        "return error + 0 * away[:, None]",
        "rays.py::test_walls_that_meet_at_a_breakpoint_up_to_rounding_are_crossed_at_a_time",
    ),
    Mutant(
        "jaxcliff.geometry.trails.follow",
        "the next breakpoint is that of the farthest wall",
        "following = np.maximum(hits.min(axis=(-2, -1)), now)",
        "following = np.maximum(np.where(falls, hits, -np.inf).max(axis=(-2, -1)), now)",
        DEGENERATE,
    ),
    Mutant(
        "jaxcliff.geometry.trails.follow",
        "a breakpoint is exact, however small the slope of its wall",
        "point(t[going]), onward[going], blur)",
        "point(t[going]), onward[going], 0 * blur)",
        "rays.py::test_walls_that_meet_at_a_breakpoint_up_to_rounding_are_crossed_at_a_time",
    ),
    Mutant(
        "jaxcliff.geometry.trails.follow",
        "what ties at the start of a segment ties all along it",
        "along = level(middle, walls & (np.abs(slope) <= flat))",
        "along = level(now, walls)",
        DEGENERATE,
    ),
    Mutant(
        "jaxcliff.geometry.trails.follow",
        "a jump of the value is not reported",
        "trail.value_jump.append(float(cones.steps * old))",
        "trail.value_jump.append(0.0)",
        "small_geometry.py::test_a_wrong_policy_behind_a_breakpoint_shows_in_the_value",
    ),
    Mutant(
        "jaxcliff.geometry.trails.follow",
        "a path that stopped at its limit says that it is complete",
        "ends[i], trail.complete, trail.reached = True, False,",
        "ends[i], trail.complete, trail.reached = True, True,",
        "rays.py::test_a_limit_stops_with_what_there_is",
    ),
    Mutant(
        "jaxcliff.cliffs.ray._paths",
        "ties that last along a ray are ties of its start",
        "tied_start=bool((own.start & ~own.optimal[0] &",
        "tied_start=bool((own.start &",
        DEGENERATE,
    ),
    Mutant(
        "jaxcliff.geometry.jumps.heights",
        "a jump is weighed by the visits of the policy after it",
        "share = visits[own] / visits[own].sum(axis=-1, keepdims=True)",
        "share = visits[other] / visits[other].sum(axis=-1, keepdims=True)",
        "rays.py::test_a_true_reward_jumps_where_the_value_does_not",
    ),
    Mutant(
        "jaxcliff.geometry.jumps.heights",
        "the true return jumps the other way",
        "true[after] - true[before]",
        "true[before] - true[after]",
        "maps.py::test_edges_say_how_high_they_are",
    ),
    Mutant(
        "jaxcliff.geometry.jumps.heights",
        "the height of a cliff counts both what goes and what comes",
        "np.abs(chosen[own] - chosen[other]).sum(axis=-1) / 2",
        "np.abs(chosen[own] - chosen[other]).sum(axis=-1)",
        GALLERY,
    ),
)

MAPS = (
    Mutant(
        f"{WALK}.walk",
        "a map is complete though edges have one side only",
        "complete=not fresh and seen and matched and",
        "complete=not fresh and seen and",
        "verdicts.py::test_only_a_map_that_was_stopped_says_so",
    ),
    Mutant(
        f"{WALK}.walk",
        "a map is complete though edges were too short to be crossed",
        "complete=not fresh and seen and matched and",
        "complete=not fresh and matched and",
        "verdicts.py::test_a_region_too_small_to_be_seen_is_missed_aloud",
    ),
    Mutant(
        f"{WALK}.walk",
        "a map that was stopped does not say so",
        "stopped=bool(fresh)",
        "stopped=False",
        "verdicts.py::test_only_a_map_that_was_stopped_says_so",
    ),
    Mutant(
        f"{WALK}._between",
        "edges are matched by their cells, whatever their ends are",
        "> MATCHES * (edge.give + back.give[::-1])).any()",
        "> np.inf).any()",
        "verdicts.py::test_only_a_map_that_was_stopped_says_so",
    ),
    Mutant(
        f"{WALK}._between",
        "an edge that leads nowhere has two sides",
        "if other < 0 or other == edge.cell or (edge.cell, other) in sides:\n            matched = False",
        "if other < 0 or other == edge.cell or (edge.cell, other) in sides:\n            matched = matched",
        "small_geometry.py::test_a_map_with_a_hole_too_small_for_its_area_is_not_complete",
    ),
    Mutant(
        f"{WALK}._evaluate",
        "what is level ties all over a cell, however large its gap",
        "lasting = walls & level & (gaps[:, 0] <= limits[:, 0, None, None])",
        "lasting = walls & level",
        GALLERY,
    ),
    Mutant(
        f"{WALK}._evaluate",
        "what ties all over a cell is no optimal action of it",
        "return _Frontier(actions, own | lasting, gaps",
        "return _Frontier(actions, own | (lasting & False), gaps",
        GALLERY,
    ),
    Mutant(
        f"{WALK}._crossings",
        "ties all over a cell cannot switch along at its edge",
        "simple &= front.sets[lanes].sum(axis=(-2, -1)) == cones.num_states",
        "simple &= True",
        "small_geometry.py::test_a_tie_all_over_a_region_ends_with_a_switch_elsewhere",
    ),
    Mutant(
        "jaxcliff.geometry.polygons.precision",
        "vertices are placed to a ten-millionth of the extent",
        "return ROUNDING + EPSILON * np.abs(points).max(axis=-1)",
        "return 1e-7 + EPSILON * np.abs(points).max(axis=-1)",
        "verdicts.py::test_no_region_vanishes_as_the_extent_grows[proper]",
    ),
    Mutant(
        "jaxcliff.cliffs.plane.PolicyMap.rasterize",
        "a pixel is the region of its corner",
        "(np.arange(resolution)[:, None] + 0.5) / resolution",
        "np.arange(resolution)[:, None] / resolution",
        "maps.py::test_a_raster_is_the_map_at_its_pixels",
    ),
    Mutant(
        "jaxcliff.cliffs.plane.map_plane",
        "returns of regions are those of the unit square",
        "jumps.earned(visits, chosen, r) for r in plane]",
        "jumps.earned(visits, chosen, r) for r in unit]",
        "maps.py::test_weights_of_two_and_three_rewards[contexts]",
    ),
    Mutant(
        "jaxcliff.cliffs.weights.weight_map",
        "the second and the third weight are exchanged",
        "plane = np.stack([each[0], each[1] - each[0], each[2] - each[0]])",
        "plane = np.stack([each[0], each[2] - each[0], each[1] - each[0]])",
        "maps.py::test_weights_of_two_and_three_rewards[contexts]",
    ),
    Mutant(
        "jaxcliff.cliffs.weights.weight_map",
        "the nearest cliff of sampled weights may change their sum",
        "family=family.weights(each)",
        "family=family.features(each)",
        "small_geometry.py::test_sampled_weights_keep_their_sum",
    ),
    Mutant(
        "jaxcliff.cliffs.weights.weight_map",
        "weights are drawn from another distribution",
        "jax.random.dirichlet(key, np.ones(number), (count,))",
        "jax.random.dirichlet(key, 2 * np.ones(number), (count,))",
        FOUR_ARMS,
    ),
    Mutant(
        "jaxcliff.cliffs.weights.WeightMap.kinks",
        "kinks bend the other way",
        "return np.diff(self.returns, axis=0)",
        "return -np.diff(self.returns, axis=0)",
        "maps.py::test_weights_of_two_and_three_rewards[contexts]",
    ),
)

MUTANTS = (*RAYS, *MAPS)
