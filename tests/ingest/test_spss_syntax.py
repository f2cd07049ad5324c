from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cobench.ingest.spss_syntax import read_syntax


def test_labels_values_and_missing_codes_of_several_variables():
    found = read_syntax(
        "DATA LIST FILE='x.csv' / Q1 Q2.\n"
        'VARIABLE LABELS Q1 \'1.老师\'\'s\' /Q2 "他说""好""".\n'
        "value labels\n Q1 Q2 1 '不符合' 2 '符合'\n / Q3 'a' 'A' 'b' 'B'.\n"
        "MISSING VALUES Q1 Q2 (98, 99) Q3 ('x').\nEXECUTE.\n"
    )
    assert found["q1"].label == "1.老师's" and found["q2"].label == '他说"好"'
    assert found["q1"].labels == found["q2"].labels == {"1": "不符合", "2": "符合"}
    assert found["q3"].labels == {"a": "A", "b": "B"}
    assert found["q1"].missing == {"98", "99"} and found["q3"].missing == {"x"}


def test_other_commands_are_passed_over():
    assert read_syntax("RECODE q1 (1=2).\nCOMPUTE x = 1.\n* VALUE LABELS q1 1 'no'.\n") == {}


@given(st.text(max_size=200))
def test_any_text_is_syntax_or_nothing(text):
    assert isinstance(read_syntax("VALUE LABELS q " + text), dict)
    assert isinstance(read_syntax(text), dict)
