"""Forgetting where several processes share a log and a read model."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engines import Engine
from keeping_law import KeepingAndForgetting
from kept_data import Kept, KeptInPostgres

schemas = (f"kept{number}" for number in count())


@pytest.mark.timeout(240)
def test_whatever_is_forgotten_log_and_read_model_agree(postgres_server: Engine) -> None:
    class ForgettingInPostgres(KeepingAndForgetting):
        def opened(self) -> Kept:
            return KeptInPostgres(postgres_server.url, next(schemas))

    run_state_machine_as_test(
        ForgettingInPostgres, settings=settings(max_examples=6, stateful_step_count=30, deadline=None)
    )
