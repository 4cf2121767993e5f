"""Launch a run on one EC2 instance: ``python -m ec2 launch RUN -- dvc exp run -S train.epochs=100``."""

import argparse
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ec2.account import TAG, client, default_remote, machines, region
from ec2.command import completed
from ec2.run_folder import RunFolder, State
from seepseg.base.errors import InputError

# Ubuntu 24.04 has Python 3.12; 22.04 has 3.10, which is too old.
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
USER_DATA = Path(__file__).with_name("user-data.sh")
MAX_USER_DATA = 16 * 2**10  # bytes, of EC2
MAX_TAG = 256  # characters, of EC2
WORKER = "seepseg-worker"  # instance profile and security group of ec2/account.yaml


@dataclass(frozen=True)
class Order:
    """What to launch.

    Attributes:
        type: instance type.
        spot: rather than on demand.
        image: `ami-...`, or the name of an SSM parameter that holds it.
        disk: size in GB.
    """

    type: str
    spot: bool
    image: str
    disk: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run", help="name of the run, and of the DVC experiment")
    parser.add_argument(
        "--revision", help="commit, branch or tag to run (default: HEAD, or that of a run that goes on)"
    )
    parser.add_argument("--instance-type", default="g5.xlarge", help="(default: %(default)s)")
    parser.add_argument("--on-demand", action="store_true", help="costs more than spot, and is not taken away")
    parser.add_argument("--time-limit", default="24h", help="when to stop and shut down (default: %(default)s)")
    parser.add_argument("--image", default=IMAGE, help="ami-..., or SSM parameter with one (default: %(default)s)")
    parser.add_argument("--disk-gb", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument(
        "--skypilot", action="store_true", help="send the commit only, and say how SkyPilot launches it"
    )
    parser.usage = "%(prog)s [options] RUN [-- dvc exp run -S train.epochs=100]"
    parser.epilog = "After --: the dvc command. A run that goes on knows its own."


def main(given: argparse.Namespace) -> None:
    """Check, send the revision, start the machine, and say what to do next."""
    remote = default_remote()
    folder = RunFolder(remote, given.run)
    before = folder.read_state()
    check_is_free(folder, before)
    command = shlex.join(given.command) or (before.command if before else "")
    check_command(given.run, command)
    check_time_limit(given.time_limit)
    goes_on = before is not None and given.revision is None
    revision = before.revision if before and goes_on else commit(given.revision or "HEAD")
    if given.skypilot:
        send_revision(folder, revision)
        settings = {"SEEPSEG_RUN": given.run, "SEEPSEG_REMOTE": remote, "SEEPSEG_COMMAND": command}
        words = ["sky", "jobs", "launch", "ec2/sky.yaml", "--name", given.run, "--detach-run", "--yes"]
        for name, value in settings.items():
            words += ["--env", f"{name}={value}"]
        print(f"Commit {revision[:7]} is in {folder.url}. In this folder:\n{shlex.join(words)}")
        return
    tags = {
        TAG: given.run,
        "seepseg-command": command,
        "seepseg-repository": folder.revision_bundle,
        "seepseg-revision": revision,
        "seepseg-remote": remote,
        "seepseg-time-limit": given.time_limit,
    }
    check_tags(tags)
    order = Order(given.instance_type, not given.on_demand, given.image, given.disk_gb)
    asked = request(order, tags)
    if not goes_on:
        send_revision(folder, revision)
    instance = client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    kind = f"{order.type}, {'spot' if order.spot else 'on-demand'}"
    if goes_on and git("rev-parse", "HEAD") != revision:
        print("HEAD is another commit: --revision HEAD runs that")
    print(
        f"{given.run}: machine {instance} ({kind}) starts in {region()}"
        f"{' and goes on' if before else ''}, commit {revision[:7]}: {command}\n"
        f"It shuts down when the run is done, or after {given.time_limit}. Next:\n"
        f"  python -m ec2 show {given.run}     how far it is, and its log\n"
        f"  python -m ec2 fetch {given.run}    its results, when it is done\n"
        f"  python -m ec2 stop {given.run}     end it now"
    )
    folder.write_state(State("running", instance, command, revision, f"launched on a machine of type {kind}"))


def check_is_free(folder: RunFolder, before: State | None) -> None:
    """Is there nothing yet under this name, or what can go on?

    Raises:
        InputError: such a run has a machine, or is done.
    """
    name = folder.name
    if up := machines(name):
        raise InputError(
            f"run {name} has a machine already: {up[0]}. Take another name, or end it first: python -m ec2 stop {name}"
        )
    if before and before.state == "done":
        raise InputError(f"run {name} is done since {before.time}: python -m ec2 fetch {name}, or take another name")


def check_command(name: str, command: str) -> None:
    """Is it a command that a machine runs?

    Raises:
        InputError: there is none, or it is another one.
    """
    if not command:
        raise InputError(f"which command? As python -m ec2 launch {name} -- dvc exp run -S train.epochs=100")
    completed(command, name)


def check_time_limit(limit: str) -> None:
    """Is it a duration?

    Raises:
        InputError: it is not.
    """
    if not re.fullmatch(r"[1-9][0-9]*[mhd]", limit):
        raise InputError(f"expected a time limit in minutes, hours or days, as 90m, 24h or 2d; found '{limit}'")


def check_tags(tags: dict[str, str]) -> None:
    """Does EC2 take these values?

    Raises:
        InputError: it does not.
    """
    for key, value in tags.items():
        if len(value) > MAX_TAG:
            raise InputError(
                f"{key} has {len(value)} characters, and EC2 takes {MAX_TAG} in a tag: {value}\n"
                "Write parameters to params.yaml and commit it, instead of naming them in the command"
            )
        if not value.isprintable():
            raise InputError(f"{key} has characters that can't be printed, which no tag can carry: {value!r}")


def commit(revision: str) -> str:
    """The hash of a revision.

    Raises:
        InputError: there is none such; or it is HEAD, and tracked files differ from it.
    """
    found, head = (git("rev-parse", "--verify", "--quiet", f"{each}^{{commit}}") for each in (revision, "HEAD"))
    if not found:
        raise InputError(f"git knows no revision '{revision}'")
    if found == head and (changed := git("status", "--porcelain", "--untracked-files=no")):
        raise InputError(
            f"the machine gets what is committed, and these files have changed since:\n{changed}\n"
            "Commit them, or name a --revision without them"
        )
    return found


def git(*arguments: str) -> str:
    """What a git command prints; nothing if it fails."""
    return subprocess.run(["git", *arguments], check=False, capture_output=True, text=True).stdout.rstrip()


def send_revision(folder: RunFolder, revision: str) -> None:
    """Put a git bundle with a revision and its history into the run folder.

    Args:
        folder: of the run.
        revision: a commit.
    """
    with tempfile.TemporaryDirectory() as temporary:
        # A bundle holds refs. A clone that shares the objects gets one, so that the user's own repository gets none.
        clone, bundle = f"{temporary}/clone", f"{temporary}/revision.bundle"
        run = ["git", "clone", "--quiet", "--bare", "--shared", git("rev-parse", "--show-toplevel"), clone]
        subprocess.run(run, check=True)
        subprocess.run(["git", "-C", clone, "update-ref", "--no-deref", "HEAD", revision], check=True)
        subprocess.run(["git", "-C", clone, "bundle", "create", "--quiet", bundle, "HEAD"], check=True)
        folder.files.put_file(bundle, folder.revision_bundle)


def request(order: Order, tags: dict[str, str]) -> dict[str, Any]:
    """The arguments of RunInstances.

    Raises:
        InputError: the first-boot script is too large.
    """
    user_data = USER_DATA.read_text(encoding="utf-8")
    if (size := len(user_data.encode())) >= MAX_USER_DATA:
        raise InputError(f"{USER_DATA} has {size} bytes, and EC2 takes less than {MAX_USER_DATA}")
    image = image_id(order.image)
    disk = {"VolumeSize": order.disk, "VolumeType": "gp3", "DeleteOnTermination": True}
    found: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": order.type,
        "MinCount": 1,
        "MaxCount": 1,
        "IamInstanceProfile": {"Name": WORKER},
        "SecurityGroups": [WORKER],
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "InstanceMetadataTags": "enabled"},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "BlockDeviceMappings": [{"DeviceName": root_device(image), "Ebs": disk}],
        "UserData": user_data,  # botocore encodes it
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    }
    if order.spot:
        once = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        found["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": once}
    return found


def image_id(image: str) -> str:
    """The id of an image that is given as such, or as an SSM parameter."""
    if image.startswith("ami-"):
        return image
    value: str = client("ssm").get_parameter(Name=image)["Parameter"]["Value"]
    return value


def root_device(image: str) -> str:
    """The name of an image's root device, which the disk replaces."""
    images = client("ec2").describe_images(ImageIds=[image])["Images"]
    if not images:
        raise InputError(f"there is no image {image} in {region()}: images have another id in each region")
    name: str = images[0]["RootDeviceName"]
    return name
