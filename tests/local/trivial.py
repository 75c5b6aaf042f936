"""A service that does nothing: it is ready, and tells its environment."""

import http.server
import json
import os


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        own = {name: value for name, value in os.environ.items() if name.startswith("HOUQIN_")}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(own).encode())


if __name__ == "__main__":
    address = os.environ["HOUQIN_HOST"], int(os.environ["HOUQIN_PORT"])
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
