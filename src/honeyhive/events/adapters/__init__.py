"""Buses on real engines: each module knows one engine's client, and loads it when it is used."""
