"""Tail sampling in real processes: what is undecided is kept, whoever asks for it."""

from __future__ import annotations

TAIL = """
from honeyhive.tracer.processing import TailSampling
sampled = TracerProvider(shutdown_on_exit=False)
sampled.add_span_processor(
    BatchSpanProcessor(tail=TailSampling(0.0, max_age_s={age}), pipeline=pipeline_for(
        Destination.remote(os.environ["COLLECTOR"]), PipelineSettings(schedule_delay_s={delay})
    ), schedule_delay_millis={delay} * 1000)
)
tracer = sampled.get_tracer("program")
"""


def test_what_is_undecided_when_the_program_ends_is_delivered(run, collector):
    program = run(
        TAIL.format(age=60, delay=5) + "root = tracer.start_as_current_span('root')\nroot.__enter__()\nwork('a')"
    )

    assert (program.code, program.errors) == (0, "")
    assert dict(collector.delivered) == {"a": 1}


def test_a_trace_that_waits_too_long_is_delivered_without_being_asked_for(run, collector):
    program = run(
        TAIL.format(age=0.2, delay=0)
        + "with tracer.start_as_current_span('root'):\n    work('a')\n"
        + "    wait_until(lambda: process_statistics().delivered == 1)\n"
    )

    assert program.code == 0, program.errors
    assert dict(collector.delivered) == {"a": 1, "root": 1}


def test_a_forked_child_does_not_repeat_what_its_parent_holds(run, collector):
    program = run(
        TAIL.format(age=60, delay=5)
        + "with tracer.start_as_current_span('root'):\n    work('a')\n    child = os.fork()\n"
        + "    if child == 0:\n        process_statistics(); sys.exit(0)\n    os.waitpid(child, 0)\n"
        + "    assert process_statistics().in_memory == 1\n"
    )

    assert program.code == 0, program.errors
    assert not collector.delivered or dict(collector.delivered) == {"root": 1}
