"""Who is asking, and may they: nothing here knows HTTP routes or storage."""
