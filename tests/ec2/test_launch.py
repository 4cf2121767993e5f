"""Runs from the own computer, with an account that moto makes up: `make test-aws`."""

import base64
import json
import os
import re
import subprocess
import sys
import time

import pytest
import s3fs
from conftest import ROOT
from moto_account import ADMIN, AWS, BUCKET, REMOTE, UBUNTU, Account, git, repository

from ec2 import __main__ as command_line
from ec2 import launch
from ec2.account import client
from ec2.run_folder import Launch, RunFolder, State
from seepseg.base.command import run_stage

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AWS is None, reason="needs moto and the AWS CLI: make test-aws")]

TRAIN = ["--", "dvc", "exp", "run", "-S", "epochs=2"]
COMMAND = "dvc exp run -S epochs=2"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    account = Account(tmp_path_factory.mktemp("account"))
    try:
        account.deploy()
        yield account
    finally:
        account.stop()


@pytest.fixture
def here(account, tmp_path, monkeypatch):
    """A repository to work in, and an account without machines and objects."""
    for name, value in account.environment().items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    client.cache_clear()
    files = s3fs.S3FileSystem(use_listings_cache=False)
    if files.exists(REMOTE):
        files.rm(REMOTE, recursive=True)
    ec2 = account.client("ec2")
    for reservation in ec2.describe_instances()["Reservations"]:
        ec2.terminate_instances(InstanceIds=[each["InstanceId"] for each in reservation["Instances"]])
    folder = repository(tmp_path / "repository")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def say(here, capsys, monkeypatch):
    """What a command of `python -m ec2` prints; a message of an error as well."""

    def say(*arguments):
        monkeypatch.setattr(sys, "argv", ["ec2", *arguments])
        capsys.readouterr()
        try:
            run_stage(command_line.main)
        except SystemExit as end:
            assert end.code != 0
            return str(end.code)
        return capsys.readouterr().out

    return say


def instance(account):
    """The only machine that is up."""
    found = account.client("ec2").describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )
    (each,) = (each for reservation in found["Reservations"] for each in reservation["Instances"])
    return each


def end(account, folder, word, **changes):
    """The machine of a run says how it ended, and is gone."""
    before = folder.read_state()
    account.client("ec2").terminate_instances(InstanceIds=[before.instance])
    folder.write_state(State(**{**vars(before), "state": word, "message": "", **changes}))


