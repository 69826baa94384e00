"""Programs run by the servers and pools that people run them with: whoever forks, recycles or aborts, no span is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

REQUESTS = 20
GUNICORN = """
    if __name__ == "__main__":
        from gunicorn.app.wsgiapp import run
        sys.argv = ["gunicorn", *sys.argv[1:], os.path.basename(__file__).removesuffix(".py") + ":application"]
        run()
"""
UVICORN = """
    if __name__ == "__main__":
        import uvicorn
        application = os.path.basename(__file__).removesuffix(".py") + ":asgi"
        uvicorn.run(application, uds=sys.argv[1], workers=2, log_level="warning")
"""
NOTHING = """
    if __name__ == "__main__":
        pass
"""
APPLICATION = """
    else:
        init()
        work("loaded")
        def answer(path):
            work("step " + path)
            if path == "/hang":
                time.sleep(600)
            if path == "/die":
                time.sleep(SPOOLED_S)
                os.kill(os.getpid(), signal.SIGKILL)
        def application(environ, start_response):
            answer(environ["PATH_INFO"])
            start_response("200 OK", [("content-type", "text/plain"), ("content-length", "2")])
            return [b"ok"]
        async def asgi(scope, receive, send):
            if scope["type"] == "http":
                answer(scope["path"])
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
                await send({"type": "http.response.body", "body": b"ok"})
