"""A shopping assistant, traced: the official OpenAI client, its OpenInference instrumentor, and our decorators.

The customer asks, the model answers token by token, calls tools on the way
(two at once, one of which searches by embeddings; one that fails and is called
again), remembers what was said, and is rated at the end. Everything lands in
one session as one tree:

    session
    └── assistant                        @trace, chain
        ├── turn                         @trace, chain
        │   ├── stream tokens            @trace on an async generator
        │   │   └── ChatCompletion       by the instrumentor: messages, tokens, tool calls
        │   ├── Shop.get_weather         @trace_class, tool
        │   ├── Shop.search_catalogue
        │   │   └── CreateEmbeddings
        │   └── stream tokens ...
        ├── turn ...
        └── ChatCompletion               the summary, not streamed

Run it with ``python examples/agent.py``. It brings its own model server; with
``OPENAI_BASE_URL`` set it uses that one. Needs ``pip install honeyhive openai
openinference-instrumentation-openai``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from model_server import ModelServer
from openai import AsyncOpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor

from honeyhive import HoneyHiveTracer, enrich_session, enrich_span, trace, trace_class

QUESTIONS = (
    "I am going hiking near Bergen. Which rain jacket do you have for under 150 euros?",
    "What is that in kroner?",
)


def main() -> None:
    """Trace one conversation from start to end."""
    tracer = HoneyHiveTracer.init(project="outdoor-shop", session_name="A jacket for Bergen")
    OpenAIInstrumentor().instrument(tracer_provider=tracer.provider)
    with model_address() as base_url:
        asyncio.run(serve_customer(base_url))


async def serve_customer(base_url: str) -> None:
    """Answer the customer's questions, then keep who asked and how it went."""
    async with AsyncOpenAI(base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY", "any")) as client:
        await Assistant(client, Shop(client)).converse(QUESTIONS)
    enrich_session(
        user_properties={"user_id": "customer-17", "plan": "club member"},
        feedback={"rating": 5, "comment": "Quick, and the price was right."},
    )


class Assistant:
    """A conversation with the model, which may use the shop's tools."""

    def __init__(self, client: AsyncOpenAI, shop: Shop) -> None:
        self._client = client
        self._shop = shop
        self._messages: list[Any] = [{"role": "system", "content": "You help customers of an outdoor shop."}]

    @trace(event_type="chain", event_name="assistant")
    async def converse(self, questions: tuple[str, ...]) -> str:
        """Answer each question in turn; returns the conversation's subject."""
        for question in questions:
            await self.answer(question)
        return await self.subject()

    @trace(event_type="chain", event_name="turn")
    async def answer(self, question: str) -> str:
        """Ask the model, run the tools it wants, until it answers in words."""
        print(f"\n> {question}\n")
        self._messages.append({"role": "user", "content": question})
        rounds = 0
        while True:
            rounds += 1
            reply = Reply()
            async for token in self.tokens(reply):
                print(token, end="", flush=True)
            self._messages.append(reply.message())
            if not reply.calls:
                break
            self._messages += await asyncio.gather(*(self.run_tool(call) for call in reply.calls))
        print()
        enrich_span(metrics={"model_rounds": rounds}, metadata={"channel": "web chat"})
        return reply.text

    @trace(event_type="chain", event_name="stream tokens")
    async def tokens(self, reply: Reply) -> AsyncIterator[str]:
        """Yield the model's words as they come, and collect the whole *reply* meanwhile."""
        stream = await self._client.chat.completions.create(
            model="trail-mini",
            messages=self._messages,
            tools=TOOLS,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            for choice in chunk.choices:
                reply.add(choice.delta)
                if choice.delta.content:
                    yield choice.delta.content

    async def run_tool(self, call: Mapping[str, Any]) -> dict[str, str]:
        """Run one tool call; a tool's error is an answer too, the model can learn from it."""
        name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
        print(f"  [{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})]")
        try:
            result = await getattr(self._shop, name)(**arguments)
        except LookupError as error:
            result = {"error": str(error)}
        return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}

    async def subject(self) -> str:
        """Let the model sum the conversation up, in one piece."""
        completion = await self._client.chat.completions.create(
            model="trail-mini",
            messages=[*self._messages, {"role": "user", "content": "Summarise this conversation in one line."}],
        )
        return completion.choices[0].message.content or ""


@trace_class
class Shop:
    """What the model may do; every public method becomes a tool span."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def get_weather(self, city: str) -> dict[str, Any]:
        """Forecast the weather."""
        await asyncio.sleep(0.02)
        return {"city": city, "forecast": "heavy rain", "celsius": 9}

    async def search_catalogue(self, query: str, max_price_eur: float | None = None) -> list[dict[str, Any]]:
        """Find the products nearest to *query*, best first."""
        texts = [f"{item['name']} {item['note']}" for item in CATALOGUE]
        answer = await self._client.embeddings.create(model="trail-embed", input=[query, *texts])
        wanted, *offered = (item.embedding for item in answer.data)
        ranked = sorted(zip(map(similarity_to(wanted), offered), CATALOGUE, strict=True), key=lambda pair: -pair[0])
        found = [item for near, item in ranked if near > 0.3 and item["price_eur"] <= (max_price_eur or float("inf"))]
        enrich_span(metrics={"found": len(found)}, config={"index": "spring catalogue"})
        return found

    async def convert_currency(self, amount: float, source: str, target: str) -> dict[str, Any]:
        """Convert a price; raises LookupError for a currency without a rate."""
        if target not in EURO_RATES or source != "EUR":
            raise LookupError(f"no rate from {source} to {target!r}; known codes: {', '.join(EURO_RATES)}")
        return {"amount": round(amount * EURO_RATES[target], 2), "currency": target}


class Reply:
    """A streamed answer, put together again: words, and tool calls whose arguments come in fragments."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[dict[str, Any]] = []

    def add(self, delta: Any) -> None:
        """Take the next piece."""
        self.text += delta.content or ""
        for piece in delta.tool_calls or ():
            if piece.id:
                self.calls.append({"id": piece.id, "type": "function", "function": {"name": piece.function.name}})
            function = self.calls[piece.index]["function"]
            function["arguments"] = function.get("arguments", "") + (piece.function.arguments or "")

    def message(self) -> dict[str, Any]:
        """The reply as the conversation's next message."""
        calls = {"tool_calls": self.calls} if self.calls else {}
        return {"role": "assistant", "content": self.text or None, **calls}


def similarity_to(wanted: list[float]) -> Any:
    """A function that says how near a unit vector is to *wanted*: 1 is the same, 0 has nothing in common."""
    return lambda offered: sum(a * b for a, b in zip(wanted, offered, strict=True))


@contextlib.contextmanager
def model_address() -> Iterator[str]:
    """The address in ``OPENAI_BASE_URL``, or that of a model server of our own for as long as it is needed."""
    given = os.environ.get("OPENAI_BASE_URL")
    if given:
        yield given
        return
    with ModelServer() as server:
        yield server.base_url


def tool(name: str, description: str, **properties: str) -> Any:
    """Describe a tool to the model: each property with its JSON type."""
    schema = {key: {"type": kind} for key, kind in properties.items()}
    parameters = {"type": "object", "properties": schema}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool("get_weather", "Forecast the weather in a city.", city="string"),
    tool("search_catalogue", "Find products.", query="string", max_price_eur="number"),
    tool("convert_currency", "Convert a price.", amount="number", source="string", target="string"),
]
CATALOGUE: list[dict[str, Any]] = [
    {"name": "Fjord rain jacket", "note": "waterproof and light", "price_eur": 129},
    {"name": "Summit rain jacket", "note": "waterproof, three layers", "price_eur": 240},
    {"name": "Trail boots", "note": "ankle high, leather", "price_eur": 145},
    {"name": "Two-person tent", "note": "for three seasons", "price_eur": 310},
]
EURO_RATES = {"NOK": 11.7, "GBP": 0.84, "USD": 1.1}

if __name__ == "__main__":
    main()
