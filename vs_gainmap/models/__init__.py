"""Networks that predict a gain map, by name.

A model has `analyze` (thumbnail -> features, a named tuple that ends in qmax_norm), `predict` (SDR
signal and features -> gain map) and `from_state_dict`.
"""

from vs_gainmap.models.gmnet import GMNet
from vs_gainmap.models.gridnet import GridNet

Model = GMNet | GridNet
MODELS: dict[str, type[GMNet] | type[GridNet]] = {"gmnet": GMNet, "grid": GridNet}

__all__ = ["MODELS", "GMNet", "GridNet", "Model"]
