"""How a process may end, stand still, or change under the tracer: its spans survive, and it ends in time."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest


def names(prefix: str, count: int) -> dict[str, int]:
    return {f"{prefix} {number}": 1 for number in range(count)}


def test_a_process_that_becomes_another_program_leaves_its_spans_to_the_next(run, collector, recover):
    program = run("""
        init()
        work(*(f"span {n}" for n in range(20)))
        time.sleep(SPOOLED_S)
        os.execv(sys.executable, [sys.executable, "-c", "print('another')"])
    """)
    assert (program.code, program.output, program.errors) == (0, "another\n", "")

    recover(20)

    assert {**names("span", 20), "again": 1} == dict(collector.delivered)


def test_a_process_that_leaves_by_the_back_door_loses_nothing_spooled(run, collector, recover):
    program = run("init(); work(*(f'span {n}' for n in range(20))); time.sleep(SPOOLED_S); os._exit(7)")
    assert (program.code, program.errors) == (7, "")

    recover(20)

    assert {**names("span", 20), "again": 1} == dict(collector.delivered)


def test_a_thread_that_still_traces_when_the_interpreter_ends_is_waited_for_and_heard(run, collector):
    program = run("""
        init()
        def late():
            threading.main_thread().join()
            for number in range(20):
                work(f"span {number}")
                time.sleep(0.005)
        threading.Thread(target=late).start()
    """)

    assert (program.code, program.errors) == (0, "")
    assert names("span", 20) == dict(collector.delivered)


def test_a_process_that_stands_still_for_a_while_goes_on_as_if_nothing_was(start, collector, eventually):
    program = start("""
        tracer = init(flush_interval=0.1)
        work("before")
        assert tracer.flush(20_000)
        with tracer.start_span("frozen"):
            print("ready", flush=True)
            sys.stdin.readline()
            time.sleep(0.01)
        work("after")
        print("done", flush=True)
        time.sleep(60)
    """)
    assert "ready" == program.line()

    program.signal(signal.SIGSTOP)
    threading.Event().wait(0.5)
    requests = len(collector.exchanges)
    program.signal(signal.SIGCONT)

    assert "done" == program.line()
    eventually(lambda: {"before": 1, "frozen": 1, "after": 1} == dict(collector.delivered))
    assert len(collector.exchanges) - requests <= 2
    assert all(
        span.end_time_unix_nano >= span.start_time_unix_nano for each in collector.exchanges for span in each.spans
    )


def test_a_clock_that_jumps_changes_no_duration_and_stops_no_timer(run, collector):
    program = run("""
        now = time.time
        now_ns = time.time_ns
        tracer = init(flush_interval=0.05)
        with tracer.start_span("set back"):
            time.time, time.time_ns = (lambda: now() - 3600), (lambda: now_ns() - 3_600 * 10**9)
            time.sleep(0.02)
        with tracer.start_span("set forward"):
            time.time, time.time_ns = (lambda: now() + 86_400), (lambda: now_ns() + 86_400 * 10**9)
            time.sleep(0.02)
        wait_until(lambda: process_statistics().delivered == 2)
    """)

    assert (program.code, program.errors) == (0, "")
    spans = [span for exchange in collector.exchanges for span in exchange.spans]
    assert 2 == len(spans)
    assert all(0 < span.end_time_unix_nano - span.start_time_unix_nano < 10**10 for span in spans)


@pytest.mark.fault
def test_what_one_key_or_address_left_is_never_sent_to_another(run, collector, answering):
    collector.behave = answering(503)
    run("init(key='hh_old'); work('old'); time.sleep(SPOOLED_S); os._exit(0)")
    collector.behave = answering(200)

    rotated = run("init(key='hh_new'); work('new key'); assert flush(); time.sleep(1.5)")
    moved = run(
        "init(os.environ['COLLECTOR'].replace('/v1/', '/other/'), 'hh_old'); work('moved'); time.sleep(1.5)",
    )

    assert (0, 0) == (rotated.code, moved.code)
    assert {"new key": 1, "moved": 1} == dict(collector.delivered)
    run("init(key='hh_old'); work('again'); assert flush(); wait_until(lambda: adopted(1))")
    assert {"new key": 1, "moved": 1, "old": 1, "again": 1} == dict(collector.delivered)
    keys = {name: each.headers["authorization"] for each in collector.exchanges for name in each.names}
    assert "Bearer hh_old" == keys["old"]
    assert "Bearer hh_new" == keys["new key"]


def test_a_package_that_is_loaded_again_neither_doubles_spans_nor_threads(run, collector):
    program = run("""
        import importlib
        init()
        work("first")
        importlib.reload(honeyhive)
        from honeyhive import HoneyHiveTracer, trace
        work("second")
        for name in [name for name in sys.modules if name.split(".")[0] == "honeyhive"]:
            del sys.modules[name]
        import honeyhive
        from honeyhive import HoneyHiveTracer, trace
        init()
        work("third")
        assert flush()
        ours = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        assert len(ours) <= 12, ours
    """)

    assert (program.code, program.errors) == (0, "")
    assert {"first": 1, "second": 1, "third": 1} == dict(collector.delivered)


def world_writable(folder: Path) -> None:
    folder.chmod(0o777)


def a_link(folder: Path) -> None:
    folder.symlink_to(folder.rename(folder.parent.parent / "elsewhere"))


@pytest.mark.parametrize("make_unsafe", [world_writable, a_link])
def test_a_spool_that_others_could_change_is_not_used_and_it_is_said_once(run, collector, tmp_path, make_unsafe):
    run("init(); work('first')")
    (folder,) = (tmp_path / "honeyhive" / "spool").iterdir()
    make_unsafe(folder)
    before = sorted(folder.iterdir())

    program = run("init(); work('a', 'b'); assert flush(); assert process_statistics().delivered == 2")

    assert program.code == 0, program.errors
    assert 1 == program.errors.count("in memory only")
    assert before == sorted(folder.iterdir())
    assert {"first": 1, "a": 1, "b": 1} == dict(collector.delivered)


def test_a_state_folder_that_is_a_link_is_the_users_own_affair(run, collector, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "spool").symlink_to(tmp_path / "disk")

    program = run(f"init(spool_dir={str(tmp_path / 'spool')!r}); work('only'); time.sleep(1.2); assert flush()")

    assert (program.code, program.errors) == (0, "")
    assert {"only": 1} == dict(collector.delivered)
    assert list((tmp_path / "disk").iterdir())


def test_a_process_out_of_file_descriptors_keeps_tracing_and_recovers(run, collector):
    program = run("""
        import resource
        init(flush_interval=0.1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        work(*(f"span {n}" for n in range(20)))
        time.sleep(SPOOLED_S)
        flush(300)
        for each in held:
            os.close(each)
        assert flush(20_000), process_statistics()
        assert process_statistics().delivered == 20 and balanced(), process_statistics()
    """)

    assert program.code == 0, program.errors
    assert "Traceback" not in program.errors
    assert names("span", 20) == dict(collector.delivered)


@pytest.mark.parametrize("error", ['RuntimeError("can\'t start new thread")', "MemoryError()"])
def test_where_no_thread_can_be_started_a_flush_sends(run, collector, error):
    program = run(f"""
        init()
        def start(self):
            raise {error}
        threading.Thread.start = start
        work(*(f"span {{n}}" for n in range(20)))
        assert process_statistics().spooled == 20, process_statistics()
        assert flush(20_000), process_statistics()
        work("at exit")
    """)

    assert program.code == 0, program.errors
    assert "Traceback" not in program.errors
    assert {**names("span", 20), "at exit": 1} == dict(collector.delivered)


@pytest.mark.fault
def test_a_spool_over_its_bound_refuses_the_newest_and_counts_them(run, collector, answering):
    collector.behave = answering(503)

    program = run("""
        tracer = init(spool_max_bytes=200_000, max_queue_bytes=100_000)
        @trace(event_name="large")
        def large(text): return None
        for _ in range(100):
            large("x" * 10_000)
            time.sleep(0.005)
        wait_until(lambda: process_statistics().lost > 0)
        flush(500)
        statistics = process_statistics()
        assert balanced(), statistics
        assert statistics.finished == 100 and 0 < statistics.spooled < 30, statistics
        folder = os.environ["XDG_STATE_HOME"] + "/honeyhive/spool"
        files = [os.path.join(at, name) for at, _, found in os.walk(folder) for name in found]
        assert sum(map(os.path.getsize, files)) <= 250_000 and len(files) < 50, files
    """)

    assert program.code == 0, program.errors


def test_a_short_program_ends_shortly_after_its_work(run, collector):
    program = run("init(); work('only'); print(time.monotonic(), flush=True)")

    assert (program.code, program.errors) == (0, "")
    assert time.monotonic() - float(program.output) < 15
    assert {"only": 1} == dict(collector.delivered)
