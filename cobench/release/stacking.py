"""Put released tables under one another."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cobench.release.released import Released, require_released


def stacked(first: Released, *others: Released) -> Released:
    """Released tables of the same columns as one; it is about people as soon as one of them is.

    The threshold named is the highest of the parts.
    """
    parts = [require_released(each) for each in (first, *others)]
    columns = list(parts[0].frame.columns)
    people = [each for each in parts if each.about == "people"]
    head = max(people or parts, key=lambda each: each.rules.min_cell or 0)
    return replace(
        head,
        frame=pd.concat([each.frame[columns] for each in parts], ignore_index=True),
        hidden=pd.concat([each.hidden[columns] for each in parts], ignore_index=True),
        marks=pd.concat([each.marks[columns] for each in parts], ignore_index=True),
        true_totals=pd.concat([each.true_totals for each in parts], ignore_index=True),
        rules=replace(
            head.rules,
            hidden_primary=sum(each.rules.hidden_primary for each in parts),
            hidden_secondary=sum(each.rules.hidden_secondary for each in parts),
        ),
    )
