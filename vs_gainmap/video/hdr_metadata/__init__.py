"""HDR10 and HDR10+ metadata, written into bitstreams and container headers."""
