"""Servers and pools that fork: each process owns its spans, whoever forked it and whatever was going on."""

from __future__ import annotations

import sys
import textwrap

import pytest


def names(prefix: str, count: int) -> dict[str, int]:
    return {f"{prefix} {number}": 1 for number in range(count)}


PREFORK = """
    # A server as gunicorn is one: it loads the application first, then forks workers, takes requests from one
    # listening socket, and lets a worker go after a few of them, by the back door.
    import socket
    LEAVE, AFTER, WORKERS, REQUESTS = os._exit, 5, 2, 40

    tracer = init()
    @trace(event_name="request")
    def handle(number):
        with tracer.start_span(f"step {number}"):
            return number
    work("preload")

    def worker(listener):
        for _ in range(AFTER):
            connection, _ = listener.accept()
            number = int(connection.recv(16))
            connection.sendall(str(handle(number)).encode())
            connection.close()
        time.sleep(SPOOLED_S)
        LEAVE(0)

    listener = socket.create_server(("127.0.0.1", 0))
    alive = set()
    def hire():
        child = os.fork()
        if child == 0:
            worker(listener)
        alive.add(child)
    for _ in range(WORKERS):
        hire()
    def ask(number):
        with socket.create_connection(listener.getsockname()) as connection:
            connection.sendall(str(number).encode())
            assert connection.recv(16) == str(number).encode()
    client = threading.Thread(target=lambda: [ask(number) for number in range(REQUESTS)])
    client.start()
    for served in range(REQUESTS // AFTER):
        child, status = os.wait()
        assert status == 0, status
        alive.discard(child)
        if served + len(alive) + 1 < REQUESTS // AFTER:
            hire()
    client.join()
    assert flush()
    wait_until(lambda: adopted(2 * REQUESTS))
    assert balanced()
"""


def test_no_span_is_lost_when_a_prefork_server_recycles_its_workers(run, collector):
    program = run(PREFORK)

    assert (program.code, program.errors) == (0, "")
    delivered = dict(collector.delivered)
    assert (40, 1) == (delivered.pop("request"), delivered.pop("preload"))
    assert {f"step {number}": 1 for number in range(40)} == delivered


def test_a_worker_that_is_aborted_leaves_its_finished_spans_to_its_server(run, collector):
    program = run("""
        init()
        child = os.fork()
        if child == 0:
            work("finished")
            with honeyhive.get_default_tracer().start_span("hanging"):
                time.sleep(SPOOLED_S)
                signal.signal(signal.SIGABRT, signal.SIG_DFL)
                import resource
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os.abort()
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGABRT
        work("server")
        assert flush()
        wait_until(lambda: adopted(1))
    """)

    assert program.code == 0, program.errors
    assert {"finished": 1, "server": 1} == dict(collector.delivered)


def test_children_of_one_parent_draw_no_id_twice(run, collector):
    """Each begins with a copy of the same random state."""
    program = run("""
        init()
        work("parent")
        children = []
        for number in range(4):
            children.append(os.fork())
            if children[-1] == 0:
                work(*["child"] * 5)
                os._exit(0 if flush() else 1)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        work(*["parent"] * 5)
        assert flush()
    """)

    assert (program.code, program.errors) == (0, "")
    assert {"parent": 6, "child": 20} == dict(collector.delivered)
    spans = [span for exchange in collector.exchanges for span in exchange.spans]
    assert 26 == len({span.trace_id for span in spans}) == len({span.span_id for span in spans})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_pool_deliver_what_they_finished(run, collector, tmp_path, method):
    (tmp_path / "tasks.py").write_text(
        textwrap.dedent("""
        import os, time
        from honeyhive import HoneyHiveTracer, get_default_tracer, trace

        def begin():
            if get_default_tracer() is None:
                HoneyHiveTracer.init(api_key="hh_key", project="tests", otlp_endpoint=os.environ["COLLECTOR"],
                                     skip_backend_session_creation=True)

        def task(number):
            trace(event_name=f"task {number}")(lambda: None)()
            return number
    """)
    )

    program = run(f"""
        import multiprocessing
        sys.path.insert(0, {str(tmp_path)!r})
        import tasks
        if __name__ == "__main__":
            tasks.begin()
            with multiprocessing.get_context({method!r}).Pool(2, tasks.begin, maxtasksperchild=2) as pool:
                assert pool.map(tasks.task, range(6), 1) == list(range(6))
                pool.close()
                pool.join()
            work("parent")
            assert flush()
            wait_until(lambda: process_statistics().spooled == 0)
    """)

    assert program.code == 0, program.errors
    assert {**{f"task {number}": 1 for number in range(6)}, "parent": 1} == dict(collector.delivered)


