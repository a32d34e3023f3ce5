"""The grammar of names, options, sweeps and composition."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmark.errors import BenchmarkError
from benchmark.spec.grammar import Ref, canonical, parse_refs, path_name, split_list

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.from_regex(r"[a-z][a-z0-9_.:]{0,8}", fullmatch=True),
    st.text(st.characters(codec="ascii"), max_size=8),
)
NESTED = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.[]{};,", max_size=4), inner),
    max_leaves=4,
)


@example("a", {"a": "\x1b\r"})
@example("a", {"a": "\x1f"})
@given(NAMES, st.dictionaries(NAMES, NESTED, max_size=4))
def test_canonical_form_reads_back(name: str, options: dict[str, object]) -> None:
    [(ref,)] = parse_refs(canonical(name, options))
    assert ref.name == name
    assert dict(ref.options) == options


@given(st.lists(st.tuples(NAMES, st.dictionaries(NAMES, st.integers(), max_size=2)), min_size=1, max_size=4))
def test_lists_split_outside_brackets_only(items: list[tuple[str, dict[str, int]]]) -> None:
    texts = [canonical(name, options) for name, options in items]
    assert split_list([",".join(texts)]) == texts
    assert split_list(texts) == texts


def test_sweep_and_composition() -> None:
    assert parse_refs("a[x=1,2]+b") == [
        (Ref("a", (("x", 1),)), Ref("b")),
        (Ref("a", (("x", 2),)), Ref("b")),
    ]
    assert len(parse_refs("a[x=1,2;y=3,4,5]")) == 6


def test_lists_mappings_and_quoted_texts_are_values() -> None:
    text = 'a[x=[p, q],r;y={p: 1, q: [2, 3]};z="1,2;[",s]+b'
    assert [dict(first.options) for first, _ in parse_refs(text)] == [
        {"x": x, "y": {"p": 1, "q": [2, 3]}, "z": z} for x in (["p", "q"], "r") for z in ("1,2;[", "s")
    ]
    assert split_list([f"{text},c"]) == [text, "c"]


def test_numbers_without_a_dot_before_the_exponent_are_numbers() -> None:
    assert parse_refs("a[lr=1e-4]") == [(Ref("a", (("lr", 1e-4),)),)]


@pytest.mark.parametrize(
    "text", ["", "a+", "+a", "a[", "a]", "a[x]", "a[x=]", "a[x=1;x=2]", "a[x=1]b", "a[[x=1]]", "a[x=[1]", "a[x={1]}]"]
)
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError):
        parse_refs(text)


@given(st.text(min_size=1), st.text())
def test_path_names_are_safe(name: str, changed: str) -> None:
    made = path_name(name, changed)
    assert "/" not in made
    assert all(character.isalnum() or character in "_.+-" for character in made)
