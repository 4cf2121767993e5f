"""What AWS says, and what to do about it, in plain words."""

import argparse
import hashlib
import http.server
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import yaml
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from conftest import ROOT
from moto_account import AWS

from ec2 import account, launch
from seepseg.base.errors import InputError

ADVICE = {**account.REMEDIES, "types": account.TYPES}


@pytest.fixture(autouse=True)
def in_a_region(monkeypatch):
    monkeypatch.setattr(account, "region", lambda: "eu-west-1")


def said(error):
    with pytest.raises(InputError) as raised, account.plain_errors():
        raise error
    return str(raised.value)


def refusal(code, message="so it is", operation="RunInstances"):
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize("code", account.REMEDIES)
def test_a_refusal_comes_with_what_to_do(code):
    first, *todo = said(refusal(code)).splitlines()
    assert first == f"AWS said {code}: so it is"
    assert todo and not re.search(r"[{}]", "".join(todo))


@pytest.mark.parametrize("code", ADVICE)
def test_options_that_it_names_are_options_of_launch(code):
    parser = argparse.ArgumentParser()
    launch.arguments(parser)
    prose = [line for line in ADVICE[code].splitlines() if not line.startswith("  aws ")]
    named = set(re.findall(r"--[a-z-]+", " ".join(prose)))
    assert named <= set(parser.format_help().replace("[", " ").replace(",", " ").split())


def test_the_policy_and_the_parameter_that_it_names_are_in_the_template():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    template = yaml.load((ROOT / "ec2/account.yaml").read_text(), Loader)
    assert template["Resources"]["Launcher"]["Properties"]["ManagedPolicyName"] in account.RIGHTS
    (parameter,) = set(template["Parameters"]) - {"BucketName"}
    assert f"'{parameter}={template['Parameters'][parameter]['Default']}," in account.TYPES


