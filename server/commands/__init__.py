"""The commands of `tower`, one a file."""