def test_launch_starts_one_machine_with_exactly_these_settings(say, account, here, monkeypatch):
    asked = []
    request = launch.request
    monkeypatch.setattr(launch, "request", lambda *given: asked.append(request(*given)) or asked[0])
    said = say("launch", "night", *TRAIN)
    found = instance(account)
    head = git(here, "rev-parse", "HEAD")
    assert said.splitlines()[0] == (
        f"night: machine {found['InstanceId']} (g5.xlarge, spot) starts in us-east-1, commit {head[:7]}: {COMMAND}"
    )
    assert "python -m ec2 show night" in said and "after 24h" in said
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "seepseg-run": "night",
        "seepseg-command": COMMAND,
        "seepseg-repository": f"{REMOTE}/ec2/night/revision.bundle",
        "seepseg-revision": head,
        "seepseg-remote": REMOTE,
        "seepseg-time-limit": "24h",
    }
    assert found["InstanceType"] == "g5.xlarge" and found["ImageId"] == UBUNTU
    assert found["InstanceLifecycle"] == "spot"
    assert found["IamInstanceProfile"]["Arn"].endswith(":instance-profile/seepseg-worker")
    assert [group["GroupName"] for group in found["SecurityGroups"]] == ["seepseg-worker"]
    ec2 = account.client("ec2")
    (disk,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [found["InstanceId"]]}])[
        "Volumes"
    ]
    assert (disk["Size"], disk["VolumeType"]) == (100, "gp3")
    given = ec2.describe_instance_attribute(InstanceId=found["InstanceId"], Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(given) == launch.USER_DATA.read_bytes()
    # What moto does not keep, as it was asked for.
    (asked,) = asked
    assert asked["MetadataOptions"] == {
        "HttpTokens": "required", "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled",
    }  # fmt: skip
    assert asked["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert asked["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    assert asked["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "VolumeType": "gp3", "DeleteOnTermination": True}}
    ]
    assert asked["MinCount"] == asked["MaxCount"] == 1


def test_the_same_with_the_aws_command_line_alone(say, account, here):
    (here / "ec2").symlink_to(launch.USER_DATA.parent)
    (here / "params.yaml").write_text("train: {epochs: 1}\n")
    git(here, "commit", "--quiet", "--all", "--message", "parameters as those of this repository")
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/ec2.md").read_text(), re.DOTALL)
    (script,) = (block for block in blocks if "aws ec2 run-instances" in block)
    script = script.replace("s3://my-bucket/seepseg", REMOTE)
    env = account.environment() | {"PATH": f"{AWS}:{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=here, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    by_hand = instance(account)
    assert json.loads(result.stdout[result.stdout.index("{") :])["Instances"][0]["InstanceId"] == by_hand["InstanceId"]
    given = account.client("ec2").describe_instance_attribute(InstanceId=by_hand["InstanceId"], Attribute="userData")
    assert base64.b64decode(given["UserData"]["Value"]) == launch.USER_DATA.read_bytes()
    tags = {tag["Key"]: tag["Value"] for tag in by_hand["Tags"]}
    name, command = tags["seepseg-run"], tags["seepseg-command"]
    said = say("show", name)
    first, machine, what, _ = said.splitlines()
    assert first == f"{name}: launched, no word from a machine yet"
    assert machine.startswith(f"machine: {by_hand['InstanceId']} (g5.xlarge, spot), running, launched 20")
    assert what == f"commit {git(here, 'rev-parse', '--short=7', 'HEAD')}: {command}"
    assert "ends: " in say("stop", name)

    (here / "ec2").unlink()
    assert "starts" in say("launch", name, "--", *command.split())
    launched = instance(account)
    assert {tag["Key"]: tag["Value"] for tag in launched["Tags"]} == tags | {"seepseg-time-limit": "24h"}
    assert by_hand["IamInstanceProfile"]["Arn"] == launched["IamInstanceProfile"]["Arn"]
    for key in ("InstanceType", "ImageId", "InstanceLifecycle", "SecurityGroups", "MetadataOptions"):
        assert by_hand[key] == launched[key], key


def test_other_settings(say, account, here):
    git(here, "commit", "--quiet", "--allow-empty", "--message", "second")
    said = say(
        "launch", "day.1", "--revision", "HEAD~1", "--instance-type", "g6.xlarge", "--on-demand", "--time-limit", "90m",
        "--image", UBUNTU, "--disk-gb", "200", "--", "dvc", "repro",
    )  # fmt: skip
    assert "(g6.xlarge, on-demand)" in said and "after 90m" in said
    found = instance(account)
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["seepseg-revision"] == git(here, "rev-parse", "HEAD~1")
    assert tags["seepseg-time-limit"] == "90m"
    assert "InstanceLifecycle" not in found and found["InstanceType"] == "g6.xlarge"
    (disk,) = account.client("ec2").describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [found["InstanceId"]]}]
    )["Volumes"]
    assert disk["Size"] == 200


def test_the_machine_can_clone_what_was_sent(say, here, tmp_path):
    git(here, "checkout", "--quiet", "--detach")
    (here / "params.yaml").write_text("epochs: 7\n")
    git(here, "commit", "--quiet", "--all", "--message", "on no branch")
    aside = git(here, "rev-parse", "HEAD")
    git(here, "checkout", "--quiet", "master")
    refs = git(here, "for-each-ref")
    assert "starts" in say("launch", "night", "--revision", aside, *TRAIN)
    assert git(here, "for-each-ref") == refs
    bundle, clone = tmp_path / "revision.bundle", tmp_path / "clone"
    s3fs.S3FileSystem().get_file(f"{REMOTE}/ec2/night/revision.bundle", str(bundle))
    # As ec2/user-data.sh does.
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(bundle), str(clone))
    git(clone, "-c", "advice.detachedHead=false", "checkout", aside)
    assert (clone / "params.yaml").read_text() == "epochs: 7\n"


