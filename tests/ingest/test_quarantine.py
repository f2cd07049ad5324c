from __future__ import annotations

import pandas as pd
import pytest

from cobench.errors import ConservationError
from cobench.ingest.quarantine import (
    CELL_RULES,
    NON_DATA_RULES,
    QUARANTINE_RULES,
    Conservation,
    first_faults,
    hint,
)


def test_rows_that_add_up_pass():
    kept = Conservation("a.xlsx", 10, 7, 2, 1)
    assert kept.check() is kept


@pytest.mark.parametrize("counts", [(10, 7, 2, 0), (10, 8, 2, 1)])
def test_a_row_lost_or_counted_twice_is_an_error_naming_the_file(counts):
    with pytest.raises(ConservationError, match=r"a\.xlsx"):
        Conservation("a.xlsx", *counts).check()


def test_a_row_has_one_fault_the_first():
    index = pd.Index([3, 4, 5])
    one = pd.Series(["x", None, None], index=index, dtype="object")
    two = pd.Series(["y", "z", None], index=index, dtype="object")
    found = first_faults(index, [("a", one), ("b", two)])
    assert found.to_numpy().tolist() == [[3, "a", "x"], [4, "b", "z"]]


def test_every_rule_has_a_hint_in_both_languages():
    for rule in (*QUARANTINE_RULES, *NON_DATA_RULES, *CELL_RULES):
        assert hint(rule).zh and hint(rule).en and hint(rule).zh != hint(rule).en
