"""How brittle rewards of a family are: the distribution of the distance to the nearest cliff."""

from typing import Any

import numpy as np

from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.core import checks, datasets
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import DataFrame, Dataset, FamilyLike, Norm, Number, NumbersLike, RewardsLike, Where
from jaxcliff.geometry.cones import Array
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Read, recorded

DIMS: dict[str, tuple[str, ...]] = {"radius": ("reward",), "guarantee": ("reward",)}


@record
class Census:
    """Distances to the nearest cliff of N rewards.

    Attributes:
        radius: of each reward, [N]; guarantee: what its smallest gap alone promises, [N].
        tied: the share that stands on a cliff; undecided: the share of which the arithmetic cannot tell.
        constant, standard_error: C in P(ρ < ε) ≈ Cε for small ε, of rewards with a density, from the smallest radii.
        norm: in which distances are measured.
    """

    radius: Array
    guarantee: Array
    tied: float
    undecided: float
    constant: float
    standard_error: float
    norm: str
    made: Any = by_hand(default=None)

    def share_within(self, distance: NumbersLike) -> np.ndarray | float:
        """The share of rewards with a cliff nearer than each distance."""
        ordered, distance = np.sort(self.radius), checks.numbers(distance, "distance")
        if np.isnan(distance).any():
            raise ValueError("distance is NaN: there is no share within it")
        return np.searchsorted(ordered, distance) / len(ordered)

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset, for `figures.radius_distribution`."""
        return datasets.to_dataset(self, DIMS)

    def to_dataframe(self) -> DataFrame:
        """A pandas table with a row per reward."""
        return self.to_dataset().to_dataframe()

    @classmethod
    def from_dataset(cls, ds: Dataset) -> "Census":
        """Back from a dataset."""
        return datasets.from_dataset(cls, ds, DIMS, Read(ds.attrs))

    def summary(self) -> str:
        """One sentence."""
        finite = self.radius[np.isfinite(self.radius)]
        if not finite.size:
            return f"{len(self.radius)} rewards: no change of this family changes any of their policies"
        unsure = f", {self.undecided:.1%} undecided" if self.undecided else ""
        return (
            f"{len(self.radius)} rewards: median distance to a cliff {np.median(finite):.3g} ({self.norm} norm), "
            f"{self.tied:.1%} on one{unsure}; P(distance < ε) ≈ {self.constant:.3g}ε (± {self.standard_error:.1g})"
        )


@checks.host_geometry
@recorded
def census(
    mdp: MDP,
    rewards: RewardsLike,
    *,
    norm: Norm = "inf",
    family: FamilyLike | None = None,
    where: Where = "all",
    tie_tolerance: Number | None = None,
) -> Census:
    """How far rewards [N, S, A], such as those of `jc.perturb.gaussian`, are from their nearest cliffs.

    C is estimated from the k = N^⅔ smallest radii, as −log(1 − k/N)/ρ₍ₖ₎: the distances of many walls, each with a
    density at 0, have a minimum that is nearly exponential.
    """
    rewards = checks.real(rewards, "rewards")
    if np.ndim(rewards) != 3 or len(rewards) < 8:
        raise ValueError(f"a census needs at least 8 rewards, [N, S, A], not shape {list(np.shape(rewards))}")
    if isinstance(where, str) and where == "visited":
        raise ValueError("walls of visited states are no distances: take where='all' or 'reachable'")
    near = nearest_cliff(mdp, rewards, norm=norm, family=family, where=where, tie_tolerance=tie_tolerance)
    radius = near.radius
    positive = np.sort(radius[(radius > 0) & np.isfinite(radius)])
    k = round(len(radius) ** (2 / 3))
    constant = -np.log1p(-k / len(radius)) / positive[k - 1] if len(positive) >= k else np.nan
    return Census(
        radius=radius,
        guarantee=np.where(near.tied, 0.0, near.guarantee),
        tied=float(near.tied.mean()),
        undecided=float((near.undecided & ~near.tied).mean()),
        constant=float(constant),
        standard_error=float(constant / np.sqrt(k)),
        norm=norm,
    )