def test_a_commit_can_be_sent_for_skypilot_to_launch(say, account, here):
    said = say("launch", "night", "--skypilot", *TRAIN).splitlines()
    assert said == [
        f"Commit {git(here, 'rev-parse', '--short=7', 'HEAD')} is in {REMOTE}/ec2/night. In this folder:",
        "sky jobs launch ec2/sky.yaml --name night --detach-run --yes --env SEEPSEG_RUN=night "
        f"--env SEEPSEG_REMOTE={REMOTE} --env 'SEEPSEG_COMMAND={COMMAND}'",
    ]
    assert s3fs.S3FileSystem().exists(f"{REMOTE}/ec2/night/revision.bundle")
    assert not account.client("ec2").describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
    )["Reservations"]


def test_a_run_that_has_a_machine_is_not_launched_again(say, account, here):
    say("launch", "night", *TRAIN)
    found = instance(account)["InstanceId"]
    assert f"error: run night has a machine already: {found} (g5.xlarge, spot), running, launched 20" in say(
        "launch", "night", *TRAIN
    )
    assert instance(account)["InstanceId"] == found
    assert "starts" in say("launch", "other", *TRAIN)


@pytest.mark.parametrize("word", ["interrupted", "failed", "running"])
def test_launched_again_it_goes_on(say, account, here, word):
    say("launch", "night", *TRAIN)
    first = git(here, "rev-parse", "HEAD")
    folder = RunFolder(REMOTE, "night")
    end(account, folder, word)
    sent = folder.files.info(folder.revision_bundle)["LastModified"]
    git(here, "commit", "--quiet", "--allow-empty", "--message", "second")
    said = say("launch", "night")
    assert f"and goes on, commit {first[:7]}: {COMMAND}" in said
    tags = {tag["Key"]: tag["Value"] for tag in instance(account)["Tags"]}
    assert (tags["seepseg-command"], tags["seepseg-revision"]) == (COMMAND, first)
    assert folder.files.info(folder.revision_bundle)["LastModified"] == sent
    assert folder.read_state().instance == instance(account)["InstanceId"]


def test_what_a_run_that_goes_on_does_not_have(say, account, here):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")

    def note(*options):
        end(account, folder, "failed")
        return [line for line in say("launch", "night", *options).splitlines() if line.startswith("note: ")]

    assert note() == []
    (here / "params.yaml").write_text("epochs: 9\n")
    mended = "what has changed in params.yaml"
    assert note() == [f"note: not in it: {mended}; to run that: stop this, commit, then launch with --revision HEAD"]
    git(here, "commit", "--quiet", "--all", "--message", "mended")
    head = f"HEAD ({git(here, 'rev-parse', 'HEAD')[:7]})"
    assert note() == [f"note: not in it: {head}; to run that: stop this, launch with --revision HEAD"]
    (here / "params.yaml").write_text("epochs: 8\n")
    (note_of_both,) = note()
    assert note_of_both.startswith(f"note: not in it: {head}, {mended};") and ", commit, then" in note_of_both
    git(here, "checkout", "--quiet", "params.yaml")
    assert note("--revision", "HEAD") == []


def test_launched_again_it_has_the_same_kind_of_machine(say, account, here):
    say(
        "launch", "night", "--instance-type", "g6.xlarge", "--on-demand", "--time-limit", "90m", "--image", UBUNTU,
        "--disk-gb", "200", *TRAIN,
    )  # fmt: skip
    folder = RunFolder(REMOTE, "night")
    first = Launch("g6.xlarge", False, UBUNTU, 200, "90m", "us-east-1", skypilot=False)
    assert folder.read_launch() == first
    end(account, folder, "interrupted")
    assert "(g6.xlarge, on-demand)" in (said := say("launch", "night")) and "after 90m" in said
    assert folder.read_launch() == first
    found = instance(account)
    assert found["InstanceType"] == "g6.xlarge" and "InstanceLifecycle" not in found
    ec2 = account.client("ec2")
    filters = [{"Name": "attachment.instance-id", "Values": [found["InstanceId"]]}]
    assert ec2.describe_volumes(Filters=filters)["Volumes"][0]["Size"] == 200
    end(account, folder, "interrupted")
    assert "(g5.xlarge, spot)" in (said := say("launch", "night", "--instance-type", "g5.xlarge", "--spot"))
    assert "after 90m" in said
    assert folder.read_launch() == Launch("g5.xlarge", True, UBUNTU, 200, "90m", "us-east-1", skypilot=False)


