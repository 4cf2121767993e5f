"""Files of raw data as people have them: finding, reading and checking them, and the report of what is wrong with them.

Here a reader of another kind of file belongs (a module beside `tiff`, called by `raster`, which returns pixels or the
faults that forbid to use them), another check (a `FaultKind` in `report`, noted by `tile_checks`), another way to name
tiles (`tile_files`).
What became of the files, packed arrays, is `seepseg.data`.
"""
