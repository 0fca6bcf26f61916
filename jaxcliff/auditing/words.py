"""An audit in plain words: what was read, what is decided by how little, and what to do about it."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcliff.auditing import tables
from jaxcliff.auditing.advantages import NEAR, NORMALISATIONS
from jaxcliff.auditing.population import edges
from jaxcliff.core.labels import brief, many

if TYPE_CHECKING:
    from jaxcliff.auditing.findings import Audit

WIDTH = 100


def summary(found: "Audit") -> str:
    """All paragraphs."""
    paragraphs = [_read(found), _margins(found), _noise(found), _weights(found), _conflicts(found), _suspects(found)]
    paragraphs += [_review(found), _temperature(found), _training(found)]
    return "\n\n".join(textwrap.fill(text, WIDTH) for text in paragraphs if text)


def share(part: float, whole: float) -> str:
    """So many of so many, in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "none"


def _read(found: "Audit") -> str:
    n, rows = found.numbers, found.rows
    said = f"{many(n['prompts'], 'prompt')}, {many(n['answers'], 'different answer')} in {many(n['rows'], 'row')}"
    if n["merged"]:
        said += f" (equal texts of a prompt are one answer: {many(n['with_equal_answers'], 'prompt')} have some)"
    said += "."
    empty = [f"{brief(name)} {count:,}" for name, count in zip(found.models, rows.empty, strict=True) if count]
    if empty:
        said += (
            f" Cells without a score: {', '.join(empty)}; {many(n['left_out'], 'answer')} that lack one are left out."
        )
    if n["prompts_without_choice"]:
        said += f" {many(n['prompts_without_choice'], 'prompt')} have fewer than two different answers with scores."
    return said


def _margins(found: "Audit") -> str:
    n = found.numbers
    if not n["compared"]:
        return "No prompt has two different answers with scores, so that there is nothing to compare."
    one = len(found.models) == 1
    said = "Scores are taken " + ("as log-odds" if found.scale == "logit" else "as they are") + ". "
    said += "" if one else f"The mixture weighs {_weighed(found)}. "
    what = "The best answer" if one else "The best answer of the mixture"
    near = [
        f"by less than {x:g} of the scale on {share(n[f'margin_below_{x:g}'], n['compared'])}" for x in (0.001, 0.01)
    ]
    said += f"{what} wins {' and '.join(near)} of {many(n['compared'], 'prompt')}; median {n['median_margin']:.3g}. "
    said += _written(found)
    said += f"On {n['ties']:,} it is tied with another text (to {n['tie']:.2g})"
    if n["equal_best"]:
        said += f", on {n['equal_best']:,} the best text was sampled more than once"
    said += "."
    if "logit_below_0.1" in n:
        said += (
            f" What is a near-tie depends on the scale: {n['near_at_the_ends']:,} of the "
            f"{n['margin_below_0.001']:,} closest "
            f"sit within {tables.ENDS:g} of an end of it, and in log-odds "
            f"{share(n['logit_below_0.1'], n['compared'])} are "
            "within .1 (--scale logit takes log-odds throughout)."
        )
    return said


def _written(found: "Audit") -> str:
    """In which steps scores are written."""
    steps = [
        f"{brief(name)} {step:.3g}" for name, step in zip(found.models, found.rows.resolution, strict=True) if step > 0
    ]
    return f"Scores are written in steps ({', '.join(steps)}). " if steps else ""


def _weighed(found: "Audit") -> str:
    return ", ".join(f"{brief(name)} {w:.3g}" for name, w in zip(found.models, found.weights, strict=True))


def _noise(found: "Audit") -> str:
    n = found.numbers
    if not n["compared"]:
        return ""
    said = f"{found.noise.told} " + ("" if found.noise.is_known else "Under this example, ")
    error = n["expected_flips_error"]
    drawn = f" (drawn, ± {error:.1g}, with errors that are alike along a column)" if error > 0 else ""
    less, change = share(n["within_noise"], n["compared"]), share(n["expected_flips"], n["compared"])
    said += (
        f"{many(n['within_noise'], 'prompt')} ({less}) are decided by less than the noise of a difference "
        "(ties included), and "
        f"{n['expected_flips']:{'.0f' if n['expected_flips'] >= 10 else '.2g'}} winners ({change}) are "
        f"expected to change{drawn} if the scores shown are true and noise of that size is added"
    )
    if found.noise.source == "repeated":
        return f"{said}."
    return f"{said}; a second scoring of scores that are noisy already differs by √2 times as much."


def _weights(found: "Audit") -> str:
    n = found.numbers
    if len(found.models) < 2 or not n["compared"]:
        return ""
    said = f"No weights at all change the winner on {share(n['dominated'], n['compared'])} of the prompts"
    if n["dominated"] < n["compared"]:
        said += f"; on the others moving {n['median_weights_distance']:.3g} of the weight does, in the median"
    say = found.weights * found.rows.spread
    if say.sum() > 0:
        most = int(say.argmax())
        said += f". {brief(found.models[most])} has most to say: {share(say[most], say.sum())} of weights times spreads"
    return said + "."


