"""SDR video to HDR10 with a learned gain map, as VapourSynth filters."""
