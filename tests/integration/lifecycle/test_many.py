"""Many tracers, many spans, many destinations in one process."""

from __future__ import annotations

import sys

import pytest


def test_spans_of_many_tracers_never_meet_and_threads_do_not_multiply(run, collector):
    program = run("""
        from concurrent.futures import ThreadPoolExecutor
        TRACERS, THREADS, SPANS = 50, 10, 3
        base = os.environ["COLLECTOR"].replace("/v1/traces", "")
        tracers = [init(f"{base}/{n}/v1/traces", f"hh_key_{n}", spool=False) for n in range(TRACERS)]

        def trace_all(thread):
            for _ in range(SPANS):
                for number, tracer in enumerate(tracers):
                    with tracer.start_span(f"tracer {number}"):
                        pass

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(trace_all, range(THREADS)))
        ours = [thread.name for thread in threading.enumerate() if "honeyhive" in thread.name]
        assert flush(20_000), process_statistics()
        assert 0 < len(ours) <= 6, ours
        assert process_statistics().delivered == TRACERS * THREADS * SPANS and balanced()
    """)

    assert (program.code, program.errors) == (0, "")
    for exchange in collector.exchanges:
        number = exchange.path.split("/")[1]
        assert {f"tracer {number}"} == set(exchange.names)
        assert f"Bearer hh_key_{number}" == exchange.headers["authorization"]
    assert {f"tracer {number}": 30 for number in range(50)} == dict(collector.delivered)


@pytest.mark.fault
def test_spans_never_ended_and_tracers_let_go_give_their_memory_back(run):
    program = run("""
        import gc, tracemalloc, weakref
        kept = init(spool=False)

        def leave_open():
            for _ in range(10_000):
                honeyhive.get_default_tracer().start_span("never ended").set_attribute("text", "x" * 100)
            made = HoneyHiveTracer(project="forgotten", test_mode=True)
            made.start_span("never ended")
            return weakref.ref(made), weakref.ref(made.identity)

        leave_open()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        gone = [each for _ in range(20) for each in leave_open()]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        assert not any(each() for each in gone), [each() for each in gone]
        assert grown < 200_000, grown
    """)

    assert (program.code, program.errors) == (0, "")


def test_a_notebook_cell_that_is_run_again_adds_neither_exporter_nor_thread(run, collector):
    program = run("""
        import asyncio
        def cell(number):
            tracer = init(spool=False)
            @trace(event_name=f"cell {number}")
            async def work():
                await asyncio.sleep(0)
            asyncio.run(work())
        cell(0)
        before = threading.active_count()
        for number in range(1, 10):
            cell(number)
        assert flush()
        assert threading.active_count() <= before + 3
    """)

    assert (program.code, program.errors) == (0, "")
    assert {f"cell {number}": 1 for number in range(10)} == dict(collector.delivered)


def test_logs_of_our_own_sending_make_no_spans(run, collector):
    program = run("""
        import logging
        class Tracing(logging.Handler):
            @trace(event_name="log")
            def emit(self, record):
                pass
        logging.basicConfig(level=logging.DEBUG, handlers=[Tracing()])
        init(flush_interval=0.05)
        work("only")
        logging.getLogger("theirs").debug("one record of the program")
        assert flush()
        time.sleep(0.3)
        assert flush() and balanced()
    """)

    assert (program.code, program.errors) == (0, "")
    assert 1 == collector.delivered["only"]
    assert 1 <= collector.delivered["log"] <= 4


def test_a_signal_handler_may_trace_and_flush_wherever_it_interrupts_us(run, collector):
    program = run("""
        init(max_export_batch_size=20)
        handled = 0
        def handler(number, frame):
            global handled
            handled += 1
            work("handler")
            if handled % 20 == 0:
                flush(5)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        calls = 0
        while handled < 100:
            work("main")
            calls += 1
            if calls % 200 == 0:
                flush(5)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert flush(20_000) and balanced(), process_statistics()
        print(calls, handled)
    """)

    assert (program.code, program.errors) == (0, "")
    calls, handled = map(int, program.output.split())
    assert {"main": calls, "handler": handled} == dict(collector.delivered)


def test_tasks_and_threads_deliver_each_span_once_under_its_own_parent(run, collector):
    program = run("""
        import asyncio
        tracer = init()
        @trace(event_name="child")
        async def child(number):
            await asyncio.sleep(0.001 * (number % 3))
        @trace(event_name="parent")
        async def parent(number):
            await asyncio.gather(*(child(number) for _ in range(2)))
        async def main():
            await asyncio.gather(*(parent(number) for number in range(200)))
        asyncio.run(main())
        threads = [threading.Thread(target=work, args=["thread"] * 100) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert flush() and balanced()
    """)

    assert (program.code, program.errors) == (0, "")
    assert {"child": 400, "parent": 200, "thread": 1600} == dict(collector.delivered)
    spans = {span.span_id: span for exchange in collector.exchanges for span in exchange.spans}
    numbers = {
        key: [a.value.int_value for a in span.attributes if a.key == "honeyhive_inputs.number"]
        for key, span in spans.items()
    }
    children = [span for span in spans.values() if span.name == "child"]
    assert all(numbers[span.parent_span_id] == numbers[span.span_id] for span in children)


def test_patched_by_gevent_spans_are_delivered(run, collector):
    pytest.importorskip("gevent")

    program = run(
        """
        import gevent
        def greenlet(number):
            work(f"greenlet {number}")
            gevent.sleep(0)
        init()
        gevent.joinall([gevent.spawn(greenlet, number) for number in range(20)])
        assert flush()
    """,
        python=(
            sys.executable,
            "-c",
            "import sys; from gevent import monkey; monkey.patch_all(); sys.argv.pop(0); exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))",
        ),
    )

    assert program.code == 0, program.errors
    assert {f"greenlet {number}": 1 for number in range(20)} == dict(collector.delivered)


def test_an_error_in_our_own_shutdown_does_not_reach_the_program(run, collector):
    program = run("""
        from opentelemetry.sdk.trace import SpanProcessor
        class Broken(SpanProcessor):
            def shutdown(self): raise RuntimeError("broken")
            def force_flush(self, timeout_millis=30_000): raise RuntimeError("broken")
        tracer = init()
        tracer.provider.add_span_processor(Broken())
        work("only")
        assert not tracer.shutdown()
        assert not tracer.shutdown()
        work("after")
    """)

    assert program.code == 0, program.errors
    assert "Traceback" not in program.errors
    assert {"only": 1} == dict(collector.delivered)