def test_what_aws_refused_is_not_taken_for_the_next_launch(say, here):
    assert "InvalidAMIID.NotFound" in say("launch", "night", "--image", "ami-00000000", *TRAIN)
    assert "starts" in say("launch", "night", *TRAIN)


def test_told_otherwise_it_goes_on_otherwise(say, account, here):
    say("launch", "night", *TRAIN)
    end(account, RunFolder(REMOTE, "night"), "failed")
    git(here, "commit", "--quiet", "--allow-empty", "--message", "mended")
    said = say("launch", "night", "--revision", "HEAD", "--", "dvc", "repro")
    assert f"and goes on, commit {git(here, 'rev-parse', 'HEAD')[:7]}: dvc repro" in said


def test_what_is_broken_is_overwritten(say, account, here):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    launched = folder.read_launch()
    end(account, folder, "failed")
    folder.files.pipe_file(folder.state_file, b"{}")
    folder.files.pipe_file(folder.launch_file, b"{}")
    assert "which overwrites it" in say("show", "night")
    assert "which command?" in say("launch", "night")
    assert "starts" in say("launch", "night", *TRAIN)
    assert folder.read_state().state == "running" and folder.read_launch() == launched


def test_a_run_that_became_a_branch_goes_on(say, account, here):
    say("launch", "night", *TRAIN)
    end(account, RunFolder(REMOTE, "night"), "failed")
    git(here, "branch", "night")
    assert "and goes on" in say("launch", "night")


SKYPILOT = Launch("g5.xlarge", True, UBUNTU, 100, "24h", "us-east-1", skypilot=True)
ELSEWHERE = Launch("g5.xlarge", True, UBUNTU, 100, "24h", "eu-west-1", skypilot=False)
HERE = Launch("g5.xlarge", True, UBUNTU, 100, "24h", "us-east-1", skypilot=False)
IN_EUROPE = "in eu-west-1, which is not the region that is set"


@pytest.mark.parametrize(
    "launched, word, shown, todo",
    [
        (SKYPILOT, "running", "SkyPilot's: sky jobs queue", "If it isn't listed there, launch with --force"),
        (SKYPILOT, "interrupted", "SkyPilot's: sky jobs queue", "If it isn't listed there, launch with --force"),
        (SKYPILOT, "failed", "SkyPilot's: sky jobs queue", "If it isn't listed there, launch with --force"),
        (ELSEWHERE, "running", IN_EUROPE, "Look there: AWS_DEFAULT_REGION=eu-west-1 python -m ec2 show night. If it"),
        (None, "running", "gone, or in another region", "Look in the EC2 console. If it is in no region, launch with"),
    ],
)
def test_a_machine_that_nobody_here_sees_may_be_up(say, account, here, launched, word, shown, todo):
    folder = RunFolder(REMOTE, "night")
    folder.write_state(State(word, "i-elsewhere", COMMAND, git(here, "rev-parse", "HEAD")))
    if launched:
        folder.write_launch(launched)
    assert f"machine: i-elsewhere, {shown}\n" in say("show", "night")
    assert f"i-elsewhere, {shown}\n" in say("show")
    said = say("launch", "night")
    assert said.startswith("error: run night may have a machine, ") and todo in said
    with pytest.raises(ValueError, match="not enough values"):
        instance(account)
    assert "and goes on" in say("launch", "night", "--force")
    assert folder.read_state().instance == instance(account)["InstanceId"]
    assert folder.read_launch().region == "us-east-1" and not folder.read_launch().skypilot


@pytest.mark.parametrize("launched", [ELSEWHERE, None])
def test_one_that_has_said_it_ends_goes_on_anywhere(say, account, here, launched):
    folder = RunFolder(REMOTE, "night")
    folder.write_state(State("interrupted", "i-elsewhere", COMMAND, git(here, "rev-parse", "HEAD")))
    if launched:
        folder.write_launch(launched)
    assert "and goes on" in say("launch", "night")


