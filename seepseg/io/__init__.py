"""Files of raw data as people have them: reading them, finding them, checking them, and the report of what is wrong."""
