"""What several benchmarks share: traced calls beside the SDK's, a backend that costs nothing here, and promises.

It is a package, so that ``nox -s bench`` runs the scripts and not this.
"""