@pytest.mark.e2e
@pytest.mark.skipif(AWS is None, reason="needs the AWS CLI: make test-aws")
@pytest.mark.parametrize("code", [code for code in ADVICE if re.search(r"^  aws |: aws ", ADVICE[code], re.MULTILINE)])
def test_commands_that_it_names_are_ones_of_the_aws_command_line(code):
    found = re.findall(r"(?:^  |: )(aws .*?)(?: makes one)?$", ADVICE[code], re.MULTILINE)
    assert found
    for command in found:
        words = shlex.split(command)[1:]
        if words[0] == "cloudformation":  # is run in test_account.py
            continue
        # Checked and not sent: to a port where nobody listens.
        result = subprocess.run(
            [f"{AWS}/aws", *words, "--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1"],
            env={"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_MAX_ATTEMPTS": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Could not connect to the endpoint URL" in result.stderr


def test_the_other_market_has_a_quota_of_its_own():
    # Of AWS: "All G and VT Spot Instance Requests", "Running On-Demand G and VT instances".
    spot, on_demand = said(refusal("MaxSpotInstanceCountExceeded")), said(refusal("VcpuLimitExceeded"))
    assert "L-3819A6DF" in spot and "or launch with --on-demand" in spot
    assert "L-DB2E81BA" in on_demand and "or launch with --spot" in on_demand


# As AWS words them.
NOT_AUTHORIZED = "You are not authorized to perform this operation. Encoded authorization failure message: AbC"
VALIDATED = (
    "Your request for accessing resources in this region is being validated, and you will not be able to launch "
    "additional resources in this region until the validation is complete."
)


def test_a_launch_that_the_policy_refuses_may_be_of_another_type():
    refused = said(refusal("UnauthorizedOperation", NOT_AUTHORIZED))
    assert "policy seepseg-launcher" in refused and "the stack's parameter InstanceTypes alone" in refused
    assert "InstanceTypes" not in said(refusal("UnauthorizedOperation", NOT_AUTHORIZED, "TerminateInstances"))


def test_an_account_that_is_new_waits():
    assert "wait for its mail, up to some hours" in said(refusal("PendingVerification", VALIDATED))


def test_a_profile_that_is_missing():
    message = (
        "Value (seepseg-worker) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    )
    # Roles and profiles are those of the account, whatever the region.
    assert "the account has no stack of ec2/account.yaml: an administrator has to create" in said(
        refusal("InvalidParameterValue", message)
    )


def test_a_stack_of_another_region():
    missing = said(refusal("InvalidGroup.NotFound"))
    assert "region eu-west-1 has no stack of ec2/account.yaml: set the region where it is (export AWS_D" in missing
    assert missing.endswith("; an account has it in one")


@pytest.mark.parametrize("code", ["MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "VPCIdNotSpecified"])
def test_what_an_administrator_has_to_do(code):
    assert "An administrator has to " in said(refusal(code))


def test_a_bucket_that_is_not_there():
    assert said(refusal("NoSuchBucket")).endswith("\nis the bucket right? dvc remote list shows the remote")


def test_what_is_not_known_is_said_as_it_is():
    assert said(refusal("Strange")) == "AWS said Strange: so it is"


def test_without_an_account():
    assert "export AWS_DEFAULT_REGION=" in said(NoRegionError())
    assert "there are no AWS credentials: log in to AWS" in said(NoCredentialsError())
    assert said(EndpointConnectionError(endpoint_url="http://127.0.0.1:1")).startswith("AWS: Could not connect")


@pytest.mark.parametrize(
    "code, todo",
    [
        ("ExpiredToken", "log in to AWS"),
        ("InvalidToken", "log in to AWS"),
        ("InvalidAccessKeyId", "these keys are wrong"),
        ("SignatureDoesNotMatch", "these keys are wrong"),
        ("RequestTimeTooSkewed", "set the clock"),
    ],
)
def test_what_s3fs_makes_of_a_refusal(code, todo):
    error = PermissionError("no")
    error.__cause__ = refusal(code)
    assert todo in said(error)


SSO = """[profile expired]
sso_session = house
sso_account_id = 123456789012
sso_role_name = launcher
region = us-east-1
[sso-session house]
sso_start_url = https://house.awsapps.com/start
sso_region = us-east-1
"""


@pytest.fixture
def command_line(tmp_path):
    """What `python -m ec2` says, in a repository, to those who have a file of AWS settings."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    remote = s\n['remote \"s\"']\n    url = s3://seeps/store\n")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(SSO)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)

    def said(*arguments, **settings):
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        env |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1", **settings}
        result = subprocess.run(
            [sys.executable, "-m", "ec2", *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1 and result.stdout == ""
        return result.stderr

    return said


ALL = [("show",), ("show", "night"), ("launch", "night", "--", "dvc", "repro"), ("fetch", "night"), ("stop", "night")]


@pytest.mark.parametrize("arguments", ALL, ids=" ".join)
def test_a_login_that_has_expired(command_line, tmp_path, arguments):
    cache = tmp_path / ".aws/sso/cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "a", "expiresAt": "2020-01-01T00:00:00Z", "region": "us-east-1", "startUrl": "https://x"}
    (cache / f"{hashlib.sha1(b'house').hexdigest()}.json").write_text(json.dumps(token))
    said = command_line(*arguments, AWS_PROFILE="expired")
    assert len(said.splitlines()) == 1
    assert "there is no login to AWS, or it has expired (" in said and said.endswith("): aws sso login\n")


@pytest.mark.parametrize("arguments", ALL[:2], ids=" ".join)
def test_a_login_that_never_was(command_line, arguments):
    said = command_line(*arguments, AWS_PROFILE="expired")
    assert len(said.splitlines()) == 1 and said.endswith("): aws sso login\n")


@pytest.mark.parametrize("arguments", ALL[:2], ids=" ".join)
def test_a_profile_that_nobody_knows(command_line, arguments):
    said = command_line(*arguments, AWS_PROFILE="other", AWS_DEFAULT_REGION="us-east-1")
    assert len(said.splitlines()) == 1
    assert "profile (other) could not be found. AWS_PROFILE names it; aws configure list-profiles" in said


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def server(status, page):
    """A server that answers all with one page, and its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page)

        do_POST = do_HEAD = do_GET  # noqa: N815

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_s3_says_why_it_refuses_a_key(command_line):
    answer = b"<Error><Code>InvalidAccessKeyId</Code><Message>It does not exist in our records.</Message></Error>"
    with server(403, answer) as url:
        said = command_line("fetch", "night", AWS_ENDPOINT_URL=url, **KEYS)
    assert said.startswith(
        "error: AWS said InvalidAccessKeyId: It does not exist in our records.\nthese keys are wrong"
    )


def test_an_answer_that_is_not_of_aws(command_line):
    with server(200, b"<!doctype html><p>Please log in<br>") as url:
        said = command_line("show", AWS_ENDPOINT_URL=url, **KEYS)
    assert len(said.splitlines()) == 1 and "what answered is not AWS: is there a proxy" in said


def test_a_file_of_this_machine_is_no_matter_of_aws():
    with pytest.raises(FileNotFoundError), account.plain_errors():
        raise FileNotFoundError(2, "missing", "a file")
