"""HDR pictures, and the SDR pairs that are made of them."""
