"""Color: transfer curves, primaries and the code points of ITU-T H.273; no VapourSynth."""
