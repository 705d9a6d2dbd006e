"""Tests mirror modules; clips.py has the pixels."""
