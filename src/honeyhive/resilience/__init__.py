"""Standing failure: trying again, and knowing when to stop asking.

Light to import: whatever needs an event loop is loaded when it is used.
"""

from __future__ import annotations

from honeyhive.resilience.breaker import CircuitBreaker, CircuitState
from honeyhive.resilience.retry import Attempts, RetryPolicy, retry

__all__ = ["Attempts", "CircuitBreaker", "CircuitState", "RetryPolicy", "retry"]
