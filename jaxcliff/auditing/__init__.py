"""The audit: a table of real scores, or the log of a training run, and what its numbers decide by how little."""

from jaxcliff.auditing.findings import Audit, audit, audited

__all__ = ["Audit", "audit", "audited"]


def __dir__() -> list[str]:
    return list(__all__)
