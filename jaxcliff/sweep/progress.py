"""How far a sweep is: a bar on a terminal, a line a minute elsewhere."""

import sys
import time
from typing import Any

import numpy as np

MINUTE = 60.0


class Progress:
    """Points that are done, and what is worth knowing of them: other statuses than 0, decisions that are open."""

    def __init__(self, points: int, before: int, show: bool):
        self.points, self.done, self.before, self.show = points, before, before, show
        self.statuses: dict[int, int] = {}
        self.undecided = 0.0
        self._began = self._said = time.monotonic()
        self._bar: Any = None
        if show and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=points, initial=before, unit="point", unit_scale=True, file=sys.stderr)

    def add(self, points: int, values: dict[str, np.ndarray]) -> None:
        """A chunk of so many points has been computed."""
        self.done += points
        if "status" in values:
            for code, count in zip(*np.unique(values["status"], return_counts=True), strict=True):
                if code:
                    self.statuses[int(code)] = self.statuses.get(int(code), 0) + int(count)
        if "undecided" in values:
            self.undecided += float(np.nansum(values["undecided"]))
        elif "undecided_mean" in values:
            self.undecided += float(np.nansum(values["undecided_mean"] * values["undecided_count"]))
        if self._bar is not None:
            self._bar.set_postfix_str(self._notes(), refresh=False)
            self._bar.update(points)
        elif self.show and time.monotonic() - self._said >= MINUTE:
            self._said = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """One line: points, rate, time left, what is worth knowing."""
        seconds = time.monotonic() - self._began
        rate = (self.done - self.before) / max(seconds, 1e-9)
        left = (self.points - self.done) / rate if rate else float("inf")
        parts = [f"{self.done:,} of {self.points:,} points ({self.done / self.points:.1%})", f"{rate:,.0f} a second"]
        if self.done < self.points:
            parts.append(f"{_time(left)} left" if np.isfinite(left) else "time left unknown")
        return ", ".join(parts + ([self._notes()] if self._notes() else []))

    def end(self) -> None:
        """The last word."""
        if self._bar is not None:
            self._bar.close()
        elif self.show:
            print(self.line(), file=sys.stderr, flush=True)

    def _notes(self) -> str:
        found = [f"status {code}: {count:,}" for code, count in sorted(self.statuses.items())]
        return ", ".join(found + ([f"undecided: {self.undecided:,.0f}"] if self.undecided else []))


def _time(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
