"""8- to 16-bit SDR planes and a small gain map to 10-bit PQ planes in one pass over memory.

Compiled at run time by Numba: rows of a picture stay in the core's cache from the first step to
the last, where a graph of filters writes each step's picture out and reads it again.
"""
