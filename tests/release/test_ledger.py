"""All tables of a term together, and its editions one after the other."""

import pandas as pd

from cobench.release import Counted, ledger, release_counts, release_estimates, release_table
from cobench.release.structure import system
from cobench.release.suppression import protection_width

CLASSES = pd.DataFrame(
    {"school": list("AAABBB"), "class_id": list("abcdef"), "n_never": [4, 20, 30, 15, 25, 11]}
)


def by_class(school, planned=frozenset()):
    own = CLASSES[CLASSES["school"] == school].drop(columns="school")
    return release_counts(
        own,
        counts="n_never",
        margins=(),
        counted=Counted("reach", ("class_id",), {"school": school}, planned=planned),
    )


def by_school(planned=frozenset(), classes=CLASSES):
    totals = classes.groupby("school")["n_never"].sum().reset_index()
    return release_counts(
        totals, counts="n_never", margins=(), counted=Counted("reach", ("school",), planned=planned)
    )


def released(*calls):
    with ledger.collecting() as tables:
        results = [call() for call in calls]
    return tables, results


def plan(*calls, published=None):
    with ledger.collecting(plan=True) as tables:
        for call in calls:
            call()
    return frozenset(ledger.decide(tables, 10, published).hide)


def test_a_class_table_and_a_school_table_that_are_safe_alone_are_not_together():
    pages, _ = released(lambda: by_class("A"))
    district, _ = released(by_school)
    assert not ledger.exposed(pages, 10) and not ledger.exposed(district, 10)
    (pinned,) = ledger.exposed([*pages, *district], 10)
    assert pinned == ("reach", "n_never", (("class_id", "a"), ("school", "A")))


def test_decided_over_the_term_the_same_pages_are_safe_and_totals_stay():
    calls = (lambda: by_class("A"), lambda: by_class("B"), by_school)
    hidden = plan(*calls)
    tables, (first, second, district) = released(
        lambda: by_class("A", hidden), lambda: by_class("B", hidden), lambda: by_school(hidden)
    )
    assert not ledger.exposed(tables, 10)
    assert first.marks["n_never"].tolist() == ["<", "x", ""]
    assert second.n_hidden == 0 and district.n_hidden == 0


def test_a_plan_made_again_under_an_earlier_plan_is_the_same():
    first = plan(lambda: by_class("A"), by_school)
    assert first and plan(lambda: by_class("A", first), lambda: by_school(first)) == first


def test_the_same_count_is_hidden_in_every_table_or_in_none():
    hidden = plan(lambda: by_class("A"), lambda: by_class("A"), by_school)
    tables, (first, again, _) = released(
        lambda: by_class("A", hidden), lambda: by_class("A", hidden), lambda: by_school(hidden)
    )
    assert first.marks.equals(again.marks)


def test_a_report_that_gives_a_small_count_away_is_withheld_and_the_others_stay():
    pages, _ = released(lambda: by_class("A"))
    district, _ = released(by_school)
    other, _ = released(lambda: by_class("B"))
    finds = ledger.audit({"school": pages, "custom": district, "other": other}, 10)
    assert [find.report for find in finds] == ["custom"]


def test_chinese_and_english_pages_are_one_population():
    tables, _ = released(lambda: by_class("A"), lambda: by_class("A"))
    assert len(system(tables, 10).keys) == 3


def test_a_child_that_left_between_two_editions_is_found():
    first, _ = released(by_school)
    published = ledger.with_edition({}, first)
    fewer = CLASSES.assign(n_never=CLASSES["n_never"] - (CLASSES["class_id"] == "e"))
    second, _ = released(lambda: by_school(classes=fewer))
    assert ledger.small_changes(second, 10, published) == (("reach", "n_never", (("school", "B"),)),)
    (find,) = ledger.audit({"implementation": second}, 10, published)
    assert find.changes and not ledger.audit({"implementation": first}, 10, published)


def test_a_change_of_ten_children_or_more_is_none_of_one():
    published = ledger.with_edition({}, released(by_school)[0])
    more = CLASSES.assign(n_never=CLASSES["n_never"] + 12 * (CLASSES["class_id"] == "e"))
    assert not ledger.audit({"x": released(lambda: by_school(classes=more))[0]}, 10, published)


