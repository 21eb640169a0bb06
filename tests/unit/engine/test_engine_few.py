"""``Few`` does what a dict does, whatever is done to it, and takes less while it has one entry."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.engine.few import Few

KEYS = st.sampled_from("abc")
CALLS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers()),
    st.tuples(st.just("pop"), KEYS, st.just(0)),
    st.tuples(st.just("default"), KEYS, st.just(0)),
    st.tuples(st.just("del"), KEYS, st.just(0)),
    st.tuples(st.just("clear"), KEYS, st.just(0)),
)


def done_to(mapping: Few[str, int] | dict[str, int], call: str, key: str, value: int) -> object:
    try:
        match call:
            case "set":
                mapping[key] = value
            case "pop":
                return mapping.pop(key)
            case "default":
                return mapping.pop(key, None)
            case "del":
                del mapping[key]
            case "clear":
                mapping.clear()
    except KeyError as error:
        return repr(error)
    return None


@given(st.lists(CALLS, max_size=12))
def test_it_is_as_a_dict(calls: list[tuple[str, str, int]]) -> None:
    few: Few[str, int] = Few()
    plain: dict[str, int] = {}
    for call in calls:
        assert done_to(few, *call) == done_to(plain, *call)
        assert list(few.items()) == list(plain.items())
        assert (len(few), bool(few)) == (len(plain), bool(plain))
        assert [(key in few, few.get(key), few.get(key, 7)) for key in "abc"] == [
            (key in plain, plain.get(key), plain.get(key, 7)) for key in "abc"
        ]


def test_what_is_not_there_is_an_error() -> None:
    few: Few[str, int] = Few()
    for entries in range(3):
        with pytest.raises(KeyError, match="missing"):
            few["missing"]
        few[str(entries)] = entries


def test_it_is_small_again_after_it_was_large() -> None:
    few: Few[str, int] = Few()
    for number in range(1000):
        few[str(number)] = number
    for number in range(1000):
        del few[str(number)]
    few["one"] = 1
    assert few._many is None
    assert sys.getsizeof(few) <= 64 < sys.getsizeof({"one": 1})
