"""The figures of the gallery in words: where each jumps and by how much, what smooths it, and where charts agree."""

import numpy as np
import xarray as xr

from jaxcliff import scenarios
from jaxcliff.core.labels import many

FEW = 3  # errors of a reading within which it agrees
SMOOTH = {"kl": "KL of strength {} from the base", "entropy": "entropy of strength {}"}


def case_study(ds: xr.Dataset) -> str:
    """A scenario in a few sentences, and what is doubtful about it; a line break between paragraphs."""
    case = scenarios.get(ds.attrs["case"])
    parts = [f"{case.title} ({case.source}). {case.claim}", _jumps(ds), _smoothed(ds), _best_of(ds), _learned(ds)]
    parts += [_compared(ds, case)]
    return "\n".join([*filter(None, parts), " ".join(case.doubts)])


def _number(x: float) -> str:
    """As a reader wants it: four digits, no exponent where there is no need."""
    return f"{x:.4g}"


def _jumps(ds: xr.Dataset) -> str:
    """Where the optimum jumps, and by how much."""
    axis, told = ds.attrs["axis"], []
    one = ds.isel(quantity=0)
    for i in np.argsort(~ds["first"].values, kind="stable"):
        low, on, high = one.beside.sel(map="uniform").isel(cliff=i).values
        at = _number(float(ds.threshold[i]))
        told.append(
            f"at {axis} = {at} {one['quantity'].item()} jumps from {_number(low)} to {_number(high)}, by "
            f"{_number(abs(high - low))}; {_number(on)} if ties are shared there"
        )
    if not told:
        return f"In this range of {axis} the optimum does not jump."
    unsure = int(ds.undecided.sum())
    doubt = f" At {many(unsure, 'position')} it is undecided whether actions tie." if unsure else ""
    return f"Where it jumps: {'. Also '.join(told)}.{doubt}"


def middle(positions: np.ndarray, values: np.ndarray) -> float:
    """The shortest piece of the axis over which a map makes half of all its way."""
    span = np.ptp(values)
    if span == 0:
        return float("inf")
    steps = np.abs(values[:, None] - values[None, :]) >= span / 2
    return float(np.abs(positions[:, None] - positions[None, :])[steps].min())


def _smoothed(ds: xr.Dataset) -> str:
    """What smooths it at what price."""
    one, told = ds.isel(quantity=0), []
    strength, axis = _number(ds.attrs["strength"]), ds.attrs["axis"]
    for name, said in SMOOTH.items():
        width = middle(ds.position.values, one.measured.sel(map=name).values)
        lost = ds.lost.sel(map=name)
        worst = int(lost.argmax("position"))
        told.append(
            f"{said.format(strength)} takes {_number(width)} of {axis} for half of its way, and gives away up to "
            f"{_number(float(lost[worst]))} of the trained return (at {axis} = {_number(float(ds.position[worst]))})"
        )
    return f"What smooths it, and the price: {'; '.join(told)}."


def _best_of(ds: xr.Dataset) -> str:
    """Best of N at its price."""
    if "best of N" not in ds["map"].values or not ds.sizes["cliff"]:
        return ""
    i = int(ds["first"].values.argmax())
    four = ds.isel(quantity=0, cliff=i).beside.sel(map="best of N").values
    kl, own = (float(ds.kl.sel(map=name).mean()) for name in ("kl", "best of N"))
    return (
        f"The best of {ds.attrs['best_of']} answers jumps there too, from {_number(four[0])} by "
        f"{_number(abs(four[2] - four[0]))}, and costs {_number(own)} nats; KL costs {_number(kl)} nats on average, "
        f"as much as the best of {ds.attrs['matched']}."
    )


def _learned(ds: xr.Dataset) -> str:
    """What the learner makes of it."""
    if "learned" not in ds:
        return ""
    way = np.ptp(ds.learned.mean("run").transpose("quantity", "trial").values, axis=1)
    full = np.ptp(ds.hard_high.transpose("quantity", "position").values, axis=1)
    most = int((way / np.where(full > 0, full, 1)).argmax())
    runs = ds.learned.isel(quantity=most).transpose("run", "trial")
    mean, spread = runs.mean("run").values, np.ptp(runs.values, axis=0)
    i = int(spread.argmax())
    at = f"{ds.attrs['axis']} = {_number(float(ds.trial[i]))}"
    jump = int(np.abs(np.diff(mean)).argmax())
    between = " and ".join(_number(float(x)) for x in ds.trial[jump : jump + 2])
    return (
        f"{ds.attrs['learner']}, {many(ds.sizes['run'], 'run')} each: the largest step of the mean of "
        f"{ds['quantity'].values[most]} is by {_number(abs(mean[jump + 1] - mean[jump]))}, between "
        f"{ds.attrs['axis']} = {between}; equal runs differ by up to {_number(float(spread[i]))} (at {at})."
    )


def _compared(ds: xr.Dataset, case: scenarios.Scenario) -> str:
    """Every reading of the paper beside the optimum and KL."""
    if not ds.sizes["reading"]:
        return "The paper has no number along this axis."
    told = []
    for i in range(ds.sizes["reading"]):
        at, value, error = (float(ds[name][i]) for name in ("reading_at", "reading_value", "reading_error"))
        what = str(ds["quantity"].values[int(ds.reading_of[i])])
        hard, kl = readings_of(case, ds, what, at)
        fits = [said for said, x in (("the optimum", hard), ("KL", kl)) if abs(x - value) <= FEW * error]
        agrees = f"{' and '.join(fits)} agree{'s' if len(fits) == 1 else ''}" if fits else "neither agrees"
        told.append(
            f"{what} at {ds.attrs['axis']} = {_number(at)}: the paper {_number(value)} ± {_number(error)}, the optimum "
            f"{_number(hard)}, KL {_number(kl)}; {agrees}"
        )
    return f"Chart and model: {'. '.join(told)}."


