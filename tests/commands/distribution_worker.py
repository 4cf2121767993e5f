"""What the tests of `seepseg.commands.distribution` have workers do; they import it."""

import os
import signal
import time
from pathlib import Path

from seepseg.base.errors import InputError


def square(number):
    if number < 0:
        raise InputError(f"{number}: expected no negative number")
    return number**2, os.getpid()


def slow_square(number):
    time.sleep(0.2)
    return square(number)


def hang_once(path):
    """Hang where it is called first on a path; the process that hangs stands in the file."""
    path = Path(path)
    if path.exists():
        return f"{path.name} done"
    path.write_text(str(os.getpid()))
    time.sleep(120)
    return "never"


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)