def test_a_run_of_skypilot_that_has_no_machine_yet(say, account, here):
    say("launch", "night", "--skypilot", *TRAIN)
    assert RunFolder(REMOTE, "night").read_launch().skypilot
    assert say("show", "night").startswith("night: launched (SkyPilot's: sky jobs queue), no word from a machine yet")
    assert say("show").splitlines()[1].split(maxsplit=2) == ["night", "launched", "SkyPilot's: sky jobs queue"]
    assert "error: run night may have a machine, SkyPilot's" in say("launch", "night", *TRAIN)
    assert "sky jobs queue has its number, and sky jobs cancel NUMBER ends it" in say("stop", "night")
    assert "run night has no results yet; sky jobs queue tells" in say("fetch", "night")
    again = say("launch", "night", "--skypilot", *TRAIN)
    assert "Not where sky jobs queue lists the run already" in again


def test_a_machine_that_ends_is_waited_for(say, account, here):
    say("launch", "night", *TRAIN)
    found = instance(account)["InstanceId"]

    # moto ends a machine at once: what it calls running is shutting down here, and found by those who ask for that.
    asked = []

    def shuts_down(parsed, **_):
        if "shutting-down" not in asked[-1]["Filters"][0]["Values"]:
            parsed["Reservations"].clear()
        for reservation in parsed["Reservations"]:
            for each in reservation["Instances"]:
                each["State"]["Name"] = "shutting-down"

    events = client("ec2").meta.events
    events.register("before-parameter-build.ec2.DescribeInstances", lambda params, **_: asked.append(params))
    events.register("after-call.ec2.DescribeInstances", shuts_down)
    assert say("launch", "night") == (f"error: machine {found} of run night is ending; launch again in a minute or two")
    said = say("show")
    assert said.endswith("machines that cost money in us-east-1: none\n") and f"{found}, g5.xlarge, is ending" in said
    said = say("show", "night")
    assert f"machine: {found} (g5.xlarge, spot), shutting-down, launched 20" in said
    assert "next: in a minute or two, python -m ec2 launch night\n" in said and said.endswith("no log\n")
    assert say("stop", "night").startswith(f"is ending already: {found}")
    assert instance(account)["InstanceId"] == found  # and was not ended once more


def test_what_was_launched_by_hand_from_git_is_sent(say, account, here):
    folder = RunFolder(REMOTE, "night")
    head = git(here, "rev-parse", "HEAD")
    folder.write_state(State("failed", "i-by-hand", COMMAND, "master"))
    (here / "params.yaml").write_text("epochs: 9\n")
    assert f"and goes on, commit {head[:7]}: {COMMAND}" in say("launch", "night")
    assert folder.files.exists(folder.revision_bundle)
    tags = {tag["Key"]: tag["Value"] for tag in instance(account)["Tags"]}
    assert tags["seepseg-revision"] == head


@pytest.mark.parametrize("skypilot", [[], ["--skypilot"]])
def test_a_commit_that_is_not_here_cannot_be_sent(say, here, skypilot):
    folder = RunFolder(REMOTE, "night")
    folder.write_state(State("failed", "i-by-hand", COMMAND, "0123456789" * 4))
    said = say("launch", "night", *skypilot)
    assert said.startswith(f"error: git knows no revision '{'0123456789' * 4}': bring it here (git fetch)")


