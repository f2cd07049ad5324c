"""Shared reading 亲子共读: days of check-in in the reading campaign, in all and in a row, by school.

Whether 21 days were reached is the standard E06; a run is told apart from a total, because 21 days in a row and 21 days
over three months are two things.
"""

from __future__ import annotations

import duckdb
import pandas as pd

from cobench.study import Study, Term

DAYS = 21
CAMPAIGN = "reading"
COLUMNS = ["school", "n_units", "n_any", "n_met", "n_run", "median_checkins", "median_run"]
_RUNS = f"""
with days as (
  select distinct c.student, c.date::date as day from checkins c join roster using (student)
  where c.date between ? and ?
),
islands as (
  select student, day - (row_number() over (partition by student order by day))::integer as island from days
),
runs as (select student, island, count(*) as n from islands group by all),
families as (select student, sum(n) as n_days, max(n) as n_run from runs group by student),
asked as (select * from roster where class_id in (select class_id from checkins where date between ? and ?))
select school, count(*) as n_units, count(n_days) as n_any, count(*) filter (n_days >= {DAYS}) as n_met,
  count(*) filter (n_run >= {DAYS}) as n_run, median(coalesce(n_days, 0)) as median_checkins,
  median(coalesce(f.n_run, 0)) as median_run
from asked left join families f using (student) group by school order by school"""


def reading_by_school(connection: duckdb.DuckDBPyConnection, study: Study, term: Term) -> pd.DataFrame:
    """Families of classes that check in, by how many days they did in the campaign up to the end of ``term``.

    Parameters
    ----------
    connection : DuckDBPyConnection
        Tables as :func:`cobench.monitor.units.stored` lays them out.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, a row a school: families asked, with any check-in, with 21 days in all, with 21 days in a
        row; medians of the days and of the longest run over all of them, those without a check-in at zero. Without a
        dated campaign, or one that overlaps the term, no rows.
    """
    dated = study.standards.campaigns.get(CAMPAIGN)
    if dated is None or dated[1] < term.start or dated[0] > term.end:
        return pd.DataFrame(columns=COLUMNS)
    days = (dated[0], min(dated[1], term.end))
    found = connection.execute(_RUNS, [*days, *days]).df()
    return found[COLUMNS]
