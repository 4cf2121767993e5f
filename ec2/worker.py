"""The worker: runs the `dvc` command of a run on this machine, and hands what it has to the next one or to you.

    python -m ec2.worker

Takes SEEPSEG_RUN, SEEPSEG_COMMAND and SEEPSEG_REMOTE from the environment (see docs/ec2.md) and, if set, SEEPSEG_LOG, a
file that gets all that this prints, and SEEPSEG_ENDS, when this machine ends, in seconds since 1970. Brings data and
the records of earlier runs from the remote, so that no stage is repeated that any machine has run, and checkpoints from
the run folder. While the command runs, it sends checkpoints, finished stages and the log every few minutes, and watches
for the notice that EC2 takes a spot instance away.

Exit status: 0, all results are in the remote; 1, the command failed, and the log says why; 75, it was interrupted: the
same call, on any machine, goes on.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from threading import Event

from botocore.exceptions import BotoCoreError

from ec2.command import Command, call, completed
from ec2.gpu import check_gpu
from ec2.handover import Handover
from ec2.instance import Instance
from ec2.results import PUSH_STAGES, experiment, push_results, push_stages
from ec2.run_folder import RunFolder, State, Word
from seepseg.base.errors import InputError

DONE, FAILED, INTERRUPTED = 0, 1, os.EX_TEMPFAIL
SETTINGS = ("SEEPSEG_RUN", "SEEPSEG_COMMAND", "SEEPSEG_REMOTE")
REMOTE = "ec2"  # DVC's name for it, in the settings of this machine alone
WATCHED = 5  # seconds between looks for a notice, as EC2 recommends
LOGGED = 60  # seconds between uploads of the log
SENT = 600  # seconds between uploads of checkpoints and finished stages
TRIES, PAUSE = 3, 60  # of the last upload; seconds between them
S3_ERRORS = (OSError, BotoCoreError, subprocess.CalledProcessError)


class Worker:
    """One run on this machine.

    Args:
        environment: that has the settings.
        repository: its folder.

    Attributes:
        stop: set it to interrupt the run.

    Raises:
        InputError: a setting is missing or wrong.
    """

    def __init__(self, environment: Mapping[str, str], repository: Path) -> None:
        if missing := [name for name in SETTINGS if not environment.get(name)]:
            raise InputError(f"not set: {', '.join(missing)}; docs/ec2.md says what they mean")
        name, self.command, self.remote = (environment[setting] for setting in SETTINGS)
        self.words = completed(self.command, name)
        self.log = Path(log) if (log := environment.get("SEEPSEG_LOG")) else None
        self.folder = RunFolder(self.remote, name)
        self.handover = Handover(repository, self.folder)
        self.instance = Instance()
        self.identifier = self.instance.identifier() or gethostname()
        self.revision = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=repository, text=True).strip()
        self.ends = float(environment.get("SEEPSEG_ENDS", "inf"))
        self.stop = Event()
        self._pushing: subprocess.Popen[bytes] | None = None

    def work(self) -> int:
        """Do the run, or what is left of it; return the exit status."""
        self._tell("running", f"on {self.identifier}")
        self._prepare()
        print("$", shlex.join(self.words), flush=True)
        command = Command(self.words)
        interruption = self._watch(command)
        if interruption is not None:
            print(f"interrupted: {interruption}", flush=True)
            command.stop()
        stages = ", ".join(f"{command.outcomes[outcome]} {outcome}" for outcome in ("unchanged", "fetched", "run"))
        print(f"stages: {stages}", flush=True)
        if interruption is not None:
            return self._hand_over("interrupted", interruption, INTERRUPTED)
        if status := command.status():
            return self._hand_over("failed", f"the command ended with status {status}; the log says why", FAILED)
        self._send_results()
        return self._tell("done", f"stages: {stages}", DONE)

    def _prepare(self) -> None:
        """Bring what other machines have left."""
        check_gpu(self.command, self.instance.type())
        call("dvc", "remote", "add", "--local", "--default", "--force", REMOTE, self.remote)
        call("dvc", "remote", "modify", "--local", REMOTE, "verify", "true")
        call("dvc", "pull", "--run-cache", "--allow-missing")
        if brought := self.handover.fetch():
            print(f"checkpoints from the run folder: {brought} files", flush=True)
        call("git", "update-ref", "-d", experiment(self.folder.name))  # of a try whose results were not sent

    def _watch(self, command: Command) -> str | None:
        """Wait until the command ends, or must be stopped, and say why; meanwhile send what there is."""
        logged = sent = time.monotonic()
        while command.status() is None:
            if self.stop.wait(WATCHED):
                return "its time is over" if time.time() > self.ends else "this machine shuts down"
            if (when := self.instance.interruption()) is not None:
                return f"EC2 takes this spot instance away at {when}"
            try:
                if time.monotonic() > sent + SENT:
                    sent = time.monotonic()
                    self.handover.send()
                    self._start_pushing()
                if time.monotonic() > logged + LOGGED:
                    logged = time.monotonic()
                    self._send_log()
            except S3_ERRORS as error:  # there is a next time
                print(f"warning: {error}", flush=True)
        return None

    def _start_pushing(self) -> None:
        """Push finished stages in the background, as that may take longer than a notice leaves."""
        if self._pushing is not None and self._pushing.poll() is None:
            return
        if self._pushing is not None and self._pushing.returncode:
            print("warning: finished stages could not be pushed; trying again", flush=True)
        self._pushing = subprocess.Popen(PUSH_STAGES)

    def _hand_over(self, word: Word, message: str, status: int) -> int:
        """Send all that the next machine needs, what matters most first, as there may be little time."""
        if self._pushing is not None:
            self._pushing.terminate()
        with suppress(*S3_ERRORS):  # what is not sent is repeated
            self.handover.send()
        self._tell(word, message)
        with suppress(*S3_ERRORS):
            push_stages()
            self._send_log()
        return status

    def _send_results(self) -> None:
        """Send all that has come of the run; the network may fail for a while."""
        for tries_left in reversed(range(TRIES)):
            try:
                push_results(self.folder)
                self.handover.remove()
                return
            except S3_ERRORS as error:
                if not tries_left:
                    raise
                print(f"warning: {error}; trying again", flush=True)
                time.sleep(PAUSE)

    def _tell(self, word: Word, message: str, status: int = DONE) -> int:
        """Write the state of the run, and the log so far; return the exit status that goes with it."""
        print(f"{word}: {message}", flush=True)
        self.folder.write_state(State(word, self.identifier, self.command, self.revision, message))
        self._send_log()
        return status

    def _send_log(self) -> None:
        if self.log is not None and self.log.exists():
            self.folder.files.pipe_file(self.folder.log(self.identifier), self.log.read_bytes())

    def fail(self, message: str) -> int:
        """Say why this can't go on, in the run folder as well if that can be."""
        with suppress(*S3_ERRORS):
            return self._tell("failed", message, FAILED)
        return FAILED


def main() -> int:
    """Run the worker of this machine; return the exit status."""
    # For the commands to come: those of this environment, and a name for commits of experiments.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for role in ("AUTHOR", "COMMITTER"):
        os.environ.setdefault(f"GIT_{role}_NAME", "seepseg on EC2")
        os.environ.setdefault(f"GIT_{role}_EMAIL", "seepseg@localhost")
    try:
        worker = Worker(os.environ, Path())
    except InputError as error:
        print(f"error: {error}", flush=True)
        return FAILED
    signal.signal(signal.SIGTERM, lambda number, frame: worker.stop.set())
    try:
        return worker.work()
    except subprocess.CalledProcessError as error:
        return worker.fail(f"{shlex.join(error.cmd)} ended with status {error.returncode}; the log says why")
    except (InputError, *S3_ERRORS) as error:
        return worker.fail(str(error))
    except Exception as error:  # a defect; whoever waits for this machine must know all the same
        traceback.print_exc()
        return worker.fail(f"{type(error).__name__}: {error}; the log says where")


if __name__ == "__main__":
    sys.exit(main())
