"""Serves one of the apps on a free port: ``python serve.py with_fastapi``. Prints the port when it listens."""

from __future__ import annotations

import importlib
import sys
import threading

import uvicorn


class Server(uvicorn.Server):
    """Says where it listens."""

    async def startup(self, sockets: object = None) -> None:
        """Print the port once it is known."""
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def main() -> None:
    """Serve until the process is stopped."""
    app = importlib.import_module(sys.argv[1]).app
    if sys.argv[1] == "with_flask":
        from werkzeug.serving import make_server

        server = make_server("127.0.0.1", 0, app, threaded=True)
        print(server.server_port, flush=True)
        threading.Thread(target=sys.stdin.read, daemon=True).start()
        server.serve_forever()
    else:
        Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off")).run()


if __name__ == "__main__":
    main()
