"""What the settings of a tracer do to spans on their way out."""

from __future__ import annotations

import pytest

from honeyhive.config import choose_backend, resolve
from honeyhive.tracer.export.encode import EncodeLimits, usual_encoding
from honeyhive.tracer.leaving import redactor_of, span_processor_for


@pytest.fixture
def settings():
    """Make settings that send nothing."""
    return lambda **given: resolve({"otlp_enabled": False, **given}, {}).settings


@pytest.fixture
def traced(make_tracer, settings):
    """End one span with the given attributes, and return what the export says of it."""

    def trace_one(attributes, **given):
        chosen = settings(**given)
        processor = span_processor_for(chosen, choose_backend(chosen, {}))
        tracer = make_tracer()
        span = tracer.start_span("work")
        span.set_attributes(attributes)
        span.end()
        processor.on_end(span)
        processor.force_flush(0)
        processor.pipeline.drain()
        return processor.statistics()

    return trace_one


def test_secrets_and_cuts_are_counted(traced, tmp_path):
    found = traced({"password": "hunter2", "prompt": "a " * 2_000_000}, spool_dir=str(tmp_path))

    assert (found.redacted, found.truncated) == (1, 1)


def test_a_span_beyond_its_size_is_cut_and_counted(traced, tmp_path):
    found = traced({f"part {n}": "a " * 10_000 for n in range(5)}, spool_dir=str(tmp_path), max_span_size=50_000)

    assert found.truncated == 1
    assert found.spooled == 1


def test_the_encoder_holds_the_size_of_a_span(make_tracer, settings):
    span = make_tracer().start_span("work")
    span.set_attributes({f"part {n}": "a " * 10_000 for n in range(5)})
    span.end()

    encoded = usual_encoding(redactor_of(settings()), EncodeLimits(longest_span=50_000))([span])

    assert len(encoded) < 60_000


def test_traces_that_went_well_are_left_out_and_counted(make_tracer, settings, tmp_path):
    chosen = settings(tail_sample_rate=0.0, spool_dir=str(tmp_path))
    processor = span_processor_for(chosen, choose_backend(chosen, {}))
    tracer = make_tracer()
    tracer.provider.add_span_processor(processor)

    with tracer.start_span("well"), tracer.start_span("too"):
        pass
    with pytest.raises(ValueError, match="bad"), tracer.start_span("failed"):
        raise ValueError("bad")
    with tracer.start_span("root"):
        with tracer.start_span("waits"):
            pass
        waiting = processor.statistics()
        processor.force_flush(0)

    assert (waiting.finished, waiting.dropped) == (4, {"sampled": 2})
    assert waiting.spooled + waiting.in_memory + waiting.delivered == 2
    statistics = processor.statistics()
    assert (statistics.finished, statistics.dropped, statistics.lost) == (5, {"sampled": 2}, 0)
    processor.shutdown(0)
