"""Run the model server by hand: ``cd examples && python -m model_server --port 8089``."""

import argparse
import threading

from model_server.server import ModelServer


def main() -> None:
    """Serve on loopback until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--fail-first",
        type=int,
        action="append",
        default=[],
        metavar="STATUS",
        help="answer the next request with this status, such as 429 or 500; repeat for more requests",
    )
    options = parser.parse_args()
    with ModelServer(port=options.port, fail_first=options.fail_first) as server:
        print(f"OPENAI_BASE_URL={server.base_url}", flush=True)
        wait_for_interrupt()


def wait_for_interrupt() -> None:
    """Block until Ctrl-C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
