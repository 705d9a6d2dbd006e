"""The data set layout of the GMNet paper."""
