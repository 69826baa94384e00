"""Ids are unique, also beside a host that seeds its random numbers and in forked children."""

import os
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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


def test_uuids_are_random_ones_and_differ():
    ids = RandomIds()

    drawn = [ids.uuid() for _ in range(1000)]

    assert 1000 == len(set(drawn))
    for text in drawn:
        read = uuid.UUID(text)
        assert (text, 4, uuid.RFC_4122) == (str(read), read.version, read.variant)
    for place in set(range(36)) - {8, 13, 14, 18, 23}:
        assert {"8", "9", "a", "b"} <= {text[place] for text in drawn}


def test_threads_draw_different_uuids():
    ids = RandomIds()
    begin = threading.Barrier(8)

    def draw(_: int) -> list[str]:
        begin.wait()
        return [ids.uuid() for _ in range(500)]

    with ThreadPoolExecutor(8) as threads:
        drawn = [text for texts in threads.map(draw, range(8)) for text in texts]

    assert 4000 == len(set(drawn))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("kind", [RandomIds.trace_id, RandomIds.uuid])
def test_a_forked_child_has_ids_of_its_own(kind: Callable[[RandomIds], object]):
    ids = RandomIds(seed=1)
    kind(ids)
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        os.write(writing, str(kind(ids)).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(reading, 100).decode() != str(kind(ids))


def test_the_event_of_a_span_has_the_same_id_everywhere():
    assert event_id(1, 2) == event_id(1, 2) != event_id(2, 1)
    assert 5 == uuid.UUID(event_id(1, 2)).version


def test_a_session_id_is_a_random_uuid():
    assert is_uuid(new_session_id())
    assert 4 == uuid.UUID(new_session_id()).version


@pytest.mark.parametrize("text", ["", "x", "0" * 32, "{" + "0" * 36 + "}", str(uuid.UUID(int=0)) + "\n"])
def test_other_texts_are_no_uuid(text: str):
    assert not is_uuid(text)
