"""The law of forgetting, for every storage."""

from __future__ import annotations

from abc import abstractmethod

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from kept_data import Kept

__all__ = ["KeepingAndForgetting"]


class KeepingAndForgetting(RuleBasedStateMachine):
    """Anything may come in any order and be forgotten at any time: the log always makes the same read model.

    Subclasses say where that is by `opened`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept = self.opened()
        self.accepted: dict[str, int] = {}
        self.mark_ns = 0

    @abstractmethod
    def opened(self) -> Kept:
        """Open a log and a read model with nothing in them."""

    @rule(name=st.sampled_from("abcdef"), session=st.sampled_from(["s", "t", None]))
    def span(self, name: str, session: str | None) -> None:
        self.accepted[name] = self.kept.span(name, trace=ord(name) % 2 + 1, session=session)

    @rule(name=st.sampled_from("xyz"), session=st.sampled_from(["s", "t"]))
    def event(self, name: str, session: str) -> None:
        self.accepted[name] = self.kept.event(name, session=session)

    @rule(session=st.sampled_from(["s", "t"]), name=st.sampled_from("mn"))
    def start(self, session: str, name: str) -> None:
        self.kept.start(session, name)

    @rule(target_id=st.sampled_from(["s", "t", "x", "y"]), key=st.sampled_from("kl"), value=st.integers(0, 9))
    def update(self, target_id: str, key: str, value: int) -> None:
        self.kept.update(target_id, **{key: value})

    @rule(target_id=st.sampled_from("xy"), field=st.sampled_from(["duration", "end_time"]), value=st.integers(1, 9))
    def end(self, target_id: str, field: str, value: int) -> None:
        self.kept.call("PUT", "/events", {"event_id": target_id, field: 5_000.0 + value})

    @rule(body=st.sampled_from("pq"))
    def log_record(self, body: str) -> None:
        self.kept.log_record(body)

    @rule()
    def project(self) -> None:
        self.kept.project()

    @rule(ago_s=st.integers(0, 12), steps=st.integers(1, 9))
    def forget(self, ago_s: int, steps: int) -> None:
        before_ns = self.kept.clock.time_ns() - ago_s * 10**9
        for _, _ in zip(range(steps), self.kept.forgetter.forget_before(before_ns), strict=False):
            pass
        self.mark_ns = max(self.mark_ns, *(int(str(row[1])) for row in self.kept.tables()["forgotten"]), 0)

    @rule()
    def the_log_makes_the_same_read_model(self) -> None:
        self.kept.project()
        tables = self.kept.tables()
        assert self.kept.tables_made_anew() == tables
        assert self.kept.names() == {name for name, at_ns in self.accepted.items() if at_ns >= self.mark_ns}
        summed = sorted((str(row[0]), int(str(row[6]))) for row in tables["sessions"])
        assert all(spans or session in {row[0] for row in tables["session_starts"]} for session, spans in summed)

    def teardown(self) -> None:
        self.the_log_makes_the_same_read_model()
        self.kept.close()
