"""The run folder: all that a machine and those who wait for it tell each other, under DVC's remote."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeVar, get_args

import s3fs
from botocore.exceptions import ClientError

from seepseg.base.errors import InputError

Word = Literal["running", "interrupted", "failed", "done"]

# What DVC and git take as the name of an experiment, and S3 and tags as well.
NAME = re.compile(r"(?!.*(\.\.|\.lock$|\.$))[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        state: the state in one word.
        instance: id of the EC2 instance that said so.
        command: the `dvc` command of the run.
        revision: the commit that it started from.
        message: what there is to add for people.
        time: when it was said, ISO 8601 in UTC.
    """

    state: Word
    instance: str
    command: str
    revision: str
    message: str = ""
    time: str = field(default_factory=now)


@dataclass(frozen=True)
class Launch:
    """How a run was launched last, and so is launched again.

    Attributes:
        instance_type: as `g5.xlarge`.
        spot: rather than on demand.
        image: `ami-...`, or the name of an SSM parameter that holds it.
        disk_gb: size of the disk.
        time_limit: when the machine stops, as `24h`.
        region: of the machine.
        skypilot: SkyPilot starts the machines of the run, of types and in regions that it chooses.
    """

    instance_type: str
    spot: bool
    image: str
    disk_gb: int
    time_limit: str
    region: str
    skypilot: bool


Record = TypeVar("Record", State, Launch)


class RunFolder:
    """The folder of one run, `<remote>/ec2/<name>`; all paths are addresses on S3.

    Attributes:
        files: the file system, which asks S3 each time: other machines write to the folder as well.
        url: of the folder.
        revision_bundle: git bundle with the revision to run.
        results_bundle: git bundle with the experiment.
        state_file: `State` as JSON.
        launch_file: `Launch` as JSON; none where a run was launched by hand.
        logs: folder with one text file per instance.
        checkpoints: folder with the state of interrupted trainings.
    """

    def __init__(self, remote_url: str, name: str) -> None:
        """Name the paths; nothing is read.

        Args:
            remote_url: DVC's remote, `s3://bucket/prefix`.
            name: of the run.

        Raises:
            InputError: it is no name for a run, or the remote is not on S3.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"the name of a run is made of up to 100 letters, digits, '-', '_' and '.', begins with a letter or "
                f"digit, has no '..' and ends neither in '.' nor in '.lock'; found '{name}'"
            )
        self.name = name
        self.url = f"{runs_url(remote_url)}/{name}"
        self.files = s3fs.S3FileSystem(use_listings_cache=False)
        self.revision_bundle = f"{self.url}/revision.bundle"
        self.results_bundle = f"{self.url}/results.bundle"
        self.state_file = f"{self.url}/state.json"
        self.launch_file = f"{self.url}/launch.json"
        self.logs = f"{self.url}/logs"
        self.checkpoints = f"{self.url}/checkpoints"

    def log(self, instance: str) -> str:
        """Where the log of an instance lies."""
        return f"{self.logs}/{instance}.txt"

    def read_state(self) -> State | None:
        """The last state that was written, none where there is none yet.

        Raises:
            InputError: the file holds something else.
        """
        state = self._read(self.state_file, State, "state of a run")
        if state and state.state not in get_args(Word):
            raise InputError(f"{self.state_file}: expected one of {', '.join(get_args(Word))}, found '{state.state}'")
        return state

    def write_state(self, state: State) -> None:
        """Write the state; whoever reads sees the old or the new one, never a part."""
        self._write(self.state_file, state)

    def read_launch(self) -> Launch | None:
        """How the run was launched last, none where it was by hand, or never.

        Raises:
            InputError: the file holds something else.
        """
        return self._read(self.launch_file, Launch, "settings of a launch")

    def write_launch(self, launch: Launch) -> None:
        """Write how the run was launched."""
        self._write(self.launch_file, launch)

    def _read(self, path: str, kind: type[Record], what: str) -> Record | None:
        try:
            # At once, as s3fs asks for the size first otherwise, and S3 does not say why it refuses that.
            content = self.files.cat_file(path, max_concurrency=1)
        except FileNotFoundError as error:
            check_bucket(error)
            return None
        try:
            return kind(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{path} holds no {what} ({error}): launch the run again with its command, which overwrites it"
            ) from None

    def _write(self, path: str, record: State | Launch) -> None:
        self.files.pipe_file(path, json.dumps(asdict(record), indent=2).encode())


def unless_broken(read: Callable[[], Record | None]) -> Record | None:
    """What `RunFolder.read_state` or `read_launch` finds; none as well where the file holds something else."""
    try:
        return read()
    except InputError:
        return None


def check_bucket(error: FileNotFoundError) -> None:
    """Is it only a file that is missing?

    Raises:
        FileNotFoundError: the bucket is.
    """
    said = error.__cause__
    if isinstance(said, ClientError) and said.response["Error"].get("Code") == "NoSuchBucket":
        raise error


def runs_url(remote_url: str) -> str:
    """Where the folders of all runs lie.

    Raises:
        InputError: the remote is not on S3.
    """
    if not re.fullmatch(r"s3://[^/]+(/.*)?", remote_url):
        raise InputError(f"runs on EC2 need a DVC remote on S3, as s3://my-bucket/seepseg; found '{remote_url}'")
    return f"{remote_url.rstrip('/')}/ec2"
