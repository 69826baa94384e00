"""Many tracers, many spans, many destinations in one process."""

from __future__ import annotations


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