def test_what_is_done_is_not_launched_again(say, account, here):
    say("launch", "night", *TRAIN)
    end(account, RunFolder(REMOTE, "night"), "done")
    assert "error: run night is done since" in say("launch", "night")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["my run", *TRAIN], "found 'my run'"),
        (["night"], "which command? As python -m ec2 launch night -- dvc exp run"),
        (["night", "--", "python", "train.py"], "found: python train.py"),
        (["night", "--time-limit", "soon", *TRAIN], "as 90m, 24h or 2d; found 'soon'"),
        (["night", "--revision", "nothing", *TRAIN], "git knows no revision 'nothing'"),
        (["night", *TRAIN, "-S", "epochs=" + "b" * 256], "characters, and EC2 takes 256 in a tag"),
        (["night", *TRAIN, "-S", "epochs=b\nc"], "characters that can't be printed"),
        (["HEAD", *TRAIN], "git has a branch, tag or commit HEAD"),
        (["master", *TRAIN], "which dvc exp apply would take: name the run otherwise"),
        (["night", "--disk-gb", "0", *TRAIN], "at least 1 GB; found --disk-gb 0"),
        (["night", *TRAIN, "-S", "epochs=../more"], "epochs=../more leads out of the repository, and the machine sees"),
        (["night", *TRAIN, "-S", "epoch=3"], "params.yaml has no epoch; did you mean epochs?"),
        (["night", "--image", "ami-00000000", *TRAIN], "InvalidAMIID.NotFound"),
        (["night", "--image", "/aws/service/none", *TRAIN], "name an image by --image"),
    ],
)
def test_what_cannot_run_is_not_launched(say, account, here, arguments, message):
    said = say("launch", *arguments)
    assert said.startswith("error: ") and message in said
    with pytest.raises(ValueError, match="not enough values"):
        instance(account)
    assert not s3fs.S3FileSystem(use_listings_cache=False).exists(f"{REMOTE}/ec2")


def test_the_command_comes_after_two_dashes(say, account):
    said = say("launch", "dvc", "--on-demand", "dvc", "exp", "run", "-S", "loss.name=a b", "--force")
    assert said == (
        "error: put -- before the dvc command:\n"
        "  python -m ec2 launch dvc --on-demand -- dvc exp run -S 'loss.name=a b' --force"
    )


@pytest.mark.parametrize("arguments", [("launch", "night", "--gpu", "2"), ("show", "night", "--gpu", "2")])
def test_a_wrong_option_shows_the_usage_of_its_command(here, capsys, monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["ec2", *arguments])
    with pytest.raises(SystemExit) as end:
        command_line.main()
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"usage: python -m ec2 {arguments[0]} ") and said.endswith("arguments: --gpu 2\n")


def test_what_is_not_committed_is_not_launched(say, here):
    (here / "notes.txt").write_text("of no matter")
    (here / "params.yaml").write_text("epochs: 3\n")
    said = say("launch", "night", *TRAIN)
    assert "these files have changed since:\n M params.yaml\nCommit them" in said


def test_the_remote_must_be_on_s3(say, here):
    config = here / ".dvc/config"
    text = config.read_text()
    config.write_text(text.replace(REMOTE, "/mnt/store"))
    assert "need a DVC remote on S3, as s3://my-bucket/seepseg; found '/mnt/store'" in say("show")
    config.write_text(text.replace("remote = storage", ""))
    assert "dvc remote add -d storage s3://my-bucket/seepseg" in say("show")
    config.write_text(text.replace("remote = storage", "remote = other"))
    assert "DVC's default remote is 'other'" in say("show")


