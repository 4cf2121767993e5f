"""What a user calls, ``seepseg NAME`` or ``python -m seepseg NAME``: one module for each command; argparse here alone."""
