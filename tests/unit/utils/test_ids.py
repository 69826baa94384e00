"""Ids are unique, also beside a host that seeds its random numbers and in forked children."""

import os
import random
import uuid

import pytest

from honeyhive.utils.ids import RandomIds, event_id, is_uuid, new_session_id


def test_ids_fit_their_width_and_differ():
    ids = RandomIds()

    traces = {ids.trace_id() for _ in range(1000)}
    spans = {ids.span_id() for _ in range(1000)}

    assert 1000 == len(traces) == len(spans)
    assert all(0 < one < 2**128 for one in traces)
    assert all(0 < one < 2**64 for one in spans)


def test_the_hosts_seed_does_not_make_ids_repeat():
    ids = RandomIds()

    random.seed(1)
    first = ids.trace_id()
    random.seed(1)

    assert first != ids.trace_id()


def test_a_seed_of_its_own_makes_them_predictable():
    assert RandomIds(seed=1).trace_id() == RandomIds(seed=1).trace_id()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_ids_of_its_own():
    ids = RandomIds(seed=1)
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        os.write(writing, str(ids.trace_id()).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert int(os.read(reading, 100)) != ids.trace_id()


def test_the_event_of_a_span_has_the_same_id_everywhere():
    assert event_id(1, 2) == event_id(1, 2) != event_id(2, 1)
    assert 5 == uuid.UUID(event_id(1, 2)).version


def test_a_session_id_is_a_random_uuid():
    assert is_uuid(new_session_id())
    assert 4 == uuid.UUID(new_session_id()).version


@pytest.mark.parametrize("text", ["", "x", "0" * 32, "{" + "0" * 36 + "}", str(uuid.UUID(int=0)) + "\n"])
def test_other_texts_are_no_uuid(text: str):
    assert not is_uuid(text)
