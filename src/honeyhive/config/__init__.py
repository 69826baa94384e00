"""Every setting, declared once: its name, where it is read from, its default, what it means.

``settings`` declares, ``resolve`` reads (keyword, config object, environment, default,
in this order) and says where each value came from, ``backend`` decides where spans go,
``models`` holds the config objects that programs pass. Nothing here is read at import.
"""

from __future__ import annotations

from honeyhive.config.backend import Backend, BackendKind, choose_backend
from honeyhive.config.resolve import Resolved, Source, resolve
from honeyhive.config.settings import Settings, TracerSettings

__all__ = ["Backend", "BackendKind", "Resolved", "Settings", "Source", "TracerSettings", "choose_backend", "resolve"]