def test_outside_of_a_repository(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "this folder is in no DVC repository" in say("show")


def test_a_large_first_boot_script_is_refused(say, tmp_path, monkeypatch):
    script = tmp_path / "user-data.sh"
    script.write_text("#" * 16384)
    monkeypatch.setattr(launch, "USER_DATA", script)
    assert "has 16384 bytes, and EC2 takes less than 16384" in say("launch", "night", *TRAIN)


def test_no_credentials_no_region_no_bucket(say, here, monkeypatch):
    (here / ".dvc/config").write_text((here / ".dvc/config").read_text().replace(BUCKET, "of-nobody"))
    git(here, "commit", "--quiet", "--all", "--message", "another remote")
    for arguments in (
        ["launch", "night", *TRAIN], ["show"], ["show", "night"], ["fetch", "night"], ["stop", "night"]
    ):  # fmt: skip
        said = say(*arguments)
        assert "The specified bucket does not exist\nis the bucket 'of-nobody' right? dvc remote list" in said, (
            arguments
        )
    for name in ADMIN:
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    client.cache_clear()
    assert "there are no AWS credentials: log in to AWS" in say("launch", "night", *TRAIN)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    client.cache_clear()
    assert "which AWS region?" in say("show")


def test_show_tells_states_and_machines_that_cost_money(say, account, here):
    assert say("show") == f"no runs in {REMOTE} yet\n\nmachines that cost money in us-east-1: none\n"
    for name in ("busy", "lost", "over"):
        say("launch", name, *TRAIN)
    folders = {name: RunFolder(REMOTE, name) for name in ("busy", "lost", "over", "broken")}
    end(account, folders["lost"], "running")
    end(account, folders["over"], "done")
    folders["broken"].files.pipe_file(folders["broken"].state_file, b"{}")
    ids = {name: folders[name].read_state().instance for name in ("busy", "lost", "over")}
    lines = [line.split(maxsplit=3) for line in say("show").splitlines()]
    assert [line[:2] for line in lines[:5]] == [
        ["RUN", "STATE"], ["broken", "?"], ["busy", "running"], ["lost", "running"], ["over", "done"],
    ]  # fmt: skip
    assert lines[2][3] == f"{ids['busy']}, g5.xlarge, running"
    assert lines[3][3] == f"{ids['lost']}, gone without a word"
    assert lines[4][3] == f"{ids['over']}, gone"
    assert [line[0] for line in lines[6:]] == ["machines", "busy:"]
    assert f"busy: {ids['busy']} (g5.xlarge, spot), running, launched 20" in say("show")


def test_show_one_run_with_the_end_of_its_latest_log(say, account, here):
    assert "error: there is no run night" in say("show", "night")
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    said = say("show", "night")
    state = folder.read_state()
    assert said.splitlines() == [
        f"night: running since {state.time}",
        *(line for line in said.splitlines() if line.startswith(f"machine: {state.instance} (g5.xlarge, spot), runn")),
        f"commit {state.revision[:7]}: {COMMAND}",
        "no log yet: the first comes after a few minutes, while the machine is set up",
    ]
    assert len(said.splitlines()) == 4
    elsewhere = s3fs.S3FileSystem(skip_instance_cache=True)
    elsewhere.pipe_file(folder.log("i-2"), b"of the machine before\n")
    assert "of the machine before" in say("show", "night")
    time.sleep(1.1)  # S3 knows times to the second
    elsewhere.pipe_file(folder.log("i-1"), "".join(f"line {number}\n" for number in range(50)).encode())
    said = say("show", "night")
    assert said.splitlines()[-20:] == [f"line {number}" for number in range(30, 50)]
    assert "machine before" not in said


@pytest.mark.parametrize(
    "word, launched, todo",
    [
        ("done", None, "next: python -m ec2 fetch night"),
        ("done", SKYPILOT, "next: python -m ec2 fetch night"),
        ("interrupted", None, "next: python -m ec2 launch night"),
        ("interrupted", ELSEWHERE, "next: python -m ec2 launch night"),
        ("failed", None, "next: python -m ec2 launch night, with --revision HEAD if a commit has mended it"),
        ("failed", SKYPILOT, None),
        ("running", HERE, "next: python -m ec2 launch night"),
        ("running", ELSEWHERE, None),
        ("running", None, None),
    ],
)
def test_show_one_run_with_what_comes_next(say, here, word, launched, todo):
    folder = RunFolder(REMOTE, "night")
    folder.write_state(State(word, "i-gone", COMMAND, "0123456789", "so it was"))
    if launched:
        folder.write_launch(launched)
    said = say("show", "night").splitlines()
    assert [line for line in said if line.startswith("next: ")] == ([todo] if todo else [])
    assert said[0].endswith("so it was") == (word != "running")
    assert [line.split(",")[0] for line in said].count("machine: i-gone") == 1 and said[-1] == "no log"


def test_fetch_brings_the_experiment(say, account, here, tmp_path):
    assert "error: there is no run night" in say("fetch", "night")
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    assert "error: run night has no results yet; python -m ec2 show night" in say("fetch", "night")

    # As the worker does, on a machine of its own.
    machine = tmp_path / "machine"
    git(here, "clone", "--quiet", ".", str(machine))
    dvc(machine, "exp", "run", "--name", "night", "-S", "epochs=2")
    dvc(machine, "push")
    (ref,) = git(machine, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/night").split()
    git(machine, "bundle", "create", "--quiet", "results.bundle", ref, "^HEAD")
    folder.files.put_file(str(machine / "results.bundle"), folder.results_bundle)
    end(account, folder, "done", message="stages: 1 run")

    said = say("fetch", "night")
    assert said.startswith("night: done since") and "stages: 1 run" in said
    assert git(here, "rev-parse", ref) == git(machine, "rev-parse", ref)
    for line in [line for line in said.splitlines() if line.startswith("  dvc")]:
        for command in line.split(";"):
            dvc(here, *command.split()[1:], may_fail="apply" in command)
    assert (here / "model.txt").read_text() == (here / "params.yaml").read_text() == "epochs: 2\n"
    assert say("fetch", "night").startswith("night: done")  # again, with nothing to do

    git(here, "update-ref", ref, git(here, "rev-parse", "HEAD"))
    git(here, "-c", "core.hooksPath=/", "commit", "--quiet", "--all", "--message", "another experiment of this name")
    git(here, "update-ref", ref, git(here, "rev-parse", "HEAD"))
    assert "dvc exp rename" in say("fetch", "night")


def test_fetch_where_the_commit_is_missing(say, account, here, tmp_path, monkeypatch):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    git(here, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(here, "update-ref", "refs/exps/01/2345/night", git(here, "commit-tree", "-p", "HEAD", "-m", "x", "HEAD^{tree}"))
    git(here, "bundle", "create", "--quiet", str(tmp_path / "results.bundle"), "refs/exps/01/2345/night", "^HEAD")
    folder.files.put_file(str(tmp_path / "results.bundle"), folder.results_bundle)
    monkeypatch.chdir(repository(tmp_path / "other"))
    assert "Fetch the commit that it started from first (git fetch)" in say("fetch", "night")


def dvc(folder, *arguments, may_fail=False):
    result = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0 or may_fail, result.stdout + result.stderr


def test_stop_ends_the_machines_of_this_run_alone(say, account, here):
    say("launch", "night", *TRAIN)
    found = instance(account)["InstanceId"]
    say("launch", "other", *TRAIN)
    said = say("stop", "night")
    assert said.startswith(f"ends: {found} (g5.xlarge, spot)")
    assert "heckpoint" not in said and "python -m ec2 launch night" in said
    assert instance(account)["InstanceId"] == RunFolder(REMOTE, "other").read_state().instance
    state = RunFolder(REMOTE, "night").read_state()
    assert (state.state, state.message, state.instance) == ("interrupted", "stopped", found)
    assert (state.command, state.revision) == (COMMAND, git(here, "rev-parse", "HEAD"))
    assert "error: run night has no machine" in say("stop", "night")
    assert "error: there is no run nigth in " in say("stop", "nigth")
    assert "and goes on" in say("launch", "night")


def test_stop_names_checkpoints_that_are_there(say, account, here):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    folder.files.pipe_file(f"{folder.checkpoints}/0123/last.pt", b"weights")
    assert f"Checkpoints that it has sent stay in {folder.checkpoints}" in say("stop", "night")


@pytest.mark.parametrize("word, last", [("failed", "launch night"), ("done", "fetch night"), ("interrupted", "launch")])
def test_stop_leaves_what_the_machine_has_said(say, account, here, word, last):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    folder.write_state(said := State(word, "i-1", COMMAND, "abc", "of the machine"))
    assert f"python -m ec2 {last}" in say("stop", "night").splitlines()[-1]
    assert folder.read_state() == said


def test_stop_of_a_run_that_has_no_state_takes_it_from_the_machine(say, account, here):
    say("launch", "night", *TRAIN)
    folder = RunFolder(REMOTE, "night")
    for content in (None, b"{}"):
        if content:
            say("launch", "night")
            folder.files.pipe_file(folder.state_file, content)
        else:
            folder.files.rm_file(folder.state_file)
        assert "ends: " in say("stop", "night")
        state = folder.read_state()
        assert (state.state, state.message) == ("interrupted", "stopped")
        assert (state.command, state.revision) == (COMMAND, git(here, "rev-parse", "HEAD"))
