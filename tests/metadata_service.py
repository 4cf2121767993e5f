"""A stand-in for the metadata service of EC2, on 127.0.0.1: IMDSv2, of which each value can be set."""

import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = "seepseg-worker"


class MetadataService:
    """Serves `values`, by their path below latest/meta-data; refuses who has no token."""

    def __init__(self, key="", secret="", **tags):
        self.values = {
            "instance-id": "i-0123456789abcdef0",
            "placement/region": "us-east-1",
            "placement/availability-zone": "us-east-1a",
            "iam/security-credentials/": ROLE,
            f"iam/security-credentials/{ROLE}": json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": key,
                    "SecretAccessKey": secret,
                    "Token": "",
                    "Expiration": (datetime.now(UTC) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                }
            ),
        }
        for name, value in tags.items():
            self.values[f"tags/instance/seepseg-{name.replace('_', '-')}"] = value
        self.refused, self.token = 0, "a token"
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self):
                known = self.path == "/latest/api/token" and "X-aws-ec2-metadata-token-ttl-seconds" in self.headers
                self.answer(service.token if known else None)

            def do_GET(self):
                if self.headers.get("X-aws-ec2-metadata-token") != service.token:
                    service.refused += 1
                    self.send_error(401)
                    return
                self.answer(service.values.get(self.path.removeprefix("/latest/meta-data/")))

            def answer(self, text):
                if text is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def interrupt(self, minutes=2):
        """Give the notice that this spot instance ends."""
        when = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.values["spot/instance-action"] = json.dumps({"action": "terminate", "time": when})

    def close(self):
        self._server.shutdown()
        self._server.server_close()
