"""Staged views: people and things in front of HDR panoramas, lit by them, rendered by Blender.

`description` says what is in a scene, `draw*` draw one from a seed, `parts` and what it calls
turn it into meshes; all of that is numpy. `blender` renders it, `command` fills a folder.
"""
