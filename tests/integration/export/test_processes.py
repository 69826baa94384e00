"""What happens to spans when processes end, are killed, or fork.

Spans are promised to be on disk after 50 ms; the programs here wait ten times as long, for machines that are busy.
"""

from __future__ import annotations

import pytest

TWENTY = {f"span {number}": 1 for number in range(20)}


def test_a_program_that_just_ends_delivers_everything(run, collector):
    program = run("work(*(f'span {n}' for n in range(20)))")

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == TWENTY


def test_a_program_that_has_delivered_everything_leaves_nothing_behind(run, collector, tmp_path):
    run("""
        import atexit
        atexit._clear()
        atexit.register(work, "late")
        from honeyhive.tracer.export.worker import process_worker
        atexit.register(process_worker().exit)
        work(*(f"span {n}" for n in range(20)))
    """)

    assert dict(collector.delivered) == {**TWENTY, "late": 1}
    assert [path for path in tmp_path.joinpath("honeyhive").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("death", ["signal.SIGKILL", "signal.SIGTERM"])
def test_a_killed_process_leaves_its_spans_to_the_next(run, collector, answering, death):
    collector.behave = answering(503)
    run(f"work(*(f'span {{n}}' for n in range(20))); time.sleep(0.5); os.kill(os.getpid(), {death}); time.sleep(5)")
    assert not collector.delivered
    collector.behave = answering(200)

    run("work('again'); assert pipeline.flush(20_000); wait_until(lambda: adopted(20))")

    assert dict(collector.delivered) == {**TWENTY, "again": 1}


def test_a_process_that_leaves_by_the_back_door_leaves_its_spans_to_the_next(run, collector):
    run("work(*(f'span {n}' for n in range(20))); time.sleep(0.5); os._exit(0)")

    run("work('again'); assert pipeline.flush(20_000); wait_until(lambda: adopted(20))")

    assert dict(collector.delivered) == {**TWENTY, "again": 1}


def test_an_outage_at_exit_is_told_and_the_next_process_delivers(run, collector, tmp_path):
    collector.stop()
    program = run("work(*(f'span {n}' for n in range(20)))")
    assert program.code == 0
    assert f"20 spans kept in {tmp_path / 'honeyhive' / 'spool'}" in program.errors
    assert "hh_secret" not in program.errors
    collector.start()

    run("work('again'); assert pipeline.flush(20_000); wait_until(lambda: adopted(20))")

    assert dict(collector.delivered) == {**TWENTY, "again": 1}


def test_a_hanging_backend_does_not_keep_a_program_from_ending(run, collector):
    collector.behave = lambda exchange: exchange.hang()

    program = run("work('a')", REQUEST_TIMEOUT="60")

    assert program.code == 0
    assert program.took_s < 25, "five seconds are promised"
    assert "1 span kept" in program.errors


def test_spans_that_end_while_the_program_ends_are_delivered(run, collector):
    program = run("""
        import atexit
        # Hooks run in reverse: this one comes after the export's own, which was registered when it was made.
        atexit._clear()
        atexit.register(work, "late")
        from honeyhive.tracer.export.worker import process_worker
        atexit.register(process_worker().exit)
        work("in time")
    """)

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == {"in time": 1, "late": 1}


def test_daemon_threads_that_trace_while_the_program_ends_do_not_abort_it(run):
    program = run("""
        import threading, time

        def flood():
            while True:
                work("password=secret-of-nobody " * 500)

        for _ in range(2):
            threading.Thread(target=flood, daemon=True).start()
        time.sleep(0.5)
    """)

    assert program.code == 0
    assert "terminate" not in program.errors


def test_a_first_span_that_ends_while_the_program_ends_is_delivered(run, collector):
    program = run("""
        import atexit
        atexit._clear()
        atexit.register(work, "late")
        from honeyhive.tracer.export.worker import process_worker
        atexit.register(process_worker().exit)
    """)

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == {"late": 1}


def test_threads_that_trace_to_the_very_end_do_no_harm(run):
    program = run("""
        def for_ever():
            while True:
                work("x")
                time.sleep(0.0005)
        for _ in range(3):
            threading.Thread(target=for_ever, daemon=True).start()
        time.sleep(0.2)
    """)

    assert program.code == 0
    assert "Traceback" not in program.errors


def test_both_sides_of_a_fork_deliver_their_own_spans_once(run, collector):
    program = run("""
        work("before")
        child = os.fork()
        if child == 0:
            work("child")
            assert pipeline.flush(20_000)
            assert process_statistics().finished == 1
            os._exit(0)
        work("parent")
        assert os.waitpid(child, 0)[1] == 0
        assert pipeline.flush(20_000)
        assert process_statistics().finished == 2
    """)

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == {"before": 1, "child": 1, "parent": 1}


def test_a_child_that_leaves_without_a_word_is_heard_through_its_parent(run, collector):
    program = run("""
        work("before")
        child = os.fork()
        if child == 0:
            work("child")
            time.sleep(0.5)
            os._exit(0)
        os.waitpid(child, 0)
        work("after")
        assert pipeline.flush(20_000)
        wait_until(lambda: adopted(1))
        statistics = process_statistics()
        assert (statistics.finished, statistics.adopted, statistics.delivered) == (2, 1, 3), statistics
    """)

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == {"before": 1, "child": 1, "after": 1}


def test_forks_amid_tracing_threads_do_not_hang(run, collector):
    program = run("""
        stop = threading.Event()
        def trace_on():
            while not stop.is_set():
                work("parent")
                time.sleep(0.002)
        threads = [threading.Thread(target=trace_on) for _ in range(4)]
        for thread in threads: thread.start()
        for number in range(10):
            child = os.fork()
            if child == 0:
                work(f"child {number}")
                os._exit(0 if pipeline.flush(20_000) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        pipeline.flush(20_000)
        print(process_statistics().finished)
    """)

    assert program.code == 0, program.errors
    assert {f"child {number}": 1 for number in range(10)}.items() <= collector.delivered.items()
    assert collector.delivered["parent"] == int(program.output)


def test_a_grandchild_delivers_too(run, collector):
    program = run("""
        for depth in range(3):
            work(f"depth {depth}")
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                assert pipeline.flush(20_000)
                os._exit(0)
        os._exit(0)
    """)

    assert program.code == 0, program.errors
    assert dict(collector.delivered) == {"depth 0": 1, "depth 1": 1, "depth 2": 1}


def test_processes_of_a_pool_deliver(run, collector):
    program = run("""
        import multiprocessing
        def task(number):
            work(f"task {number}")
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(task, range(6))
                pool.close()
                pool.join()
            work("parent")
            assert pipeline.flush(20_000)
            wait_until(lambda: process_statistics().spooled == 0)
    """)

    assert program.code == 0, program.errors
    assert dict(collector.delivered) == {**{f"task {number}": 1 for number in range(6)}, "parent": 1}


def test_a_missing_home_means_memory_only(run, collector):
    program = run(
        "work(*(f'span {n}' for n in range(20))); assert pipeline.flush(20_000)",
        HOME="/proc/1/home",
        XDG_STATE_HOME="/proc/1/x",
    )

    assert program.code == 0
    assert program.errors.count("in memory only") == 1
    assert dict(collector.delivered) == TWENTY


def test_a_flush_of_nothing_starts_no_thread(run, collector):
    program = run("assert pipeline.flush(); print(threading.active_count())")

    assert program.output == "1\n"


def test_no_thread_file_or_connection_before_the_first_span(run, collector, tmp_path):
    program = run("""
        assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
        assert "httpx" not in sys.modules and "google.protobuf" not in sys.modules
    """)

    assert (program.code, program.errors) == (0, "")
    assert not (tmp_path / "honeyhive").exists()
    assert collector.exchanges == []
