"""Bytes at rest: what a checkpoint holds and how it is kept in a job folder. No torch in here."""
