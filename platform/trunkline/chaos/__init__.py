"""Kills and pauses against an App on the embedded servers, and what was lost, doubled, repeated and waited for."""
