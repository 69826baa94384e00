"""Client reports: what programs say they have lost before it could be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from honeyhive.server.admission.limits import Refusal

__all__ = ["CLIENT_REPORTS", "ClientReport", "checked_report", "report_of"]

CLIENT_REPORTS: Final = "/v1/client-reports"
_MOST_REASONS: Final = 50
_LONGEST_TEXT: Final = 256
_LARGEST: Final = 2**63 - 1

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One report, as the table ``client_reports`` holds it; the same report sent twice is one."""

    report_id: str
    time_ns: int
    process: str
    pid: int
    dropped: Mapping[str, int]


def checked_report(body: Json, new_id: Callable[[], str], now_ms: Callable[[], float]) -> dict[str, object]:
    """Return *body* with what it leaves out filled in.

    Raises:
        Refusal: 400 when it is no report.
    """
    dropped = body.get("dropped")
    if not isinstance(dropped, Mapping) or not 0 < len(dropped) <= _MOST_REASONS:
        raise Refusal(400, "dropped is not an object of counts by reason.")
    if not all(_is_text(reason) and _is_count(count) for reason, count in dropped.items()):
        raise Refusal(400, "dropped holds something else than positive counts by reason.")
    pid, time_ms = body.get("pid", 0), body.get("time", now_ms())
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 <= pid <= _LARGEST:
        raise Refusal(400, "pid is not a process id.")
    if isinstance(time_ms, bool) or not isinstance(time_ms, int | float) or not 0 <= time_ms < _LARGEST / 1e6:
        raise Refusal(400, "time is not a number of milliseconds.")
    if not _is_text(body.get("process", "")) or not _is_text(body.get("report_id", "")):
        raise Refusal(400, "process or report_id is not a short text.")
    return {
        "report_id": body.get("report_id") or new_id(),
        "process": body.get("process", ""),
        "pid": pid,
        "time": time_ms,
        "dropped": dict(dropped),
    }


def report_of(body: Json) -> ClientReport:
    """Read a journaled report back.

    Raises:
        ValueError: It is none.
    """
    try:
        return ClientReport(
            str(body["report_id"]),
            round(float(str(body["time"])) * 1e6),
            str(body["process"]),
            int(str(body["pid"])),
            {str(reason): int(count) for reason, count in dict(body["dropped"]).items()},  # type: ignore[call-overload]
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("the report is not complete") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and (not value or value.isprintable())


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST
