"""The audit of tables of scores: what it says of single prompts and of all, against other ways to the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

import jaxcliff as jc
from jaxcliff.auditing import population, tilting
from jaxcliff.auditing.noise import disagreement
from jaxcliff.auditing.rows import widths_of
from tests.conftest import needs_x64

pytestmark = needs_x64


def table_of(scores, names=None):
    """Scores [P, W, M] as columns."""
    prompts, answers, models = scores.shape
    names = names or [f"rm{k}_score" for k in range(models)]
    table = {"prompt": np.repeat([f"prompt {i}" for i in range(prompts)], answers)}
    table["answer"] = np.tile([f"answer {a}" for a in range(answers)], prompts)
    return table | {name: scores[..., k].ravel() for k, name in enumerate(names)}


def by_prompt(found):
    return found.prompts.set_index("prompt")


@pytest.fixture(scope="module")
def scores():
    """Three models that see a quality with errors of their own, on prompts with ties, near-ties and a conflict."""
    rng = np.random.default_rng(3)
    scores = (rng.normal(size=(300, 6, 1)) + 0.5 * rng.normal(size=(300, 6, 3))).round(3)
    scores[7, :2] = 5.0
    scores[11, 3:5] = [[4.0], [4.0 - 1e-3]]
    scores[23] = -5.0
    scores[23, :2] = [[3.0, -3.0, 0.0], [-3.0, 3.0, 0.01]]
    return scores


@pytest.fixture(scope="module")
def found(scores):
    return jc.audit(table_of(scores), noise=0.1, weights=[0.5, 0.25, 0.25])


def test_what_was_planted_is_found_by_name(found):
    prompts = by_prompt(found)
    tie, near, conflict = (prompts.loc[f"prompt {i}"] for i in (7, 11, 23))
    assert (tie.tied, tie.is_tie, tie.margin, tie.winner, tie.runner_up) == (2, True, 0, "answer 0", "answer 1")
    assert (near.tied, near.winner, near.runner_up) == (1, "answer 3", "answer 4")
    assert near.margin == pytest.approx(1e-3)
    assert conflict["winner: rm0_score"] == "answer 0"
    assert conflict["winner: rm1_score"] == conflict["winner: rm2_score"] == "answer 1"
    assert conflict.conflicts == 2
    assert conflict.weights_away_from == "rm0_score"
    assert conflict.weights_towards == "rm1_score"
    assert "On 1 it is tied with another text" in " ".join(found.summary().split())
    assert near.review_rank < 30 < tie.review_rank  # a tie that no rival is near stays a tie


def test_margins_and_distances_are_those_of_the_scores(found, scores):
    mixed = scores @ [0.5, 0.25, 0.25]
    falling = -np.sort(-mixed, axis=1)
    margin = falling[:, 0] - falling[:, 1]
    prompts = by_prompt(found).loc[[f"prompt {i}" for i in range(300)]]
    np.testing.assert_allclose(prompts.margin, margin, atol=1e-12)
    np.testing.assert_allclose(prompts.distance_all, margin / 2, atol=1e-12)
    np.testing.assert_allclose(prompts.distance_entry, margin / 0.5, atol=1e-12)
    np.testing.assert_allclose(prompts["distance: rm1_score"], margin / (2 * 0.25), atol=1e-12)
    np.testing.assert_allclose(prompts.value, mixed.max(axis=1), atol=1e-12)


def test_distances_are_those_of_linear_programmes(found, scores):
    """min t so that some rival draws level: scores move by up to t, all of them, one model's, or one entry."""
    weights, prompts = np.array([0.5, 0.25, 0.25]), by_prompt(found)
    for i in (0, 11, 23, 42):
        behind = (scores[i].max(axis=0) * 0 + scores[i] - scores[i][(scores[i] @ weights).argmax()]) @ weights
        rivals = np.flatnonzero(behind < 0)
        for name, moved in (("distance_all", weights), ("distance: rm2_score", weights * [0, 0, 1])):
            # variables: changes of the winner (3), of the rival (3), and t
            level = [
                scipy.optimize.linprog(
                    [0] * 6 + [1],
                    A_ub=np.vstack(
                        [
                            [*moved, *-moved, 0],
                            np.hstack([np.eye(6), -np.ones((6, 1))]),
                            np.hstack([-np.eye(6), -np.ones((6, 1))]),
                        ]
                    ),
                    b_ub=[behind[rival], *np.zeros(12)],
                    bounds=[(None, None)] * 7,
                ).fun
                for rival in rivals
            ]
            assert prompts.loc[f"prompt {i}", name] == pytest.approx(min(level), abs=1e-9)


