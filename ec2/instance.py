"""The EC2 instance that this process runs on, as its metadata service tells (IMDSv2)."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

ADDRESS = "http://169.254.169.254"
LATE = timedelta(minutes=3)
SECONDS = 300  # that a token is valid


class Instance:
    """Asks the metadata service; elsewhere than on EC2 there is none, and nothing is known.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
    """

    def __init__(self) -> None:
        self._address = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ADDRESS).rstrip("/")
        self._open = build_opener(ProxyHandler({})).open  # the address means this machine, whatever proxy there is
        self._token: str | None = None
        self._token_ends = 0.0

    def identifier(self) -> str | None:
        """`i-…`, where this is an EC2 instance."""
        return self._ask("instance-id")

    def type(self) -> str | None:
        """As `g5.xlarge`."""
        return self._ask("instance-type")

    def interruption(self) -> str | None:
        """The time at which EC2 takes this spot instance away, ISO 8601 in UTC, once that is decided.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
        """
        notice = self._ask("spot/instance-action")
        if notice is None:
            return None
        when = str(json.loads(notice)["time"])
        # Where it was not taken away after all, the notice may stay.
        return when if datetime.now(UTC) < datetime.fromisoformat(when) + LATE else None

    def _ask(self, name: str) -> str | None:
        """A value of the metadata; none where it, or the service, isn't there."""
        for _ in range(2):
            try:
                if self._token is None or time.monotonic() > self._token_ends:
                    self._token = self._send("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(SECONDS)})
                    self._token_ends = time.monotonic() + SECONDS / 2
                return self._send("GET", f"meta-data/{name}", {"X-aws-ec2-metadata-token": self._token})
            except HTTPError as error:
                if error.code != HTTPStatus.UNAUTHORIZED:
                    return None
                self._token = None  # it is no longer known
            except OSError:
                return None
        return None

    def _send(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = Request(f"{self._address}/latest/{path}", headers=headers, method=method)
        with self._open(request, timeout=2) as answer:
            return str(answer.read().decode())
