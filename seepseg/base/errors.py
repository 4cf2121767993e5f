"""Errors that a user can mend; `seepseg.base.command` says how they end a stage."""


class InputError(ValueError):
    """Something the user gave is not as it must be.

    The message says what was expected, what was found, where, and what to do; it is shown without a traceback.
    """


class StoppedError(Exception):
    """A stage was asked to stop and has kept what it did so far; the message says how far it came."""
