"""What a user calls, ``seepseg NAME`` or ``python -m seepseg NAME``: a module for each command; argparse here alone."""
