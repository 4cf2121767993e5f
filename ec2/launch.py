"""Launch a run on one EC2 instance: ``python -m ec2 launch RUN -- dvc exp run -S train.epochs=100``."""

import argparse
import difflib
import os.path
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ec2.account import TAG, client, default_remote, elsewhere, machines, region
from ec2.command import completed
from ec2.run_folder import Launch, RunFolder, State, unless_broken
from seepseg.base.errors import InputError

# Ubuntu 24.04 has Python 3.12; 22.04 has 3.10, which is too old.
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
USER_DATA = Path(__file__).with_name("user-data.sh")
MAX_USER_DATA = 16 * 2**10  # bytes, of EC2
MAX_TAG = 256  # characters, of EC2
# Of dvc exp run -S; a list, a part of one, or a key to delete is left to DVC.
PARAM = re.compile(r"(?:params\.yaml:)?(?P<new>\+{0,2})(?P<key>\w+(?:\.\w+)*)=(?P<value>.*)", re.DOTALL)
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
        if goes_on:
            print_what_is_not_in_it(revision)
        if launch_before and launch_before.skypilot:
            print("Not where sky jobs queue lists the run already: then SkyPilot goes on with it by itself")
        return
    tags = {
        TAG: given.run,
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
    instance = client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    kind = f"{launch.instance_type}, {'spot' if launch.spot else 'on-demand'}"
    print(
        f"{given.run}: machine {instance} ({kind}) starts in {region()}"
        f"{' and goes on' if before else ''}, commit {revision[:7]}: {command}\n"
        f"It shuts down when the run is done, or after {launch.time_limit}. Next:\n"
        f"  python -m ec2 show {given.run}     how far it is, and its log\n"
        f"  python -m ec2 fetch {given.run}    its results, when it is done\n"
        f"  python -m ec2 stop {given.run}     end it now"
    )
    if goes_on:
        print_what_is_not_in_it(revision)
    folder.write_launch(launch)
    folder.write_state(State("running", instance, command, revision, f"launched on a machine of type {kind}"))


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


def check_is_no_revision(name: str) -> None:
    """Is this the name of nothing else in git?

    Raises:
        InputError: it is; `dvc exp apply` would take that.
    """
    if git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
        raise InputError(
            f"git has a branch, tag or commit {name}, which dvc exp apply would take: name the run otherwise"
        )


def check_is_free(folder: RunFolder, before: State | None) -> None:
    """Is there nothing yet under this name, or what can go on?

    Raises:
        InputError: such a run has a machine, or is done.
    """
    name, up = folder.name, machines(folder.name)
    if lasting := [each for each in up if not each.ends]:
        raise InputError(
            f"run {name} has a machine already: {lasting[0]}. Take another name, or end it first: "
            f"python -m ec2 stop {name}"
        )
    if up:
        raise InputError(f"machine {up[0].id} of run {name} is ending; launch again in a minute or two")
    if before and before.state == "done":
        raise InputError(f"run {name} is done since {before.time}: python -m ec2 fetch {name}, or take another name")


def check_nothing_is_elsewhere(
    folder: RunFolder, before: State | None, launch: Launch | None, by_skypilot: bool
) -> None:
    """Can the run have no machine where nobody here looks?

    Raises:
        InputError: it may have one.
    """
    where, running = elsewhere(launch), before is not None and before.state == "running"
    if launch is None:
        may_have, where = running, "as it was launched by hand, perhaps in another region"
        todo = "Look in the EC2 console. If it is in no region"
    elif launch.skypilot:  # which goes on with what is interrupted, and tries once more what has failed
        may_have, todo = not by_skypilot, "If it isn't listed there"
    else:
        may_have = running and where is not None
        todo = f"Look there: AWS_DEFAULT_REGION={launch.region} python -m ec2 show {folder.name}. If it is gone"
    if may_have:
        raise InputError(
            f"run {folder.name} may have a machine, {where}. Of two machines, the first one that is done deletes the "
            f"other's checkpoints. {todo}, launch with --force"
        )


def check_command(name: str, command: str) -> None:
    """Is it a command that a machine runs?

    Raises:
        InputError: there is none, or it is another one.
    """
    if not command:
        raise InputError(f"which command? As python -m ec2 launch {name} -- dvc exp run -S train.epochs=100")
    completed(command, name)


def check_params(command: str, revision: str) -> None:
    """Can the parameters that a command sets be meant?

    Args:
        command: of the run.
        revision: that has params.yaml; where this clone has it not, keys are not checked.

    Raises:
        InputError: one is not in params.yaml, or leads to files that the machine doesn't see.
    """
    parser = argparse.ArgumentParser("dvc exp run", add_help=False, allow_abbrev=False)
    parser.add_argument("-S", "--set-param", action="append", default=[])
    given, _ = parser.parse_known_args(shlex.split(command))
    params = yaml.safe_load(git("show", f"{revision}:params.yaml"))
    known = set(keys(params))
    for param in filter(None, map(PARAM.fullmatch, given.set_param)):
        key, value = param["key"], param["value"].strip("'\"")
        path = Path(os.path.normpath(value))
        if path.is_absolute() or path.parts[:1] in {("..",), ("~",)}:
            raise InputError(
                f"{key}={value} leads out of the repository, and the machine sees only what is inside, under DVC: "
                "docs/own-data.md tells how"
            )
        # Below the sections of params.yaml there are tables that take any name, as data.grid_columns.
        adds = param["new"] and key.count(".") > 1 and key.rpartition(".")[0] in known
        if known and key not in known and not adds:
            near = difflib.get_close_matches(key, known, n=1)
            raise InputError(f"params.yaml has no {key}" + (f"; did you mean {near[0]}?" if near else ""))


def keys(params: Any, within: str = "") -> Iterator[str]:
    """The keys of parameters, as `train` and `train.epochs`."""
    for name, value in params.items() if isinstance(params, dict) else ():
        yield f"{within}{name}"
        yield from keys(value, f"{within}{name}.")


def check_settings(launch: Launch) -> None:
    """Are time limit and disk such?

    Raises:
        InputError: one is not.
    """
    if not re.fullmatch(r"[1-9][0-9]*[mhd]", launch.time_limit):
        raise InputError(
            f"expected a time limit in minutes, hours or days, as 90m, 24h or 2d; found '{launch.time_limit}'"
        )
    if launch.disk_gb < 1:
        raise InputError(f"expected a disk of at least 1 GB; found --disk-gb {launch.disk_gb}")


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
        InputError: this clone has none such.
    """
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if not found:
        raise InputError(f"git knows no revision '{revision}': bring it here (git fetch), or name another --revision")
    return found


def check_is_committed(revision: str) -> None:
    """Is this commit what its user sees?

    Raises:
        InputError: it is HEAD, and tracked files differ from it.
    """
    head = git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if revision == head and (changed := git("status", "--porcelain", "--untracked-files=no")):
        raise InputError(
            f"the machine gets what is committed, and these files have changed since:\n{changed}\n"
            "Commit them, or name a --revision without them"
        )


def print_what_is_not_in_it(revision: str) -> None:
    """Note that the repository is ahead of the commit of a run that goes on."""
    head, changed = git("rev-parse", "HEAD"), git("diff", "--name-only", "HEAD").splitlines()
    ahead = [f"HEAD ({head[:7]})"] * (head != revision)
    if changed:
        ahead.append(f"what has changed in {', '.join(changed)}")
    if ahead:
        todo = "commit, then " if changed else ""
        print(f"note: not in it: {', '.join(ahead)}; to run that: stop this, {todo}launch with --revision HEAD")


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
