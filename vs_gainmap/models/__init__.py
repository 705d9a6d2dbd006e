"""Networks that predict a gain map, by name."""

from vs_gainmap.models.gmnet import GMNet

MODELS = {"gmnet": GMNet}

__all__ = ["MODELS", "GMNet"]
