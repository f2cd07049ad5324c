"""What a cell of a report may show: HTML with a plain text beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CARRIED_MIME = "application/vnd.cobench.carried+json"


@dataclass(frozen=True)
class Displayed:
    """A piece of a report: escaped HTML, and a short plain text for terminals and nbval.

    ``carried`` are the estimates and table values behind it, for the data block of the page
    (:mod:`cobench.show.carried`).
    """

    html: str
    text: str
    carried: tuple[Mapping, ...] = ()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/html": self.html, "text/plain": self.text}
        return bundle | ({CARRIED_MIME: list(self.carried)} if self.carried else {})

    def __repr__(self) -> str:
        return self.text

    def __add__(self, other: Displayed) -> Displayed:
        return Displayed(
            f"{self.html}\n{other.html}", f"{self.text}\n{other.text}", (*self.carried, *other.carried)
        )
