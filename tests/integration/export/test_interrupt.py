"""What the shell is told of programs that Ctrl-C has ended."""

from __future__ import annotations

import signal

# A test runner in the background has SIGINT ignored, and children inherit that.
LISTEN = "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"


def test_an_uncaught_ctrl_c_ends_the_process_by_the_signal(run, collector):
    program = run(f"{LISTEN}work('a')\n{INTERRUPT}")

    assert program.code == -signal.SIGINT
    assert dict(collector.delivered) == {"a": 1}
    assert program.errors.rstrip().endswith("KeyboardInterrupt")


def test_a_ctrl_c_that_the_program_handles_changes_nothing(run, collector):
    program = run(f"{LISTEN}work('a')\ntry: {INTERRUPT}\nexcept KeyboardInterrupt: sys.exit(3)")

    assert program.code == 3
    assert dict(collector.delivered) == {"a": 1}


def test_another_error_keeps_its_exit_code(run):
    program = run("work('a')\nraise ValueError")

    assert program.code == 1
