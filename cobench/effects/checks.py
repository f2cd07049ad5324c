"""The result of a diagnostic check: four endings, a table behind it and a sentence in both languages."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from cobench.errors import ParameterError

STATUSES = ("passed", "failed", "not_applicable", "errored")
FEW = 10


@dataclass(frozen=True)
class Check:
    """One diagnostic of one contrast.

    Attributes
    ----------
    name : str
        What was checked: ``overlap``, ``balance``, ``cluster_level``, ``few_clusters``, ``history``,
        ``attrition``, ``assignment``, ``minimum_detectable``, ``adjustment``, ``evidence``, ``estimable``, ``interaction``,
        ``instrument``, ``exclusion``, ``monotonicity``; over terms ``lagged_outcome``, ``pre_trend``, ``carry_over``,
        ``controls``, ``strict_exogeneity``.
    status : {"passed", "failed", "not_applicable", "errored"}
    table : DataFrame
        The numbers behind the verdict; may be empty.
    text : dict
        One sentence a language: ``{"zh": ..., "en": ...}``. Counts of people under ten are not spelt out.
    contrast : str
        The exposure level it is about; empty where it is about the whole effect.
    """

    name: str
    status: str
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    text: dict[str, str] = field(default_factory=lambda: {"zh": "", "en": ""})
    contrast: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ParameterError(
                en=f"check {self.name}: status {self.status!r} is not one of {', '.join(STATUSES)}",
                zh=f"检查 {self.name}：状态 {self.status!r} 不在 {'、'.join(STATUSES)} 之中",
            )
        if set(self.text) != {"zh", "en"}:
            raise ParameterError(
                en=f"check {self.name}: text needs both languages, zh and en",
                zh=f"检查 {self.name}：text 必须同时有 zh 与 en",
            )


def people(n: float) -> dict[str, str]:
    """A number of people as it may be printed: exact from ten up, else "fewer than 10"; zero is "no"."""
    if n == 0:
        return {"zh": "0 名", "en": "no"}
    if n < FEW:
        return {"zh": f"不足 {FEW} 名", "en": f"fewer than {FEW}"}
    return {"zh": f"{int(n)} 名", "en": f"{int(n):,}"}


def p_in_words(p: float) -> str:
    """A p-value as it stands in a sentence: three decimals, never ``0.000``."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"
