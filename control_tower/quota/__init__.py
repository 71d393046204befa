"""What a mission, its children and its user may still use, and what they have used."""
