"""What the model says: a small shop assistant that reads the conversation and decides.

``decide`` looks at everything since the customer last spoke. While the question
needs a tool that was offered and has not answered yet, it calls it (several at
once where they are independent); when all answers are in, it puts them into
words. It has three skills, each a pair of functions: one says which calls a
question needs, one puts their results into a sentence.

The same conversation always gets the same answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

__all__ = ["Conversation", "Reply", "ToolCall", "decide"]

JSON = Mapping[str, Any]

CURRENCY_CODES = {"kroner": "NOK", "krone": "NOK", "pounds": "GBP", "dollars": "USD", "francs": "CHF", "yen": "JPY"}
PRODUCT = re.compile(r"\b(?:rain jacket|jacket|tent|boots|backpack|sleeping bag)\b", re.IGNORECASE)
PLACE = re.compile(r"\b(?:in|near|around|to) ([A-Z]\w+)")
PRICE_LIMIT = re.compile(r"\b(?:under|below|at most|up to) (\d+)")
PRICE = re.compile(r"(\d+(?:\.\d+)?) EUR")
CURRENCY = re.compile("|".join(CURRENCY_CODES), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool the model wants run; two calls for the same thing have the same id."""

    name: str
    arguments: str
    """A JSON object, as the model wrote it."""
    round: int = 0
    """How often the model has asked since the customer spoke: it makes a repeated call another one."""

    @property
    def id(self) -> str:
        """An id such as OpenAI's, made from what is called."""
        return "call_" + sha256(f"{self.round}{self.name}{self.arguments}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answers: words, or tools to run first."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool answered."""

    call: str
    arguments: JSON
    content: Any

    @property
    def failed(self) -> bool:
        """Whether the tool answered with an error."""
        return isinstance(self.content, Mapping) and "error" in self.content


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one request, and which tools the caller offers."""

    messages: Sequence[JSON]
    offered: frozenset[str] = field(default_factory=frozenset)

    @property
    def question(self) -> str:
        """What the customer said last."""
        return next((text_of(m) for m in reversed(self.messages) if m["role"] == "user"), "")

    @property
    def earlier(self) -> str:
        """What the assistant has said so far."""
        return "\n".join(text_of(m) for m in self.messages if m["role"] == "assistant")

    @property
    def since_question(self) -> Sequence[JSON]:
        """The messages after the customer's last one."""
        for index in range(len(self.messages) - 1, -1, -1):
            if self.messages[index]["role"] == "user":
                return self.messages[index + 1 :]
        return self.messages

    @property
    def results(self) -> list[Result]:
        """What the tools this assistant knows have answered since the customer spoke, in order."""
        calls = {
            call["id"]: call["function"] for message in self.since_question for call in message.get("tool_calls") or ()
        }
        answered = [
            (calls[message["tool_call_id"]], parsed(text_of(message)))
            for message in self.since_question
            if message["role"] == "tool" and message["tool_call_id"] in calls
        ]
        known = {skill.tool for skill in SKILLS}
        return [
            Result(called["name"], json.loads(called["arguments"]), content)
            for called, content in answered
            if called["name"] in known
        ]

    @property
    def round(self) -> int:
        """How often the model has asked for tools since the customer spoke."""
        return sum(1 for message in self.since_question if message.get("tool_calls"))


def decide(conversation: Conversation) -> Reply:
    """Answer the conversation's last message: with tool calls while something is unknown, else with words."""
    if "summar" in conversation.question.lower():
        return Reply(summary(conversation))
    wanted = tuple(call for skill in SKILLS for call in skill.needs(conversation) if call.name in conversation.offered)
    if wanted:
        return Reply(tool_calls=wanted)
    sentences = [line for result in conversation.results for line in (sentence(result),) if line]
    return Reply(" ".join(sentences) or GREETING)


GREETING = (
    "I can look up our catalogue, the weather where you are going, and prices in other currencies. What do you plan?"
)


def summary(conversation: Conversation) -> str:
    """Sum up the conversation in one line, as a subject for the shop's records."""
    questions = [text_of(message) for message in conversation.messages if message["role"] == "user"][:-1]
    topics = sorted({match.lower() for question in questions for match in PRODUCT.findall(question)})
    prices = PRICE.findall(conversation.earlier)
    price = f", offered at {prices[-1]} EUR" if prices else ""
    return f"{len(questions)} questions about {', '.join(topics) or 'the shop'}{price}."


# -- the skills ------------------------------------------------------------------


def needs_weather(conversation: Conversation) -> Iterator[ToolCall]:
    """Ask for the weather of a place the customer travels to, once."""
    place = PLACE.search(conversation.question)
    if place and not answers(conversation, "get_weather"):
        yield call(conversation, "get_weather", city=place.group(1))


def say_weather(result: Result) -> str:
    """Put a weather report into words."""
    report = result.content
    return f"In {report['city']} expect {report['forecast']} at {report['celsius']} degrees."


def needs_catalogue(conversation: Conversation) -> Iterator[ToolCall]:
    """Search for the product the customer names, within the price named."""
    product = PRODUCT.search(conversation.question)
    if product and not answers(conversation, "search_catalogue"):
        limit = PRICE_LIMIT.search(conversation.question)
        within = {"max_price_eur": int(limit.group(1))} if limit else {}
        yield call(conversation, "search_catalogue", query=product.group(0), **within)


def say_catalogue(result: Result) -> str:
    """Recommend the first product found."""
    if not result.content:
        return "I found nothing that fits; may it cost a little more?"
    best = result.content[0]
    return f"I would take the {best['name']}, {best['note']}, for {best['price_eur']} EUR."


def needs_conversion(conversation: Conversation) -> Iterator[ToolCall]:
    """Convert the last price named, first into the customer's own word for the currency.

    Like many a model it learns the code from the tool's error and tries again.
    """
    currency, prices = CURRENCY.search(conversation.question), PRICE.findall(conversation.earlier)
    if not currency or not prices:
        return
    tries = answers(conversation, "convert_currency")
    if not tries:
        target = currency.group(0)
    elif len(tries) == 1 and tries[0].failed:
        target = CURRENCY_CODES[currency.group(0).lower()]
    else:
        return
    yield call(conversation, "convert_currency", amount=float(prices[-1]), source="EUR", target=target)


def say_conversion(result: Result) -> str:
    """Name the converted price."""
    return f"That is {result.content['amount']:.2f} {result.content['currency']}."


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing the assistant can do with a tool."""

    tool: str
    needs: Callable[[Conversation], Iterator[ToolCall]]
    say: Callable[[Result], str]


SKILLS = (
    Skill("get_weather", needs_weather, say_weather),
    Skill("search_catalogue", needs_catalogue, say_catalogue),
    Skill("convert_currency", needs_conversion, say_conversion),
)


def sentence(result: Result) -> str:
    """Put one result into words; nothing for a failure that a later try made good."""
    if result.failed:
        return ""
    skill = next(skill for skill in SKILLS if skill.tool == result.call)
    try:
        return skill.say(result)
    except (KeyError, TypeError):
        return f"{result.call} says: {result.content}"


def answers(conversation: Conversation, tool: str) -> list[Result]:
    """What *tool* has answered since the customer spoke."""
    return [result for result in conversation.results if result.call == tool]


def call(conversation: Conversation, tool: str, **arguments: object) -> ToolCall:
    """Ask for *tool* with *arguments*."""
    return ToolCall(tool, json.dumps(arguments), conversation.round)


def text_of(message: JSON) -> str:
    """The text of a message, whether its content is a string, parts, or absent."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def parsed(text: str) -> Any:
    """The JSON value *text* holds, or *text* itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
