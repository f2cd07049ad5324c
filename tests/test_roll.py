"""Claims about numbering students."""

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from cobench.ingest.identities import pseudonym
from cobench.roll import Roll

KEY = b"k" * 32
CHILDREN = [pseudonym(KEY, "study", "student", str(number)) for number in range(40)]
LISTS = st.lists(st.one_of(st.none(), st.sampled_from(CHILDREN)), max_size=60)
LIKE = "s_" + "0" * 16


@given(listed=LISTS, asked=LISTS)
def test_numbers_are_those_of_a_comparison_of_texts(listed, asked):
    _agrees(listed, asked)


@given(
    listed=st.lists(st.sampled_from([*CHILDREN[:5], "s_short", "学生一", LIKE + "abcd", LIKE + "abce"])),
    asked=st.lists(
        st.sampled_from([None, *CHILDREN[:8], "", "x" * 22, LIKE + "abcd", LIKE + "abce", LIKE + "ffff"])
    ),
)
def test_names_of_another_form_and_names_alike_but_for_the_end_are_told_apart(listed, asked):
    _agrees(listed, asked)


def _agrees(listed, asked):
    roll = Roll(pa.chunked_array([pa.array(listed[:7], pa.string()), pa.array(listed[7:], pa.string())]))
    expected = pc.unique(pa.array([each for each in listed if each is not None], pa.string()))
    assert roll.names.to_pylist() == expected.to_pylist()
    places = {name: place for place, name in enumerate(expected.to_pylist())}
    numbers = roll.numbers(pa.chunked_array([pa.array(asked, pa.string())]))
    assert numbers.tolist() == [places.get(each, -1) for each in asked]


def test_parts_of_a_longer_column_are_read_where_they_lie():
    whole = pa.array(CHILDREN, pa.string())
    roll = Roll(pa.chunked_array([whole.slice(3, 5)]))
    assert roll.numbers(pa.chunked_array([whole.slice(4, 2)])).tolist() == [1, 2]
