"""The VapourSynth filters; `vs_gainmap` exports the public ones."""
