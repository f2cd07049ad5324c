"""Before publication: identifiers in data files, and small counts over all reports of the term."""

import pandas as pd
import pytest
from throwaway import TERM, make_study, notebook, planned, run

from cobench.declared import Text
from cobench.errors import ReleaseError
from cobench.run.term_run import Download
from cobench.workbench import term_release

CLASSES = """
import pandas as pd
from cobench.release import Counted, release_counts
from cobench.show import guard_display, table
guard_display()
frame = pd.DataFrame({"class_id": list("abc"), "n": [4, 20, SIZE]})
"""
BY_CLASS = 'released = release_counts(frame, counts="n", margins=(), counted=Counted("x", ("class_id",)))'
IN_ALL = (
    'frame = pd.DataFrame({"n": [24 + SIZE]})\n'
    'released = release_counts(frame, counts="n", margins=(), counted=Counted("x"))'
)
SHOW = "table(released, language=language)"


def cells(counted, size=30):
    return [CLASSES.replace("SIZE", str(size)), counted.replace("SIZE", str(size)), SHOW]


def states(result):
    return {outcome.report.path.split(".")[0]: outcome.state for outcome in result.outcomes}


def reasons(result):
    return {outcome.report.path.split(".")[0]: outcome.reason for outcome in result.outcomes}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("gate"))


def english(study):
    return planned(study, languages=("en",))


def test_of_two_reports_that_together_give_a_small_count_away_the_second_is_withheld(study):
    notebook(study.root / "notebooks" / "10_classes.ipynb", *cells(BY_CLASS), declared={"order": 1})
    notebook(study.root / "notebooks" / "20_total.ipynb", *cells(IN_ALL), declared={"order": 2})
    result, _ = run(study, english(study))
    assert states(result) == {"10_classes": "ok", "20_total": "withheld"}
    assert "worked out" in reasons(result)["20_total"].en and reasons(result)["20_total"].zh
    page = (study.root / "reports" / TERM / "20_total.en.html").read_text(encoding="utf-8")
    assert "54" not in page.split("</style>")[-1].split("<footer")[0]
    kept = (study.root / "private" / "failed" / TERM / "20_total.en.txt").read_text(encoding="utf-8")
    assert "class_id" in kept


def test_a_second_edition_after_one_child_left_waits_until_the_first_is_withdrawn(study):
    (study.root / "notebooks" / "20_total.ipynb").unlink()
    notebook(study.root / "notebooks" / "10_classes.ipynb", *cells(BY_CLASS, 29), declared={"order": 1})
    result, _ = run(study, english(study))
    assert states(result) == {"10_classes": "withheld"}
    assert "cobench withdraw" in reasons(result)["10_classes"].en
    assert term_release.withdraw(study, TERM) > 0
    result, _ = run(study, english(study))
    assert states(result) == {"10_classes": "ok"}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_data_file_that_identifies_somebody_stops_publication(study, tmp_path, name):
    from cobench.release import scan_html

    path = tmp_path / name
    frame = pd.DataFrame({"phone": ["13812345678"]})
    frame.to_csv(path) if name.endswith("csv") else frame.to_parquet(path)
    before = (study.root / "reports" / TERM / "run.json").read_bytes()
    with pytest.raises(ReleaseError, match=name):
        run(
            study,
            english(study),
            scan=lambda html, path: scan_html(html),
            downloads={name: Download(path, Text("数据", "data"))},
        )
    assert (study.root / "reports" / TERM / "run.json").read_bytes() == before
