"""What a run leaves on disk: file names, checkpoints, journal."""