def _conflicts(found: "Audit") -> str:
    table = found.conflicts
    if not len(table) or not table["prompts"].sum():
        return ""
    said = [
        f"{brief(row['one'])} and {brief(row['other'])} on {100 * row['apart']:.1f} % of prompts{_together(row)}"
        for row in table[table["prompts"] > 0].sort_values("apart", ascending=False).head(3).to_dict("records")
    ]
    lead = (
        "Models that have no best answer in common: "
        if len(table) <= 3
        else "Most often without a best answer in common: "
    )
    return lead + "; ".join(said) + "."


def _together(row: Any) -> str:
    """How ranks go together, where they say anything."""
    found = row["rank_correlation"]
    return "" if found is None or np.isnan(found) else f" (rank correlation {found:.2f})"


def _suspects(found: "Audit") -> str:
    said = []
    for row in found.suspects.to_dict("records"):
        if not row["prompts"]:
            said.append(f"{brief(row['column'])} never tells answers apart.")
            continue
        away = (row["rank_of_winners"] - 0.5) / row["error"] if row["error"] > 0 else 0.0
        follows = "do not follow" if abs(away) < 3 else "follow" if away > 0 else "avoid"
        said.append(
            f"Winners {follows} {brief(row['column'])}: they stand at {row['rank_of_winners']:.3f} ± "
            f"{row['error']:.3f} between "
            f"the least (0) and the most (1), where ½ would be chance; {100 * row['most']:.0f} % have the most of all."
        )
    return " ".join(said)


def _review(found: "Audit") -> str:
    n = found.numbers
    if not n["expected_flips"] > 0:
        return ""
    said = (
        "Look first at the prompts at the top of prompts.csv: the first tenth holds "
        f"{100 * n['removed_by_a_tenth']:.0f} % of "
        f"the expected changes, and the first {n['half_after']:,} hold half{_as_an_example(found)}."
    )
    table = found.population.set_index("statistic")
    gain = table.loc["what choosing gains"]
    if table.loc["prompts", "without_ambiguous"] and n["within_noise"]:
        said += (
            " Leaving out those that noise decides changes what is said of the rest (population.csv): "
            "choosing the best answer "
            f"gains {gain['without_ambiguous']:.3g} over the mean instead of {gain['all']:.3g}."
        )
    return said


def _as_an_example(found: "Audit") -> str:
    return "" if found.noise.is_known else ", under this example"


def _temperature(found: "Audit") -> str:
    n = found.numbers
    if not n["compared"]:
        return ""
    most, nine = f"{n['temperature_most']:.3g}", f"{n['temperature']:.3g}"
    said = (
        f"If mixed scores err by up to two standard deviations{_as_an_example(found)}, a temperature (or KL "
        "coefficient) of "
        f"{most} keeps the total variation of the answers within {found.budget:g} everywhere"
    )
    said += f", and {nine} on nine prompts in ten" if nine != most else ""
    costs = f"{n['temperature_costs']:.3g}"
    return (
        f"{said}; with the least that each prompt needs, {costs} of score is given up on average. Best of "
        f"{found.best_of} is "
        f"{n['best_of_kl']:.2g} nats from the base and gives up {n['best_of_loses']:.3g}; a temperature at the "
        "same distance "
        f"gives up {n['same_kl_loses']:.3g}."
    )


def _training(found: "Audit") -> str:
    run = found.training
    if run is None:
        return ""
    n = run.numbers
    size = f"{n['smallest_group']}" + (f" to {n['largest_group']}" if n["largest_group"] > n["smallest_group"] else "")
    dead, nearly = share(n["dead"], n["groups"]), share(n["near_dead"], n["groups"])
    said = (
        f"As a training run: {many(n['steps'], 'step')}, {many(n['groups'], 'group')} of {size} rollouts. "
        f"{dead} are dead (all "
        f"rewards equal: no gradient), {nearly} nearly (their standard deviation is below {NEAR:g} of the usual "
        f"{run.usual:.3g})"
    )
    said += f", {n['residue']:,} by no more than float32 rounds." if n["residue"] else "."
    if n["largest_gain"]:
        said += (
            f" Dividing by the standard deviation gives a unit of score {n['median_gain']:.3g} units of "
            "advantage in the median "
            f"group and {n['largest_gain']:.3g} in the smallest"
        )
        said += (
            f", one step of the scores ({run.resolution:.2g}) up to {run.resolution * n['largest_gain']:.2g}."
            if run.resolution
            else "."
        )
    if n["near_dead"]:
        shares = [f"{name} {_percent(n[f'near_share_{i}'])}" for i, name in enumerate(NORMALISATIONS)]
        said += f" Share of all |advantage| that comes from nearly dead groups: {', '.join(shares)}."
    pairs = [
        f"{brief(found.models[i])} and {brief(found.models[j])} {_percent(n[f'apart_{e}'])}"
        for e, (i, j) in enumerate(edges(len(found.models)))
        if n[f"apart_{e}"] is not None
    ]
    if pairs:
        both = "of the rollouts in which both say something"
        said += f" Rewards that pull a rollout in opposite directions: {', '.join(pairs)} {both}."
    if run.fit is not None:
        said += " " + run.fit.sentence(run.weights)
    if not run.given and len(found.models) > 1:
        said += " The log does not have the weights of the rewards: 1 each was taken (--weights)."
    return said


def _percent(x: Any) -> str:
    return "none" if x is None or np.isnan(x) else f"{100 * x:.1f} %"
