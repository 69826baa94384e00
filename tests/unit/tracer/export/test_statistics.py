from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from honeyhive.tracer.export.statistics import DropReason, FlushResult, Ledger, Place, Statistics


def balanced(statistics: Statistics) -> bool:
    entered = statistics.finished + statistics.adopted
    present = statistics.delivered + statistics.spooled + statistics.in_memory + sum(statistics.dropped.values())
    return entered == present


MOVES = st.one_of(
    st.tuples(st.just("finish"), st.integers(0, 50)),
    st.tuples(st.just("adopt"), st.integers(0, 50)),
    st.tuples(st.just("forsake"), st.integers(0, 50)),
    st.tuples(st.just("move"), st.integers(0, 50), st.sampled_from(Place), st.sampled_from(Place)),
    st.tuples(st.just("drop"), st.integers(0, 50), st.sampled_from(Place), st.sampled_from(DropReason)),
    st.tuples(st.just("refuse"), st.integers(0, 50), st.sampled_from(DropReason)),
)


@given(moves=st.lists(MOVES, max_size=30), queued=st.integers(0, 9))
def test_the_books_always_balance(moves, queued):
    ledger = Ledger()

    for name, *arguments in moves:
        getattr(ledger, name)(*arguments)

    assert balanced(ledger.snapshot(queued))


def test_sums_of_balanced_statistics_are_balanced():
    one, two = Ledger(), Ledger()
    one.finish(3)
    one.drop(1, Place.MEMORY, DropReason.EXPIRED)
    two.finish(2)
    two.refuse(4, DropReason.EXPIRED)

    total = one.snapshot() + two.snapshot(queued=1)

    assert total == Statistics(finished=10, in_memory=5, dropped={"expired": 5})
    assert balanced(total)


def test_what_somebody_asked_not_to_record_is_no_loss():
    ledger = Ledger()
    ledger.refuse(7, DropReason.SAMPLED)
    ledger.refuse(2, DropReason.TOO_LARGE)

    assert ledger.snapshot().lost == 2


def test_flushes_side_by_side_are_true_only_together():
    good = FlushResult(complete=True, delivered=3, elapsed=0.5)
    bad = FlushResult(complete=False, in_memory=2, elapsed=1.5)

    assert good
    assert good + bad == FlushResult(complete=False, delivered=3, in_memory=2, elapsed=1.5)
    assert not good + bad
