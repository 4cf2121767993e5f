"""Commands on the machine of a run: the one that the run is, with all its processes, and those around it."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from threading import Thread
from typing import IO

from seepseg.base.errors import InputError

FETCHING = ["--pull", "--allow-missing"]  # from the remote what a stage needs, and no more
REFUSED = {"--name", "--queue", "--run-all", "--temp"}
PATIENCE = 60  # seconds that a stage gets for its checkpoint
OUTCOMES = {  # of stages, as DVC 3.67 tells them
    "run": re.compile(r"Running stage '.+':"),
    "fetched": re.compile(r"Stage '.+' is cached - skipping run"),
    "unchanged": re.compile(r"Stage '.+' didn't change, skipping"),
}


def completed(command: str, name: str) -> list[str]:
    """The command as this machine runs it.

    Args:
        command: `dvc repro` or `dvc exp run`, with options.
        name: of the run, which the experiment gets as well.

    Returns:
        Its words, as an experiment that fetches from the remote.

    Raises:
        InputError: it is another command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"the command of a run can't be read, {error}: {command}") from None
    if words[:2] == ["dvc", "repro"]:
        options = words[2:]
    elif words[:3] in (["dvc", "exp", "run"], ["dvc", "experiments", "run"]):
        options = words[3:]
    else:
        raise InputError(
            f"the command of a run is 'dvc repro' or 'dvc exp run', with options; found: {command or 'none'}"
        )
    for word in options:
        if word.split("=")[0] in REFUSED or word.startswith("-n"):
            raise InputError(f"a run on EC2 is one experiment of its own name, without {word}; found: {command}")
    return ["dvc", "exp", "run", *FETCHING, "--name", name, *options]


class Command:
    """A command that is running; what it says is passed on.

    Args:
        words: of the command.

    Attributes:
        outcomes: how many stages were run, fetched and unchanged so far.
    """

    def __init__(self, words: list[str]) -> None:
        self.outcomes: Counter[str] = Counter()
        # In a session of its own, so that all of its processes can be stopped together.
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._listener = Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def _listen(self, said: IO[bytes]) -> None:
        for line in said:
            text = line.decode(errors="replace")
            self.outcomes.update(outcome for outcome, pattern in OUTCOMES.items() if pattern.match(text))
            print(text, end="", flush=True)

    def status(self) -> int | None:
        """Its exit status; none while it runs."""
        status = self._process.poll()
        if status is not None:
            self._listener.join(timeout=30)  # a process that was left behind may hold what this one wrote to
        return status

    def stop(self) -> None:
        """Ask all of its processes to end, which lets a training leave a checkpoint; end those that don't."""
        self._signal(signal.SIGTERM)
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and self._is_there():
            time.sleep(0.2)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _is_there(self) -> bool:
        self._process.poll()  # else it stays as a zombie
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def call(*words: str) -> None:
    """Run another command to its end.

    Args:
        words: of it.

    Raises:
        CalledProcessError: it failed, and has said why.
    """
    print("$", shlex.join(words), flush=True)
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def git(*arguments: str) -> str:
    """What a git command prints; nothing if it fails."""
    return subprocess.run(["git", *arguments], check=False, capture_output=True, text=True).stdout.rstrip()