"""


class Host:
    """A server on a socket of its own."""

    def __init__(self, program, address):
        self.program = program
        self.address = address

    def get(self, path):
        # No connection is kept: it would bind all requests to one worker.
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.address)), timeout=15) as client:
            return client.get(f"http://host{path}").status_code

    def is_up(self):
        assert self.program.process.poll() is None, self.program.end().errors
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(str(self.address))
            return True
        return False

    def stop(self):
        self.program.signal(signal.SIGTERM)
        return self.program.end()


@pytest.fixture
def serve(start, eventually):
    """Run the application in a server and wait until it answers."""
    folder = Path(tempfile.mkdtemp(prefix="honeyhive-"))  # the path of a socket is short

    def serve_with(lines, *arguments, python=(sys.executable,)):
        address = folder / "socket"
        given = [str(each).replace("SOCKET", str(address)) for each in arguments]
        command = tuple(str(each).replace("SOCKET", str(address)) for each in python)
        host = Host(start(lines, *given, python=command, PYTHONWARNINGS="ignore"), address)
        eventually(host.is_up)
        return host

    yield serve_with
    shutil.rmtree(folder, ignore_errors=True)


def steps(collector):
    """How often the span of each request was delivered."""
    return {name: count for name, count in collector.delivered.items() if name.startswith("step ")}


@pytest.fixture
def collect_the_rest(run):
    """Start the program once more, as after a crash, until no segment is left but its own."""

    def start_again():
        program = run("""
            from pathlib import Path
            spool = Path(os.environ["XDG_STATE_HOME"], "honeyhive", "spool")
            init()
            work("again")
            assert flush()
            wait_until(lambda: len(list(spool.rglob("*.seg"))) <= 1)
        """)
        assert (program.code, program.errors) == (0, "")

    return start_again


EACH_ONCE = {f"step /{number}": 1 for number in range(REQUESTS)}


@pytest.mark.fault
@pytest.mark.parametrize(
    "arguments",
    [("--preload",), ("--preload", "--worker-class", "gthread", "--threads", "4"), ()],
    ids=["preload", "threads", "loaded in each worker"],
)
def test_gunicorn_recycles_its_workers_and_no_span_is_lost(serve, collector, collect_the_rest, arguments):
    host = serve(GUNICORN + APPLICATION, "-b", "unix:SOCKET", "-w", "2", "--max-requests", "5", *arguments)

    assert {200} == {host.get(f"/{number}") for number in range(REQUESTS)}
    assert 0 == host.stop().code
    collect_the_rest()

    assert EACH_ONCE == steps(collector)


@pytest.mark.fault
def test_gunicorn_aborts_a_worker_that_hangs_and_its_finished_spans_survive(serve, collector, collect_the_rest):
    host = serve(GUNICORN + APPLICATION, "-b", "unix:SOCKET", "-w", "1", "--timeout", "2", "--preload")

    with contextlib.suppress(httpx.TransportError):
        assert 500 == host.get("/hang")
    host.stop()
    collect_the_rest()

    assert {"step /hang": 1} == steps(collector)


@pytest.mark.fault
def test_uvicorn_ends_its_workers_and_no_span_is_lost(serve, collector, collect_the_rest):
    host = serve(UVICORN + APPLICATION, "SOCKET")

    assert {200} == {host.get(f"/{number}") for number in range(REQUESTS)}
    host.stop()
    collect_the_rest()

    assert EACH_ONCE == steps(collector)


@pytest.fixture
def serve_uwsgi(serve):
    program = Path(sys.executable).with_name("uwsgi")
    if not program.exists():
        pytest.skip("needs uWSGI")
    always = ("--http-socket", "SOCKET", "--master", "--processes", "2", "--die-on-term", "--need-app")

    def serve_with(*arguments):
        return serve(NOTHING + APPLICATION, python=(program, *always, *arguments, "--wsgi-file"))

    return serve_with


@pytest.mark.fault
@pytest.mark.parametrize(
    "arguments", [(), ("--enable-threads",), ("--lazy-apps",), ("--enable-threads", "--lazy-apps")], ids=" ".join
)
def test_uwsgi_forks_behind_pythons_back_and_no_span_is_lost(serve_uwsgi, collector, collect_the_rest, arguments):
    host = serve_uwsgi(*arguments)

    assert {200} == {host.get(f"/{number}") for number in range(REQUESTS)}
    ended = host.stop()
    collect_the_rest()

    assert EACH_ONCE == steps(collector)
    assert collector.delivered["loaded"] == (2 if "--lazy-apps" in arguments else 1)
    warned = ended.errors.count("uWSGI runs no threads without --enable-threads")
    assert warned == (0 if "--enable-threads" in arguments else collector.delivered["loaded"])


@pytest.mark.fault
@pytest.mark.parametrize("arguments", [(), ("--enable-threads",)], ids=["without threads", "with threads"])
def test_a_worker_of_uwsgi_that_is_killed_leaves_its_finished_spans(
    serve_uwsgi, collector, collect_the_rest, arguments
):
    host = serve_uwsgi(*arguments)

    assert 200 == host.get("/before")
    with pytest.raises(httpx.TransportError):
        host.get("/die")
    host.stop()
    collect_the_rest()

    assert {"step /before": 1, "step /die": 1} == steps(collector)


@pytest.mark.fault
def test_celery_replaces_a_worker_after_each_task_and_no_span_is_lost(start, collector, eventually, tmp_path):
    """Its workers end without a word and right after the task, most of them within milliseconds."""
    for folder in ("queue", "control"):
        (tmp_path / folder).mkdir()
    lines = f"""
        from celery import Celery
        app = Celery({str(tmp_path)!r}, broker="filesystem://")
        app.conf.update(
            broker_transport_options=dict(data_folder_in={str(tmp_path / "queue")!r},
                                          data_folder_out={str(tmp_path / "queue")!r},
                                          control_folder={str(tmp_path / "control")!r}),
            worker_max_tasks_per_child=1, task_acks_late=True, worker_prefetch_multiplier=1,
        )
        @app.task(name="step")
        def step(number):
            work(f"step /{{number}}")
        if __name__ == "__main__":
            init()
            for number in range({REQUESTS // 2}):
                step.delay(number)
            app.worker_main(["worker", "--concurrency", "2", "--loglevel", "WARNING"])
    """

    start(lines, PYTHONWARNINGS="ignore")

    eventually(lambda: len(steps(collector)) == REQUESTS // 2, longest_s=25)
    assert {f"step /{number}": 1 for number in range(REQUESTS // 2)} == steps(collector)


@pytest.mark.fault
def test_a_pool_of_loky_keeps_the_spans_of_its_workers(run, collector, collect_the_rest, tmp_path):
    (tmp_path / "tasks.py").write_text(
        "import os, time\n"
        "from honeyhive import HoneyHiveTracer, get_default_tracer, trace\n"
        "def task(number):\n"
        "    if get_default_tracer() is None:\n"
        "        HoneyHiveTracer.init(api_key='hh_key', project='tests', otlp_endpoint=os.environ['COLLECTOR'],\n"
        "                             skip_backend_session_creation=True)\n"
        "    return trace(event_name=f'step /{number}')(lambda: number)()\n"
    )

    program = run(f"""
        sys.path.insert(0, {str(tmp_path)!r})
        os.environ["PYTHONPATH"] = {os.pathsep.join([str(tmp_path), *sys.path])!r}
        from loky import get_reusable_executor
        import tasks
        if __name__ == "__main__":
            init()
            with get_reusable_executor(max_workers=2) as pool:
                assert list(pool.map(tasks.task, range({REQUESTS}))) == list(range({REQUESTS}))
                time.sleep(SPOOLED_S)
    """)
    assert program.code == 0, program.errors
    collect_the_rest()

    assert EACH_ONCE == steps(collector)
