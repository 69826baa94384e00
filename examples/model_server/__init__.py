"""A small OpenAI-compatible server for the examples: real HTTP, deterministic answers, no account.

It plays the model behind an outdoor shop's assistant. The official ``openai``
client talks to it unchanged::

    with ModelServer() as server:
        client = OpenAI(base_url=server.base_url, api_key="any")

Three modules, each with one worry: ``assistant`` decides what to say,
``payloads`` puts it into OpenAI's shapes, ``server`` speaks HTTP and SSE.
Standard library only.
"""

from model_server.server import ModelServer

__all__ = ["ModelServer"]