def test_the_distance_of_weights_is_that_of_a_linear_programme(found, scores):
    weights, prompts, checked = np.array([0.5, 0.25, 0.25]), by_prompt(found), 0
    for i in range(40):
        best = (scores[i] @ weights).argmax()
        found_here = []
        for rival in range(6):
            d = scores[i, best] - scores[i, rival]
            if rival == best:
                continue
            # w' and |w' − w|: minimise half of the sum of the latter
            programme = scipy.optimize.linprog(
                [0] * 3 + [0.5] * 3,
                A_ub=np.vstack(
                    [[*d, 0, 0, 0], np.hstack([np.eye(3), -np.eye(3)]), np.hstack([-np.eye(3), -np.eye(3)])]
                ),
                b_ub=[0, *weights, *-weights],
                A_eq=[[1, 1, 1, 0, 0, 0]],
                b_eq=[1],
                bounds=[(0, None)] * 6,
            )
            found_here.append(programme.fun if programme.status == 0 else np.inf)
        said = prompts.loc[f"prompt {i}", "weights_distance"]
        if np.isfinite(min(found_here)):
            assert said == pytest.approx(min(found_here), abs=1e-9)
            checked += 1
        else:
            assert said == np.inf
    assert checked > 10


def test_the_nearest_cliff_of_the_same_table_is_as_far(scores):
    table = table_of(scores[:, :, :2])
    mdp, _ = jc.problems.from_scores(table, context="prompt", action="answer")
    near = jc.nearest_cliff(mdp)
    found = jc.audit(table)
    clear = found.prompts[~found.prompts.is_tie]
    walls = np.where(near.walls.tied, np.inf, near.walls.margin).min(axis=1)
    said = clear.set_index("prompt").distance_all
    for i, name in enumerate(near.labels.states):
        if name in said.index:
            assert said[name] == pytest.approx(walls[i], abs=1e-9)
    assert near.tied == (len(clear) < 300)


def test_breakpoints_along_an_edge_are_those_of_solving_again(found, scores):
    """At 501 weights between two models, the winner is the one whom the breakpoints up to there have left."""
    table = found.breakpoints
    edge = table[(table.from_model == "rm0_score") & (table.to_model == "rm2_score")]
    grid, several = np.linspace(0, 1, 501)[1:-1] + 1e-5, 0
    for i in range(300):
        own = edge[edge.prompt == f"prompt {i}"]
        mixed = scores[i, :, :1] * (1 - grid) + scores[i, :, 2:] * grid
        clear = (mixed == mixed.max(axis=0)).sum(axis=0) == 1
        clear &= np.abs(grid - own.share.to_numpy()[:, None]).min(axis=0, initial=1) > 1e-9
        steps = own.enters.str.split().str[1].astype(int).to_numpy()
        first = own.leaves.str.split().str[1].astype(int).to_numpy()[:1]
        names = np.concatenate([first, steps]) if len(own) else np.array([scores[i, :, 0].argmax()])
        said = names[np.searchsorted(own.share.to_numpy(), grid, side="right")]
        assert (said == mixed.argmax(axis=0))[clear].all(), i
        assert (own.leaves.to_numpy()[1:] == own.enters.to_numpy()[:-1]).all()
        several += len(own) > 1
    assert several > 5


