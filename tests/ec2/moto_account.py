"""An AWS account on this machine, made by moto: `make test-aws`. It listens on 127.0.0.1 only."""

import ast
import json
import os
import subprocess
import time
from pathlib import Path
from socket import socket
from urllib.error import URLError
from urllib.request import Request, urlopen

import botocore.session
from conftest import ROOT

from ec2.launch import IMAGE

AWS = os.environ.get("SEEPSEG_AWS")  # the folder of aws, cfn-lint, and of the Python that has moto
BUCKET = "seeps-of-test"
REMOTE = f"s3://{BUCKET}/store"
UBUNTU = "ami-1e749f67"  # one of moto's own images
ADMIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# Images of AWS are public parameters, which nobody can put: moto has others, and gets this one.
SERVER = f"""
import sys
from datetime import datetime
from moto.server import main
from moto.ssm.models import Parameter, ssm_backends
account = "123456789012"
ssm_backends[account]["us-east-1"]._parameters["{IMAGE}"].append(
    Parameter(account, "{IMAGE}", "{UBUNTU}", "String", None, None, None, datetime.now(), version=1, data_type="text")
)
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""


class Account:
    """An account with the stack of ec2/account.yaml."""

    def __init__(self, folder):
        self.folder = folder
        self.clients = {}
        with socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        log = (folder / "moto.txt").open("w")
        server = [f"{AWS}/python", "-c", SERVER, str(port)]
        self.process = subprocess.Popen(server, env=self.environment(), stdout=log, stderr=log)
        started = time.monotonic()
        while time.monotonic() - started < 60:
            try:
                self.enforce(False)
                return
            except URLError:
                time.sleep(0.1)
        self.stop()
        raise AssertionError((folder / "moto.txt").read_text()[-2000:])

    def stop(self):
        self.process.kill()
        self.process.wait()

    def api(self, name, data=""):
        plain = {"Content-Type": "text/plain"}
        with urlopen(Request(f"{self.url}/moto-api/{name}", data.encode(), plain)) as answer:
            return json.load(answer)

    def enforce(self, on):
        """Whether moto asks IAM before it does anything."""
        self.api("reset-auth", "0" if on else "inf")

    def environment(self, **credentials):
        """All that a command needs to take this for AWS, and nothing of this machine's own AWS settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return (
            kept
            | {
                "AWS_ENDPOINT_URL": self.url,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": str(self.folder / "none"),
                "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
                "PYTHONPATH": str(ROOT),
            }
            | (credentials or ADMIN)
        )

    def aws(self, *arguments):
        """Run the AWS CLI."""
        result = subprocess.run(
            [f"{AWS}/aws", *arguments], env=self.environment(), capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout) if result.stdout.startswith(("{", "[")) else result.stdout

    def client(self, service, credentials=None):
        if credentials is None:
            if service not in self.clients:  # EC2's takes a second
                self.clients[service] = self.client(service, ADMIN)
            return self.clients[service]
        given = {name.lower(): value for name, value in credentials.items()}
        session = botocore.session.Session()
        return session.create_client(service, region_name="us-east-1", endpoint_url=self.url, **given)

    def deploy(self):
        """As docs/ec2.md says."""
        said = self.aws(
            "cloudformation", "deploy", "--stack-name", "seepseg", "--template-file", str(ROOT / "ec2/account.yaml"),
            "--parameter-overrides", f"BucketName={BUCKET}", "--capabilities", "CAPABILITY_NAMED_IAM",
        )  # fmt: skip
        # Of a stack, moto keeps an inline policy as the text of a Python dict, and can't ask it: the same as JSON.
        iam, policy = self.client("iam"), {"RoleName": "seepseg-worker", "PolicyName": "bucket"}
        document = ast.literal_eval(iam.get_role_policy(**policy)["PolicyDocument"])
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))
        return said


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    run = ["git", *identity, "-C", folder, *arguments]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path):
    """A git and DVC repository with a parameter, a stage, and a remote in the account."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text("epochs: 1\n")
    stage = "cmd: python -c \"open('model.txt', 'w').write(open('params.yaml').read())\""
    (folder / "dvc.yaml").write_text(f"stages:\n  train:\n    {stage}\n    params: [epochs]\n    outs: [model.txt]\n")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text(
        f"[core]\n    analytics = false\n    check_update = false\n    remote = storage\n"
        f"['remote \"storage\"']\n    url = {REMOTE}\n    verify = true\n"
    )
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("/model.txt\n")
    git(folder, "init", "--quiet", "--initial-branch=master")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder
