"""A study in a TOML file.

    study = "response"
    [problem]
    builder = "garnet"
    [settings]
    kind = "entropy"
    [axes]
    strength = { start = 0.01, stop = 10, count = 50, spacing = "geometric" }

Which names a file may use is read off the signatures of studies and builders. `axes` are the arguments that are lists
of numbers, `settings` the others; `problem` may hold several families by name.
"""

from jaxcliff.config.example import example
from jaxcliff.config.file import MistakesError, Study, read, understood

__all__ = ["MistakesError", "Study", "example", "read", "understood"]