def test_conflicts_and_rank_correlations_are_those_of_scipy(found, scores):
    row = found.conflicts.iloc[1]
    assert (row.one, row.other) == ("rm0_score", "rm2_score")
    apart = [
        not ({*np.flatnonzero(x[:, 0] == x[:, 0].max())} & {*np.flatnonzero(x[:, 2] == x[:, 2].max())}) for x in scores
    ]
    assert row.apart == pytest.approx(np.mean(apart))
    rho = [scipy.stats.spearmanr(x[:, 0], x[:, 2]).statistic for x in scores]
    assert row.rank_correlation == pytest.approx(np.mean(rho), abs=1e-12)
    assert "prompt 23" in row.most_costly_prompts


def test_a_model_that_says_the_opposite_is_named(rng):
    good = rng.normal(size=(100, 5, 1))
    scores = np.concatenate([good + 0.1 * rng.normal(size=(100, 5, 2)), -good], axis=2)
    found = jc.audit(table_of(scores, ["fine_score", "good_score", "bad_score"]))
    assert set(found.conflicts.sort_values("apart").iloc[1:][["one", "other"]].to_numpy()[:, 1]) == {"bad_score"}
    said = found.summary().split("common: ")[1].split(";")[0]
    assert "bad_score" in said


def test_expected_changes_add_up(found):
    assert found.numbers["expected_flips"] == pytest.approx(found.prompts.flip_probability.sum())
    middle = found.flips[len(found.flips) // 2]
    assert middle == pytest.approx(found.numbers["expected_flips"], rel=1e-4)
    assert (np.diff(found.flips) > 0).all()
    removes = found.prompts.review_removes.to_numpy()
    assert removes[-1] == pytest.approx(1)
    assert (np.diff(found.prompts.flip_probability) <= 1e-15).all()


def test_noise_is_taken_from_repeated_scores(rng):
    """Answers that were scored five times, with an error of .2."""
    quality = rng.normal(size=(200, 4))
    rows = {"prompt": [], "answer": [], "judge": []}
    for i, a in np.ndindex(200, 4):
        for _ in range(5):
            rows["prompt"].append(f"q{i}")
            rows["answer"].append(f"a{a}")
            rows["judge"].append(quality[i, a] + 0.2 * rng.normal())
    found = jc.audit(rows)
    assert found.noise.source == "repeated"
    assert found.noise.sizes[0] == pytest.approx(0.2, rel=0.05)
    assert found.numbers["answers"] == 800
    assert jc.audit(rows, noise=0.3).noise.source == "given"
    means = pd.DataFrame(rows).groupby(["prompt", "answer"]).judge.mean().unstack()
    assert by_prompt(found).loc["q3"].value == pytest.approx(means.loc["q3"].max())


def test_noise_is_guessed_from_disagreement_as_grubbs_does(rng):
    quality, sizes = rng.normal(size=(2000, 6, 1)), np.array([0.1, 0.3, 0.6])
    scores = quality + sizes * rng.normal(size=(2000, 6, 3))
    found = jc.audit(table_of(scores), noise="disagreement")
    # in units of each model's own spread, which has its error in it
    z = (scores - scores.mean(axis=1, keepdims=True)) / found.rows.spread
    v = {(i, j): ((z[..., i] - z[..., j]) ** 2).sum() / (2000 * 5) for i, j in ((0, 1), (0, 2), (1, 2))}
    expected = np.sqrt(
        [(v[0, 1] + v[0, 2] - v[1, 2]) / 2, (v[0, 1] + v[1, 2] - v[0, 2]) / 2, (v[0, 2] + v[1, 2] - v[0, 1]) / 2]
    )
    np.testing.assert_allclose(found.noise.sizes, expected * found.rows.spread, rtol=1e-9)
    np.testing.assert_allclose(found.noise.sizes, sizes, atol=0.04)
    assert disagreement.__doc__


def test_winners_that_follow_a_suspect_are_caught(rng):
    chars = rng.integers(50, 500, size=(300, 5))
    table = table_of((rng.normal(size=(300, 5)) + chars / 100)[..., None], ["judge"])
    table |= {"chars": chars.ravel(), "words": rng.integers(10, 90, size=1500)}
    found = jc.audit(table, suspect=["chars", "words"])
    rows = found.suspects.set_index("column")
    assert rows.loc["chars"].rank_of_winners > 0.8
    assert rows.loc["words"].rank_of_winners == pytest.approx(0.5, abs=4 * rows.loc["words"].error)
    assert "Winners follow chars" in found.summary()
    assert "Winners do not follow words" in found.summary()
    place = np.array(
        [np.sum(c < c[s.argmax()]) / 4 for c, s in zip(chars, table["judge"].reshape(300, 5), strict=True)]
    )
    assert rows.loc["chars"].rank_of_winners == pytest.approx(place.mean(), abs=0.01)


def test_equal_texts_are_one_answer():
    table = {
        "prompt": ["q"] * 4,
        "response": ["1", "2", "3", "4"],
        "text_sha1": ["x", "x", "y", "z"],
        "judge": [0.9, 0.9, 0.8, 0.1],
    }
    found = jc.audit(table)
    assert found.prompts.answers.tolist() == [3]
    assert found.prompts.runner_up.tolist() == ["3"]
    assert found.prompts.margin.tolist() == [pytest.approx(0.1)]
    assert found.numbers["equal_best"] == 1


def test_order_of_rows_changes_nothing_but_which_of_a_tie_is_named(scores, found, rng):
    frame = pd.DataFrame(table_of(scores))
    mixed = jc.audit(frame.sample(frac=1, random_state=0), noise=0.1, weights=[0.5, 0.25, 0.25])
    one, two = by_prompt(found).sort_index(), by_prompt(mixed).sort_index()
    for column in ("margin", "flip_probability", "weights_distance", "temperature", "best_of_kl", "conflicts"):
        np.testing.assert_allclose(one[column].astype(float), two[column].astype(float), rtol=1e-9, atol=1e-12)
    assert (one.winner == two.winner)[~one.is_tie].all()


def test_padding_reaches_no_number(rng):
    """Prompts of very different numbers of answers, each as when it is alone."""
    several = {f"q{n}": rng.normal(size=n).round(2) for n in (2, 3, 9, 40, 700)}
    rows = {"prompt": [p for p, x in several.items() for _ in x], "judge": np.concatenate(list(several.values()))}
    whole = by_prompt(jc.audit(rows, noise=0.1))
    for prompt, x in several.items():
        alone = by_prompt(jc.audit({"prompt": [prompt] * len(x), "judge": x}, noise=0.1)).loc[prompt]
        assert whole.loc[prompt].flip_probability == pytest.approx(alone.flip_probability, rel=1e-12)
        assert whole.loc[prompt].temperature == pytest.approx(alone.temperature, rel=1e-9)
        assert whole.loc[prompt].winner.split()[0] == "row"
    assert widths_of(np.array([1, 2, 100_000])).tolist() == [2, 2, 131_072]


def test_three_models_keep_their_winners_where_the_triangle_says(scores):
    found = jc.audit(table_of(scores))
    grid = population.triangle()
    for point in (0, 300, 945):
        mixed = scores @ grid[point]
        own = (scores.mean(axis=2)).argmax(axis=1)
        kept = (mixed[np.arange(300), own] >= mixed.max(axis=1)).sum()
        assert found.kept[point] == pytest.approx(kept, abs=1)
    assert found.kept.max() == 300


def test_log_odds_throughout(rng):
    p = rng.uniform(0.01, 0.99, size=(50, 4, 2)).round(3)
    odds = by_prompt(jc.audit(table_of(p), scale="logit", noise=0.1))
    mixed = scipy.special.logit(p).mean(axis=2)
    margin = np.diff(np.sort(mixed, axis=1)[:, -2:], axis=1)[:, 0]
    np.testing.assert_allclose(odds.loc[[f"prompt {i}" for i in range(50)]].margin, margin, atol=1e-9)
    raw = by_prompt(jc.audit(table_of(p[..., :1]), noise=0.1))
    own = np.sort(scipy.special.logit(p[..., 0]), axis=1)
    np.testing.assert_allclose(
        raw.loc[[f"prompt {i}" for i in range(50)]].margin_logit, own[:, -1] - own[:, -2], atol=1e-9
    )


def test_a_base_policy_is_what_tilting_starts_from(rng):
    x, log = rng.normal(size=(20, 5)).round(3), np.log(rng.dirichlet(np.ones(5), size=20))
    table = table_of(x[..., None], ["judge"]) | {"base_logprob": log.ravel()}
    found = by_prompt(jc.audit(table, best_of=2))
    policy, kl = tilting.best_of(jnp.asarray(x), jnp.asarray(log), 2)
    order = [f"prompt {i}" for i in range(20)]
    np.testing.assert_allclose(found.loc[order].best_of_kl, kl, rtol=1e-9)
    np.testing.assert_allclose(
        found.loc[order].best_of_loses, x.max(axis=1) - (np.asarray(policy) * x).sum(axis=1), rtol=1e-9
    )


def test_an_audit_shows_itself(found):
    assert repr(found) == "Audit(300 prompts, 1,800 answers, 3 models)"
    assert found.to_dataset().attrs["study"] == "audit"
    assert len(found.to_dataframe()) == 300
    assert jax.devices()


def test_errors_that_all_answers_share_change_no_winner(scores, found):
    half = jc.audit(table_of(scores), noise=0.1, weights=[0.5, 0.25, 0.25], correlation=0.75)
    less = jc.audit(table_of(scores), noise=0.05, weights=[0.5, 0.25, 0.25])
    np.testing.assert_allclose(
        by_prompt(half).flip_probability.sort_index(), by_prompt(less).flip_probability.sort_index()
    )
    assert half.numbers["expected_flips"] < found.numbers["expected_flips"]


def test_an_audit_with_errors_along_a_column(rng):
    chars = rng.integers(50, 500, size=(40, 5))
    table = table_of(rng.normal(size=(40, 5, 1)), ["judge"]) | {"chars": chars.ravel()}
    found = jc.audit(table, noise=0.5, correlation=0.9, correlated="chars")
    assert (found.prompts.flip_error > 0).any()
    assert "drawn, ±" in found.summary()
    again = jc.audit(pd.DataFrame(table), noise=0.5, correlation=0.9, correlated="chars")
    assert (again.prompts.flip_probability == found.prompts.flip_probability).all()
    with pytest.raises(ValueError, match="need a correlation"):
        jc.audit(table, correlated="chars")
    with pytest.raises(ValueError, match="from 0 to 1"):
        jc.audit(table, correlation=1.5)


def test_weights_without_weight_count_in_distances():
    table = {"prompt": list("qqrr"), "answer": list("xyxy"), "a": [1.0, 0, 1, 0], "b": [1.0, 0, 0, 5]}
    found = by_prompt(jc.audit(table, rewards=["a", "b"], weights=[1, 0]))
    assert found.loc["q"].weights_distance == np.inf
    assert found.loc["r"].weights_distance == pytest.approx(1 / 6)
    assert found.loc["r"].weights_towards == "b"


def test_means_of_several_scores_are_not_tied_by_their_steps():
    rows = [
        ("a", "x", 5),
        ("a", "x", 5),
        ("a", "x", 4),
        ("a", "y", 4),
        ("a", "y", 5),
        ("a", "y", 4),
        ("c", "x", 1),
        ("c", "y", 5),
    ]
    found = by_prompt(jc.audit(pd.DataFrame(rows, columns=["prompt", "answer", "score"]), noise=0.5))
    assert found.loc["a"].tied == 1
    assert found.loc["a"].flip_probability == pytest.approx(scipy.stats.norm.sf(1 / 3 / (0.5 * np.sqrt(2))))


def test_sequences_that_the_base_never_says_cost_what_they_cost():
    """Fifty nats against the better answer: errors of 2σ turn the answers over at low temperatures."""
    table = {"prompt": ["a", "a"], "answer": ["x", "y"], "judge": [1.0, 0.95], "base_logprob": [-70.0, -20.0]}
    row = jc.audit(table, noise=0.5).prompts.iloc[0]
    assert row.temperature > 0.01
    assert row.temperature_moves == pytest.approx(0.1, rel=1e-4)
    other = jc.audit(table | {"base_logprob": [-20.0, -70.0]}, noise=0.5).prompts.iloc[0]
    assert other.temperature > 0.01