def test_a_worker_of_a_pool_that_is_killed_takes_no_finished_span_along(run, collector, recover):
    program = run("""
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        import multiprocessing
        def task(number):
            work(f"task {number}")
            time.sleep(SPOOLED_S)
            os.kill(os.getpid(), signal.SIGKILL)
        init()
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            try:
                pool.submit(task, 1).result()
            except BrokenProcessPool:
                print("broken")
        os._exit(0)
    """)
    assert (program.code, program.output) == (0, "broken\n")

    recover(1)

    assert {"task 1": 1, "again": 1} == dict(collector.delivered)


def test_a_fork_of_a_fork_and_a_fork_from_a_thread_own_their_spans(run, collector):
    program = run("""
        tracer = init()
        def child_of(name, inner=None):
            child = os.fork()
            if child == 0:
                work(name)
                if inner is not None:
                    inner()
                os._exit(0 if tracer.flush(20_000) and balanced() else 1)
            assert os.waitpid(child, 0)[1] == 0
        work("root")
        def family(depth):
            if depth < 6:
                child_of(f"generation {depth}", lambda: family(depth + 1))
        family(0)
        thread = threading.Thread(target=child_of, args=("of a thread",))
        thread.start()
        thread.join()
        assert flush() and balanced()
    """)

    assert (program.code, program.errors) == (0, "")
    assert {"root": 1, "of a thread": 1, **names("generation", 6)} == dict(collector.delivered)


@pytest.mark.skipif(sys.platform != "linux", reason="forks amid running threads")
def test_forks_while_another_thread_flushes_share_no_file_and_no_lock(run, collector):
    program = run("""
        tracer = init(max_export_batch_size=5)
        stop = threading.Event()
        def flush_on():
            while not stop.is_set():
                work("parent")
                tracer.flush(1_000)
        flusher = threading.Thread(target=flush_on)
        flusher.start()
        for number in range(12):
            child = os.fork()
            if child == 0:
                work(*(f"child {number}" for _ in range(20)))
                os._exit(0 if tracer.flush(20_000) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        flusher.join()
        assert flush() and balanced()
        print(process_statistics().finished)
    """)

    assert program.code == 0, program.errors
    delivered = dict(collector.delivered)
    assert int(program.output) == delivered.pop("parent")
    assert {f"child {number}": 20 for number in range(12)} == delivered


@pytest.mark.fault
def test_forks_while_segments_are_exchanged_lose_and_repeat_nothing(run, collector):
    program = run("""
        tracer = init(max_queue_bytes=1 << 28, spool_max_bytes=1 << 30)
        @trace(event_name="large")
        def large(text):
            return None
        text, stop = "x" * 500_000, threading.Event()
        def fill():
            while not stop.is_set():
                large(text)
                time.sleep(0.02)
        writer = threading.Thread(target=fill)
        writer.start()
        for number in range(10):
            time.sleep(0.05)
            child = os.fork()
            if child == 0:
                for _ in range(20):
                    large(text)
                work(f"child {number}")
                os._exit(0 if tracer.flush(20_000) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        writer.join()
        assert flush(20_000) and balanced(), process_statistics()
        print(process_statistics().finished)
    """)

    assert program.code == 0, program.errors
    delivered = dict(collector.delivered)
    assert int(program.output) + 200 == delivered.pop("large")
    assert {f"child {number}": 1 for number in range(10)} == delivered


def test_a_task_queue_whose_work_horses_leave_without_a_word_loses_nothing(run, collector):
    program = run("""
        # As celery with one task per child does, and RQ: each task in a child, acknowledged late, ended by os._exit.
        init()
        for number in range(6):
            child = os.fork()
            if child == 0:
                work(f"task {number}")
                time.sleep(SPOOLED_S)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        work("queue")
        assert flush()
        wait_until(lambda: adopted(6))
    """)

    assert (program.code, program.errors) == (0, "")
    assert {**{f"task {number}": 1 for number in range(6)}, "queue": 1} == dict(collector.delivered)
