"""Commands for those who work on seepseg; no stage and no library."""
