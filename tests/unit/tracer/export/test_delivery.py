"""What becomes of spans under every answer, with a clock moved by hand."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from random import Random

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from honeyhive.models.wire import RecordKind
from honeyhive.tracer.export.rules import Action, Verdict, pause_s
from honeyhive.tracer.export.statistics import Statistics


def send_all(delivery, clock, *, most_s=3600.0):
    """Step whenever a step is due, until nothing is left or time is up."""
    deadline = clock.now_s + most_s
    while clock.now_s < deadline:
        clock.now_s = max(clock.now_s, delivery.not_before)
        if not delivery.step():
            return


def test_records_leave_as_one_request_in_order(delivery, put, backend, ledger):
    put("a", "b")
    put("c")

    delivery.step()

    assert backend.names == [["a", "b", "c"]]
    assert ledger.snapshot() == Statistics(finished=3, delivered=3)
    assert not delivery.step()


def test_an_outage_is_survived_and_nothing_is_sent_twice(delivery, put, backend, ledger, clock, answer):
    put("a")
    backend.planned = [backend.refuse(), answer(503), answer(500), answer(408)]

    send_all(delivery, clock)

    assert len(backend.requests) == 5
    assert ledger.snapshot() == Statistics(finished=1, delivered=1)


def test_an_outage_and_its_end_are_one_line_each(delivery, put, backend, clock, answer, caplog):
    put("a")
    backend.planned = [answer(503)] * 4

    send_all(delivery, clock)

    assert [record.getMessage().split(" (")[0] for record in caplog.records] == [
        "honeyhive cannot deliver to https://collector.example/v1/traces",
        "honeyhive delivers to https://collector.example/v1/traces again after 8 s; the first request took 1 span.",
    ]


def test_ten_minutes_of_outage_are_over_within_a_minute_oldest_first(delivery, put, backend, ledger, clock, answer):
    back_at = clock.now_s + 600
    backend.rule = lambda _payload: answer(200) if clock.now_s >= back_at else backend.refuse()

    for second in range(600):
        put(*[f"{second}"] * 20)
        while delivery.not_before <= clock.now_s < back_at:
            delivery.step()
        clock.now_s += 1
    send_all(delivery, clock)

    taken = [name for request in backend.names[-30:] for name in request]
    assert clock.now_s < back_at + 60
    assert ledger.snapshot() == Statistics(finished=12_000, delivered=12_000)
    assert taken[-12_000:] == [str(second) for second in range(600) for _ in range(20)]


def test_many_processes_do_not_come_back_in_one_moment():
    """Fifty that failed in the same moment, for the tenth time, try again at fifty different ones."""
    failed = Verdict(Action.RETRY, "HTTP 503")
    asked = Verdict(Action.RETRY, "HTTP 503", retry_after_s=30.0)

    pauses = [[pause_s(verdict, 10, Random(seed).random) for seed in range(50)] for verdict in (failed, asked)]

    for each in pauses:
        shortest, longest = min(each), max(each)
        tenths = Counter(int(10 * (pause - shortest) / (longest - shortest)) for pause in each)
        assert longest - shortest > 2
        assert max(tenths.values()) <= 15
    assert min(pauses[1]) >= 30


def test_retry_after_holds_even_a_forced_step_back(delivery, put, backend, clock, answer):
    put("a")
    backend.planned = [answer(429, {"retry-after": "30"})]
    delivery.step()

    delivery.step(forced=True)
    clock.now_s += 29
    delivery.step(forced=True)

    assert len(backend.requests) == 1
    clock.now_s += 5
    delivery.step(forced=True)
    assert backend.names == [["a"], ["a"]]


def test_a_forced_step_does_not_wait_for_our_own_pause(delivery, put, backend, answer):
    put("a")
    backend.planned = [answer(503)]
    delivery.step()

    delivery.step(forced=True)

    assert len(backend.requests) == 2


def test_a_refused_key_keeps_spans_and_probes_ever_more_rarely(delivery, put, backend, ledger, clock, answer, caplog):
    put("a")
    backend.rule = lambda _payload: answer(401, {}, b"bad key")
    started = clock.now_s
    times = []

    for _ in range(8):
        clock.now_s = max(clock.now_s, delivery.not_before)
        times.append(clock.now_s - started)
        delivery.step()

    assert times == [0, 2, 6, 14, 30, 62, 122, 182]
    assert ledger.snapshot() == Statistics(finished=1, spooled=1)
    assert [record.getMessage() for record in caplog.records if "HTTP 401" in record.getMessage()] == [
        (
            "honeyhive: https://collector.example/v1/traces refuses what is sent (HTTP 401): "
            "check its address and key. Spans are kept in /spool."
        )
    ]


@pytest.mark.parametrize("status", [301, 307, 308, 404])
def test_a_wrong_address_keeps_spans(delivery, put, backend, ledger, clock, answer, status):
    put("a")
    backend.planned = [answer(status, {"location": "https://elsewhere.example"})]

    delivery.step()

    assert ledger.snapshot() == Statistics(finished=1, spooled=1)
    assert delivery.not_before == clock.now_s + 2


def test_a_request_too_large_is_halved_until_it_fits(delivery, put, backend, ledger, clock, answer, names):
    put(*"abcdefgh", pad="x" * 9_000)
    backend.rule = lambda payload: answer(413 if len(payload) > 30_000 else 200)

    send_all(delivery, clock)

    taken = [names(payload) for _kind, payload in backend.requests if len(payload) <= 30_000]
    assert list(chain.from_iterable(taken)) == list("abcdefgh")
    assert ledger.snapshot() == Statistics(finished=8, delivered=8)


def test_the_size_that_fits_is_remembered(delivery, put, backend, clock, answer):
    backend.rule = lambda payload: answer(413 if len(payload) > 30_000 else 200)
    put(*"abcd", pad="x" * 9_000)
    send_all(delivery, clock)
    backend.requests.clear()

    for name in "efgh":
        put(name, pad="x" * 9_000)
    send_all(delivery, clock)

    assert all(len(payload) <= 30_000 for _kind, payload in backend.requests)


def test_requests_grow_again_once_many_were_accepted(delivery, put, backend, clock, answer):
    backend.planned = [answer(413)]
    put(*"abcd", pad="x" * 9_000)
    delivery.step()
    for _ in range(50):
        put("e", pad="x" * 9_000)

    send_all(delivery, clock)

    sizes = [len(payload) for _kind, payload in backend.requests[1:]]
    limit = len(backend.requests[0][1]) // 2
    assert max(sizes[:32]) <= limit < max(sizes[32:])


def test_a_single_span_too_large_loses_length_not_its_life(delivery, put, backend, ledger, clock, answer):
    put("a", prompt="x" * 100_000)
    backend.rule = lambda payload: answer(413 if len(payload) > 30_000 else 200)

    send_all(delivery, clock)

    assert backend.names[-1] == ["a"]
    assert ledger.snapshot() == Statistics(finished=1, delivered=1)


def test_a_span_that_no_cut_makes_small_enough_is_counted(delivery, put, backend, ledger, clock, answer):
    put("a", prompt="x" * 100_000)
    backend.rule = lambda _payload: answer(413)

    send_all(delivery, clock)

    assert ledger.snapshot() == Statistics(finished=1, dropped={"too_large": 1})


@pytest.mark.parametrize("status", [400, 422])
def test_only_the_poison_span_is_dropped(delivery, put, backend, ledger, clock, answer, names, status):
    put(*"abcdefg", "poison")
    put(*"hijk")
    backend.rule = lambda payload: answer(status if "poison" in names(payload) else 200)

    send_all(delivery, clock)

    taken = [names(payload) for _kind, payload in backend.requests if "poison" not in names(payload)]
    assert sorted(chain.from_iterable(taken)) == list("abcdefghijk")
    assert ledger.snapshot() == Statistics(finished=12, delivered=11, dropped={"rejected_by_backend": 1})


def test_an_outage_amid_bisection_repeats_no_delivered_span(delivery, put, backend, ledger, clock, answer):
    put(*"abcd")
    backend.planned = [answer(400), answer(200), answer(503)]

    send_all(delivery, clock)

    assert backend.names == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c", "d"]]
    assert ledger.snapshot() == Statistics(finished=4, delivered=4)


def test_spans_that_an_accepted_request_lost_are_counted_and_not_resent(delivery, put, backend, ledger, clock, answer):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    put(*"abc")
    backend.planned = [answer(200, {"content-type": "application/x-protobuf"}, response.SerializeToString())]

    send_all(delivery, clock)

    assert len(backend.requests) == 1
    assert ledger.snapshot() == Statistics(finished=3, delivered=1, dropped={"partial_success": 2})


def test_three_days_are_the_end_of_a_span(delivery, put, backend, ledger, clock):
    put("old")
    clock.now_s += 72 * 3600 + 61

    send_all(delivery, clock)

    assert backend.requests == []
    assert ledger.snapshot() == Statistics(finished=1, dropped={"expired": 1})


def test_a_young_span_does_not_die_with_an_old_one(delivery, put, ledger, clock):
    put("old")
    clock.now_s += 72 * 3600 + 61
    put("young")

    send_all(delivery, clock)

    assert ledger.snapshot() == Statistics(finished=2, delivered=2)


def test_the_breaker_of_an_endpoint_lets_one_probe_through_at_a_time(delivery, put, backend, clock, answer):
    put("a")
    backend.rule = lambda _payload: answer(503)
    for _ in range(5):
        clock.now_s = max(clock.now_s, delivery.not_before)
        delivery.step()

    delivery.not_before = 0.0
    delivery.step()

    assert len(backend.requests) == 5
    assert delivery.not_before == clock.now_s + 10


def test_nobody_there_means_a_look_each_second_and_no_outage(delivery, put, backend, ledger, clock, caplog):
    put("a")
    backend.is_there = False

    delivery.step()

    assert delivery.absent
    assert delivery.not_before == clock.now_s + 1
    assert (backend.requests, caplog.records) == ([], [])
    backend.is_there = True
    send_all(delivery, clock)
    assert ledger.snapshot() == Statistics(finished=1, delivered=1)


def test_kinds_do_not_mix_in_one_request(delivery, put, backend, spool, clock):
    put("a")
    spool.append(RecordKind.REST, b'{"method": "POST", "path": "/session/start", "body": {}}', 0)
    spool.append(RecordKind.REST, b'{"method": "PUT", "path": "/events", "body": {}}', 0)
    put("b")

    send_all(delivery, clock)

    assert [kind for kind, _payload in backend.requests] == [
        RecordKind.SPANS,
        RecordKind.REST,
        RecordKind.REST,
        RecordKind.SPANS,
    ]


def test_a_rest_call_that_is_not_wanted_holds_no_span_up(delivery, put, backend, spool, ledger, clock, answer):
    spool.append(RecordKind.REST, b'{"method": "POST", "path": "/session/start", "body": {}}', 0)
    put("a")
    backend.planned = [answer(404)]

    send_all(delivery, clock)

    assert ledger.snapshot() == Statistics(finished=1, delivered=1)


@pytest.mark.parametrize("status", [400, 404, 405, 413])
def test_logs_that_a_backend_does_not_take_hold_up_no_spans(put, spool, delivery, backend, answer, caplog, status):
    spool.append(RecordKind.LOGS, b"logs", 0)
    put("a")
    backend.planned = [answer(status)]

    while delivery.step():
        pass

    assert backend.names == [["a"]]
    assert "takes no logs" in caplog.text
