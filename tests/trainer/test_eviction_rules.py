"""Who holds keys and values, decided without a model: within the bound, in order, and something always goes on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.eviction import KeptRow, Shape, admitted, arranged, staying


def asked(length: int, new: int) -> Request:
    return Request(prompt_ids=[5] * length, max_new_tokens=new, temperature=1.0, seed=0, stop_ids=frozenset())


def rows_of(lengths: list[int], *, new: int = 100, first: int = 0) -> list[KeptRow]:
    rows = []
    for at, length in enumerate(lengths, first):
        row = KeptRow(slot=at, request=asked(length, new), length=length)
        row.used, row.size = length % 7, length
        rows.append(row)
    return rows


lengths = st.lists(st.integers(1, 900), max_size=9)


@settings(deadline=None)
@given(lengths, lengths, st.integers(1, 6000))
def test_who_is_admitted_fits_and_nobody_overtakes(active: list[int], waiting: list[int], bound: int) -> None:
    inside, outside = rows_of(active), rows_of(waiting, first=20)
    joining = admitted(inside, outside, bound)
    assert joining == outside[: len(joining)]
    batch = [*inside, *joining]
    if joining:
        assert len(batch) * max(row.needed for row in batch) <= bound
    elif not inside and outside:
        assert outside[0].needed > bound  # else nothing would ever go on


@settings(deadline=None)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=9), st.integers(1, 6000))
def test_who_stays_is_the_first_and_as_many_as_fit(active: list[int], bound: int) -> None:
    rows = rows_of(active)
    stay = staying(rows, bound)
    assert stay == rows[: len(stay)]
    for count in range(1, len(rows) + 1):
        fits = count * max(row.needed for row in rows[:count]) <= bound
        assert fits if count == len(stay) else not fits or count < len(stay)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=9),
    lengths,
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 9000),
)
def test_a_cache_stays_within_the_bound_and_who_rested_longest_goes(
    now: list[int], past: list[int], num_open: int, num_slots: int, bound: int
) -> None:
    before = Shape(num_slots=num_slots, capacity=bound // max(1, num_slots))
    past = [length for length in past if length <= before.capacity][:num_slots]
    rows, resting = staying(rows_of(now), bound), rows_of(past, first=20)
    if not rows:
        return
    after, kept = arranged(before, rows, resting, num_open=num_open, max_tokens=bound)
    assert after.num_slots * after.capacity <= bound
    assert len(rows) + len(kept) <= after.num_slots
    assert max(row.needed for row in rows) <= after.capacity
    assert all(row.length <= after.capacity for row in kept)
    fit = [row for row in resting if row.length <= after.capacity]
    assert all(row.used >= gone.used for row in kept for gone in fit if gone not in kept)