def readings_of(case: scenarios.Scenario, ds: xr.Dataset, what: str, at: float) -> tuple[float, float]:
    """The optimum (ties shared) and KL at a value of the knob, between positions by interpolation."""
    one = ds.isel(quantity=ds["quantity"].values.tolist().index(what))
    x = ds.position.values
    near = int(np.abs(x - at).argmin())
    hard = float(one.measured.sel(map="uniform")[near])
    return hard, float(np.interp(at, x, one.measured.sel(map="kl").values))


def irrelevant_alternatives(ds: xr.Dataset) -> str:
    """Whether a tilt of one context can meet the chart."""
    tilts = ds.odds.isel(setting=np.flatnonzero(ds.tilt.values)).values
    moved = float((tilts.max(axis=1) / tilts.min(axis=1)).max())
    low, high = ds.reading_value.values
    mixture, plain = (ds.odds.sel(setting=name) for name in ("KL, a mixture of contexts", "gradient, one context"))
    at = ds.position.values
    found = [float(np.exp(np.interp(x, at, np.log(mixture.values)))) for x in ds.reading_at.values]
    return (
        "Independence of irrelevant alternatives. In one homogeneous context no tilt can do it: over all penalties the "
        f"odds of hidden cheating against honest work change by a factor of {moved:.10g} under KL, entropy and natural "
        f"gradients, while the chart moves them from {_number(low)} to {_number(high)}. With contexts that cannot be "
        f"hacked KL has {_number(found[0])} and {_number(found[1])}. A gradient over logits is no tilt: in one "
        f"context its odds go from {_number(float(plain.min()))} to {_number(float(plain.max()))}, but not as the "
        "chart's do."
    )


def survival_floor(ds: xr.Dataset) -> str:
    """Which cells are below their floor."""
    told = [
        f"{name}, {kind} ({_number(float(ds.ratio[i, j]))} for at least {_number(float(ds.floor[i]))})"
        for i, name in enumerate(ds.model.values)
        for j, kind in enumerate(ds.obeys.values)
        if bool(ds.below[i, j])
    ]
    margin = ds.pool_ratio.values - ds.pool_floor.values
    return (
        f"The survival floor. {len(told)} of {ds.below.size} cells of table 1 keep less of their obedience than any "
        f"tilt by correctness would leave: {'; '.join(told)}. Of {ds.sizes['pool']:,} random pools that were tilted "
        f"{int((margin < 0).sum())} fell below their floor (the nearest is {_number(float(margin.min()))} above). "
        "Pools of prompts that differ weaken the floor: this is evidence, no proof."
    )


def left_out(ds: xr.Dataset) -> str:
    """Out-Scores, and that they are not quasi-concave."""
    chart = ", ".join(f"{name} {_number(float(x))}" for name, x in zip(ds.domain.values, ds.hard_without, strict=True))
    off = float(np.abs(ds.hard_without - ds.chart).max())
    soft = ", ".join(f"{x:.3f}" for x in ds.soft_without.isel(strength=0).values)
    return (
        f"Out-Scores without each data set: {chart}; off the chart's by {off:.1g}, as they were put in. A data set is "
        f"left out below a share of {_number(float(ds.threshold[0]))}. The mixture of all is the average of the five "
        f"mixtures and scores {_number(ds.attrs['below_all'])} less than the least of them: the Out-Score is not "
        f"quasi-concave. Entropy of {_number(float(ds.strength[0]))} has {soft}. A data set's own score falls by "
        f"{_number(abs(float(ds.own.min())))} in the model and by at most {_number(abs(float(ds.own_chart.min())))} in "
        "the chart: these do not fit."
    )


def perturbed_models(ds: xr.Dataset) -> str:
    """Amplification, and which signs agree."""
    off = float(max(abs(ds.one_entry / ds.one_law - 1).max(), abs(ds.both_entries / ds.both_law - 1).max()))
    few = ds.isel(benchmark=np.flatnonzero(ds.modelled.values))
    above = int((np.abs(few.learned) > few.floor).sum())
    least, most = (float(x) for x in (ds.weight.min(), ds.weight.max()))
    told = "; ".join(
        f"{name}: model 2 {100 * float(a[0]):+.1f} (chart {100 * float(b[0]):+.1f}), model 3 {100 * float(a[1]):+.1f} "
        f"(chart {100 * float(b[1]):+.1f})"
        for name, a, b in zip(few.benchmark.values, few.optimum.values, few.chart.values, strict=True)
    )
    return (
        f"Amplification by 1/w: with a gap of {_number(ds.attrs['gap'])} a model of weight {_number(least)} may be off "
        f"by {_number(float(ds.one_entry.max()))} in one entry, one of weight {_number(most)} by "
        f"{_number(float(ds.one_entry.min()))}; certified distances are gap/w and gap/2w to {off:.1g}.\n"
        f"Signs of benchmarks, in points: {told}. {int(few.agrees.sum())} of {few.agrees.size} signs agree. Of the "
        f"learner's changes {above} of {few.learned.size} are larger than what two runs of model 1 differ by "
        f"({100 * float(few.floor.max()):.2g} points at most); its policies move by {_number(float(ds.moved[0]))} and "
        f"{_number(float(ds.moved[1]))} in total variation, twins by {_number(float(ds.moved_floor))}. The other "
        f"{int((~ds.modelled).sum())} benchmarks of the chart move too, and not in the model."
    )
