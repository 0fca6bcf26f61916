"""Every statement of the theory as a check: what is measured on instances, and what bounds it."""

from jaxcliff.claims.registry import Batch, Claim, Found, claims
from jaxcliff.claims.verification import Verified, replay, save, to_dataset, verify

__all__ = ["Batch", "Claim", "Found", "Verified", "claims", "replay", "save", "to_dataset", "verify"]


def __dir__() -> list[str]:
    return list(__all__)
