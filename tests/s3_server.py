"""An S3 server on this machine for tests: SeaweedFS. It listens on 127.0.0.1 only and reports to nobody."""

import json
import os
import signal
import socket
import subprocess
import time

import s3fs

WEED = os.environ.get("SEEPSEG_WEED")  # its program
KEY, SECRET, BUCKET = "seepseg-test-key", "seepseg-test-secret", "seeps"


class Server:
    """An S3 server that can be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = [free_port() for _ in range(4)]
        self.url = f"http://127.0.0.1:{self.ports[3]}"
        (folder / "data").mkdir()
        identity = {"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": ["Admin"]}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self.process = None

    def start(self):
        master, volume, filer, s3 = self.ports
        self.process = subprocess.Popen(
            [
                WEED, "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                "-master.telemetry=false", f"-master.port={master}", f"-volume.port={volume}", "-volume.max=50",
                "-master.volumeSizeLimitMB=64", f"-filer.port={filer}", "-s3", f"-s3.port={s3}",
                "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self.folder / 's3.json'}",
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        files, started = self.files(), time.monotonic()
        while time.monotonic() - started < 120:
            try:
                files.invalidate_cache()
                if not files.exists(BUCKET):
                    files.mkdir(BUCKET)
                for number in range(20):  # which come to lie in several of its volumes
                    files.pipe(f"{BUCKET}/ready{number}", b"yes")
                return
            except Exception:  # not ready yet, in one of many ways
                time.sleep(0.2)
        raise AssertionError("the server did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def files(self):
        return s3fs.S3FileSystem(
            key=KEY, secret=SECRET, endpoint_url=self.url, config_kwargs={"retries": {"max_attempts": 0}}
        )

    def objects(self):
        files = self.files()
        return sorted(files.find(f"{BUCKET}/store/files/md5"))


def free_port():
    """A port of which the one 10,000 above is free as well: the server takes both."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port + 10_000 > 65_535:
                continue
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
