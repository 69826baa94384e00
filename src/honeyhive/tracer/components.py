"""The parts a tracer is built from, where a program or a test wants others than the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from honeyhive.tracer.interfaces import Outbox

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator

    from honeyhive.utils.clock import Clock

__all__ = ["Components", "NoOutbox"]


class NoOutbox(Outbox):
    """Accepts nothing: there is no REST API at the other end."""

    __slots__ = ()

    def tell(self, method: str, path: str, body: Mapping[str, Any], *, at_once: bool = True) -> bool:  # noqa: ARG002
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What to use instead of the usual parts; ``None`` means the usual one.

    Attributes:
        client: The API client, as ``tracer.client``.
        span_processor: What finished spans leave through.
        outbox: What calls of the REST API leave through.
        clock: Wall and monotonic time of spans.
        ids: Trace and span ids.
        is_offline: No disk, no network, no thread, unless a part given here brings it.
    """

    client: Any = None
    span_processor: SpanProcessor | None = None
    outbox: Outbox | None = None
    clock: Clock | None = None
    ids: IdGenerator | None = None
    is_offline: bool = False

    @classmethod
    def offline(cls, given: Components | None = None) -> Components:
        """Return the parts of test mode; what *given* brings stays."""
        return replace(given or cls(), is_offline=True)
