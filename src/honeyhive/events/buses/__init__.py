"""Bringing messages to handlers: subscriptions, delivery, and the buses in memory and on engines."""
