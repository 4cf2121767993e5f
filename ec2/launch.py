"""Launch a run on one EC2 instance: ``python -m ec2 launch RUN -- dvc exp run -S train.epochs=100``."""

import argparse
import shlex
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ec2.account import TAG, client, default_remote, region
from ec2.command import git
from ec2.launch_checks import (
    check_command,
    check_is_committed,
    check_is_free,
    check_is_no_revision,
    check_nothing_is_elsewhere,
    check_params,
    check_settings,
    check_tags,
)
from ec2.run_folder import Launch, RunFolder, State, unless_broken
from seepseg.base.errors import InputError

# Ubuntu 24.04 has Python 3.12; 22.04 has 3.10, which is too old.
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
USER_DATA = Path(__file__).with_name("user-data.sh")
MAX_USER_DATA = 16 * 2**10  # bytes, of EC2
WORKER = "seepseg-worker"  # instance profile and security group of ec2/account.yaml
# Of a run that is launched for the first time.
DEFAULTS: dict[str, Any] = {
    "instance_type": "g5.xlarge",
    "spot": True,
    "image": IMAGE,
    "disk_gb": 100,
    "time_limit": "24h",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be given at the command line."""
    parser.add_argument("run", help="name of the run, and of the DVC experiment")
    parser.add_argument(
        "--revision", help="commit, branch or tag to run (default: HEAD, or that of a run that goes on)"
    )
    parser.add_argument("--instance-type", help=f"(default: {DEFAULTS['instance_type']})")
    market = parser.add_mutually_exclusive_group()
    market.add_argument("--on-demand", dest="spot", action="store_false", help="costs more, and is not taken away")
    market.add_argument("--spot", action="store_true", help="(default)")
    parser.set_defaults(spot=None)
    parser.add_argument("--time-limit", help=f"when to stop and shut down (default: {DEFAULTS['time_limit']})")
    parser.add_argument("--image", help=f"ami-..., or SSM parameter with one (default: {IMAGE})")
    parser.add_argument("--disk-gb", type=int, help=f"(default: {DEFAULTS['disk_gb']})")
    parser.add_argument(
        "--skypilot", action="store_true", help="send the commit only, and say how SkyPilot launches it"
    )
    parser.add_argument(
        "--force", action="store_true", help="where nobody here can know whether the run has a machine: it has none"
    )
    parser.usage = "%(prog)s [options] RUN [-- dvc exp run -S train.epochs=100]"
    parser.epilog = "After --: the dvc command. A run that goes on knows its own, and its options."


def main(given: argparse.Namespace) -> None:
    """Check, send the revision, start the machine, and say what to do next."""
    remote = default_remote()
    folder = RunFolder(remote, given.run)
    before, launch_before = unless_broken(folder.read_state), unless_broken(folder.read_launch)
    if before is None:
        check_is_no_revision(given.run)
    check_is_free(folder, before)
    if not given.force:
        check_nothing_is_elsewhere(folder, before, launch_before, given.skypilot)
    command = shlex.join(given.command) or (before.command if before else "")
    check_command(given.run, command)
    launch = settings_of(given, launch_before)
    check_settings(launch)
    goes_on = before is not None and given.revision is None
    revision = before.revision if before and goes_on else given.revision or "HEAD"
    # SkyPilot's machines run the commit that was sent last.
    sends = not goes_on or given.skypilot or not folder.files.exists(folder.revision_bundle)
    if sends:
        revision = commit(revision)
    check_params(command, revision)
    if not goes_on:
        check_is_committed(revision)
    if given.skypilot:
        send_revision(folder, revision)
        folder.write_launch(launch)
        print(f"Commit {revision[:7]} is in {folder.url}. In this folder:\n{sky_command(given.run, remote, command)}")
        if launch_before and launch_before.skypilot:
            print("Not where sky jobs queue lists the run already: then SkyPilot goes on with it by itself")
    else:
        instance = start(folder, launch, remote, command, revision, sends)
        kind = f"{launch.instance_type}, {'spot' if launch.spot else 'on-demand'}"
        print(
            f"{given.run}: machine {instance} ({kind}) starts in {region()}"
            f"{' and goes on' if before else ''}, commit {revision[:7]}: {command}\n"
            f"It shuts down when the run is done, or after {launch.time_limit}. Next:\n"
            f"  python -m ec2 show {given.run}     how far it is, and its log\n"
            f"  python -m ec2 fetch {given.run}    its results, when it is done\n"
            f"  python -m ec2 stop {given.run}     end it now"
        )
        folder.write_launch(launch)
        folder.write_state(State("running", instance, command, revision, f"launched on a machine of type {kind}"))
    if goes_on:
        print_what_is_not_in_it(revision)


def start(folder: RunFolder, launch: Launch, remote: str, command: str, revision: str, sends: bool) -> str:
    """Start the machine of a run, and return its id.

    Args:
        folder: of the run.
        launch: how to.
        remote: of DVC.
        command: of the run.
        revision: a commit.
        sends: whether that has to be sent before.

    Raises:
        InputError: a setting is none that EC2 takes.
    """
    tags = {
        TAG: folder.name,
        "seepseg-command": command,
        "seepseg-repository": folder.revision_bundle,
        "seepseg-revision": revision,
        "seepseg-remote": remote,
        "seepseg-time-limit": launch.time_limit,
    }
    check_tags(tags)
    asked = request(launch, tags)
    if sends:
        send_revision(folder, revision)
    instance: str = client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    return instance


def sky_command(run: str, remote: str, command: str) -> str:
    """The command by which SkyPilot launches a run."""
    words = ["sky", "jobs", "launch", "ec2/sky.yaml", "--name", run, "--detach-run", "--yes"]
    for name, value in {"SEEPSEG_RUN": run, "SEEPSEG_REMOTE": remote, "SEEPSEG_COMMAND": command}.items():
        words += ["--env", f"{name}={value}"]
    return shlex.join(words)


def settings_of(given: argparse.Namespace, before: Launch | None) -> Launch:
    """How to launch: as the command line says, else as before, else by default."""
    taken = asdict(before) if before else DEFAULTS
    named = {name: vars(given)[name] for name in DEFAULTS if vars(given)[name] is not None}
    return Launch(**{**taken, **named, "region": region(), "skypilot": given.skypilot})


def commit(revision: str) -> str:
    """The hash of a revision.

    Raises:
        InputError: this clone has none such.
    """
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise InputError(f"git knows no revision '{revision}': bring it here (git fetch), or name another --revision")
    return found


def print_what_is_not_in_it(revision: str) -> None:
    """Note that the repository is ahead of the commit of a run that goes on."""
    head, changed = git("rev-parse", "HEAD"), git("diff", "--name-only", "HEAD").splitlines()
    ahead = [f"HEAD ({head[:7]})"] * (head != revision)
    if changed:
        ahead.append(f"what has changed in {', '.join(changed)}")
    if ahead:
        todo = "commit, then " if changed else ""
        print(f"note: not in it: {', '.join(ahead)}; to run that: stop this, {todo}launch with --revision HEAD")


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


def request(launch: Launch, tags: dict[str, str]) -> dict[str, Any]:
    """The arguments of RunInstances.

    Raises:
        InputError: the first-boot script is too large.
    """
    user_data = USER_DATA.read_text(encoding="utf-8")
    if (size := len(user_data.encode())) >= MAX_USER_DATA:
        raise InputError(f"{USER_DATA} has {size} bytes, and EC2 takes less than {MAX_USER_DATA}")
    image = image_id(launch.image)
    disk = {"VolumeSize": launch.disk_gb, "VolumeType": "gp3", "DeleteOnTermination": True}
    found: dict[str, Any] = {
        "ImageId": image,
        "InstanceType": launch.instance_type,
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
    if launch.spot:
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
