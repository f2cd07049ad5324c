"""What a cell of a report may show: HTML with a plain text beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Displayed:
    """A piece of a report: escaped HTML, and a short plain text for terminals and nbval."""

    html: str
    text: str

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text

    def __add__(self, other: Displayed) -> Displayed:
        return Displayed(f"{self.html}\n{other.html}", f"{self.text}\n{other.text}")
