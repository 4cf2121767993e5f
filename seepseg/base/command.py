"""How a stage ends at the command line: one clear message and exit status 1 where the user can mend the cause."""

import errno
import sys
from collections.abc import Callable

from seepseg.base.errors import InputError, StoppedError

REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EROFS: "have it mounted for writing, or work elsewhere",
    errno.EACCES: "let this user read and write there",
    errno.EPERM: "let this user read and write there",
    errno.ENOTDIR: "a part of this name is a file, so name another folder",
}


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's main function; end with status 1 and one clear message where the user can mend the cause.

    Args:
        main: the stage. Raises `InputError` for wrong input and `OSError` for a full disk, a missing
            file or permission; any other exception is a defect of the program and keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        sys.stdout.flush()
        sys.exit(f"error: {error}")
    except StoppedError as stop:
        sys.stdout.flush()
        sys.exit(f"stopped: {stop}")
    except OSError as error:
        sys.stdout.flush()
        where = f": {error.filename}" if error.filename else ""
        remedy = REMEDIES.get(error.errno or 0)
        sys.exit(f"error: {error.strerror or error}{where}" + (f"; {remedy} and run this again" if remedy else ""))
    except KeyboardInterrupt:
        sys.exit("interrupted")