def test_what_an_earlier_edition_printed_counts_as_printed():
    """The earlier edition showed the class that this one would hide to protect its neighbour."""
    alone = pd.DataFrame({"class_id": list("bc"), "n_never": [20, 30]})
    counted = Counted("reach", ("class_id",), {"school": "A"})
    earlier, _ = released(lambda: release_counts(alone, counts="n_never", margins=(), counted=counted))
    published = ledger.with_edition({}, earlier)
    hidden = plan(lambda: by_class("A"), by_school, published=published)
    assert hidden == {("reach", "n_never", (("school", "A"),))}
    now, _ = released(lambda: by_class("A", hidden), lambda: by_school(hidden))
    assert not ledger.exposed(now, 10, published)
    careless = plan(lambda: by_class("A"), by_school)
    now, _ = released(lambda: by_class("A", careless), lambda: by_school(careless))
    assert ledger.exposed(now, 10, published)


def test_editions_and_plans_come_back_from_their_files(tmp_path, monkeypatch):
    path = tmp_path / "report.jsonl"
    monkeypatch.setenv(ledger.VARIABLE, str(path))
    by_class("A")
    by_school()
    monkeypatch.delenv(ledger.VARIABLE)
    tables, _ = released(lambda: by_class("A"), by_school)
    assert ledger.read_tables(path) == tables
    published = ledger.with_edition({}, tables)
    (tmp_path / "editions.json").write_text(ledger.published_text(published), encoding="utf-8")
    assert ledger.read_published(tmp_path / "editions.json") == published
    hidden = plan(lambda: by_class("A"), by_school)
    assert ledger.plan_keys(ledger.plan_list(hidden)) == hidden
    assert ledger.read_tables(tmp_path / "none.jsonl") == []


def test_shares_and_differences_are_counts_as_well():
    frame = pd.DataFrame({"school": list("AB"), "n": [60, 80], "home": [40, 30], "any": [43, 55]})
    frame = frame.assign(share_home=frame["home"] / frame["n"], share_any=frame["any"] / frame["n"])
    shown = release_table(
        frame,
        counts="n",
        values=[],
        shares={"share_home": ("home", "n"), "share_any": ("any", "n")},
        nested=[("home", "any")],
    )
    first = shown.marks.iloc[0]
    assert (first[["home", "share_home"]] == "x").all() or (first[["any", "share_any"]] == "x").all()
    assert (shown.marks.iloc[1] == "").all()


def test_a_bound_is_not_printed_where_it_would_tell_a_hidden_group_size():
    frame = pd.DataFrame({"n": [16, 40], "met": [8, 20], "share": [0.5, 0.5]})
    shown = release_table(frame, counts="n", values=[], shares={"share": ("met", "n")}, margins=[()])
    assert shown.marks["n"].tolist()[0] == "x" and shown.marks["share"].tolist()[0] in ("n", "x")


def test_children_lost_between_two_steps_are_a_count():
    flow = pd.DataFrame({"step": ["listed", "enrolled", "analysed"], "n": [892, 887, 600]})
    shown = release_counts(flow, counts="n", margins=(), falling=True)
    assert shown.marks["n"].tolist().count("x") == 1 and shown.marks["n"].tolist()[2] == ""


def test_everybody_less_the_subgroups_may_not_leave_a_few():
    frame = pd.DataFrame(
        {
            "treatment": "visit", "contrast": "home", "outcome": "math", "method": "aipw",
            "subgroup": ["", "sex=f", "sex=m"], "estimate": 0.1, "status": "ok",
            "n_obs": [203, 100, 100], "n_treated": [90, 45, 45],
        }
    )  # fmt: skip
    shown = release_estimates(frame)
    assert (shown.marks["n_obs"] == "x").any()
    assert (shown.marks["estimate"] == "").all()


def test_the_samples_of_two_methods_may_not_differ_by_a_few():
    frame = pd.DataFrame(
        {
            "treatment": "visit", "contrast": "home", "outcome": "math", "method": ["regress", "aipw"], "estimand": ["VW", "ATT"],
            "subgroup": "", "estimate": 0.1, "status": "ok", "n_obs": [203, 200], "n_treated": [90, 90],
        }
    )  # fmt: skip
    assert (release_estimates(frame).marks["n_obs"] == "x").sum() == 1


def test_the_protection_width_is_half_the_threshold():
    assert [protection_width(n) for n in (1, 5, 10, 11)] == [1, 3, 5, 6]
