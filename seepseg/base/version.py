"""The version of this software, which results tell of."""

VERSION = "0.1.0"
