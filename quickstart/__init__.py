"""The main job, from an empty machine to an image pulled in three zones: what `make up` does."""
