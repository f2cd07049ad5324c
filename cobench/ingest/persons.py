"""What the study has been told about single children: numbers that are one child's, and who must stay out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cobench.ingest.aliases import first_numbers, read_aliases
from cobench.ingest.columns import factor, recode
from cobench.ingest.identities import pseudonyms
from cobench.ingest.withdrawn import Withdrawn, load_withdrawn
from cobench.study import Study

if TYPE_CHECKING:
    from cobench.ingest.batches import FileCells


@dataclass(frozen=True)
class Persons:
    """Aliases and withdrawn children of a study.

    Attributes
    ----------
    first : mapping
        First number of the child of each number in the alias table.
    """

    study: Study
    key: bytes
    first: Mapping[str, str]
    withdrawn: Withdrawn

    def students(self, numbers: pd.Series) -> pd.Series:
        """Pseudonym of the child of each student number: that of its first number."""
        known = recode(numbers, lambda each: self.first.get(each, each)) if self.first else numbers
        return pseudonyms(self.key, self.study.id, "student", known)

    def fingerprint(self) -> list:
        """Changes with the alias table and with who is withdrawn."""
        return [sorted(self.first.items()), self.withdrawn.fingerprint()]


def load_persons(study: Study, key: bytes) -> Persons:
    """What is declared in ``private/``.

    Raises
    ------
    KeyMismatchError
    """
    return Persons(study, key, first_numbers(read_aliases(study)), load_withdrawn(study, key))


def mentions(withdrawn: Withdrawn, file: FileCells) -> bool:
    """Whether any cell of a file names a withdrawn child; its cells are then not kept."""
    return bool(withdrawn) and any(
        withdrawn.mentioned(text)
        for located in file.located
        for name in located.cells
        if name != "row"
        for text in factor(located.cells[name])[1]
        if isinstance(text, str)
    )
