"""From HDR pictures to weights: data set, training, evaluation."""
