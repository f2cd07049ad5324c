"""Labels fall back from the study to the fixed wording to the id."""

from cobench.show import Labels, study_labels
from cobench.study import load_study


def test_labels_fall_back_from_study_to_wording_to_id(labels):
    assert labels.text("outcome", "math", "zh") == "数学成绩"
    assert labels.text("method", "difference", "zh") == "直接比较"
    assert labels.text("method", "magic", "zh") == "magic"


def test_added_labels_leave_the_first_ones_alone(labels):
    more = labels.add("outcome", {"chinese": {"zh": "语文", "en": "Chinese"}})
    assert more.text("outcome", "chinese", "en") == "Chinese"
    assert not labels.has("outcome", "chinese")


def test_contrasts_take_either_form(labels):
    assert labels.contrast("visit", "targeted", "en") == "targeted home visit"
    assert labels.contrast("visit", "targeted - at_home", "en") == "targeted home visit"
    assert labels.reference("visit", "targeted - at_home", "en") == "routine home visit"
    assert labels.reference("visit", "targeted", "en") == "no contact"
    assert Labels().reference("x", "y", "zh") == "对照组"


def test_subgroups_and_populations_have_names(labels):
    assert labels.subgroup("category:left_behind", "zh") == "留守"
    assert labels.subgroup("category:left_behind=0", "en") == "not left behind"
    assert labels.subgroup("", "zh") == ""
    assert labels.subgroup("first=2025-1", "en") == "first exposed in 2025-1"
    assert labels.subgroup("start=2025-1;before=01", "zh") == "2025-1开始接受的学生（此前各学期：无、有）"
    assert labels.population("all", "zh") == ""
    assert labels.population("all:on_support", "zh") == "有可比对象的学生"


def test_the_demo_study_has_labels_for_what_it_declares(request):
    study = load_study(request.config.rootpath)
    labels = study_labels(study, school={"S01": {"zh": "一小", "en": "School 1"}})
    for treatment in study.treatments.values():
        for level in treatment.levels:
            assert labels.contrast(treatment.id, level.id, "zh") == level.label.zh
    assert labels.text("unit", "math", "en") == "SD"
    assert labels.text("school", "S01", "en") == "School 1"


def test_an_item_of_a_register_is_called_what_schools_write(request):
    labels = study_labels(load_study(request.config.rootpath))
    assert labels.text("item", "entry_1", "zh") == "参评一"
    assert labels.text("entry", "entry_1", "en") == "entry 1"


def test_every_kind_of_file_has_a_name_in_both_languages():
    for kind in ("students", "records", "checkins", "teaching", "communities", "postings", "tasks"):
        names = [Labels().text("kind", kind, language) for language in ("zh", "en")]
        assert not names[0].isascii() and names[0] != names[1]


def test_short_labels_leave_out_brackets_in_both_languages():
    from cobench.declared import Text

    labels = Labels({"outcome": {"math": Text(zh="数学成绩（校内标准分）", en="maths (school paper)")}})
    short = labels.shortened("outcome")
    assert (short.text("outcome", "math", "zh"), short.text("outcome", "math", "en")) == ("数学成绩", "maths")
