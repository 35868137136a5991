"""The network that ranks: fitted by scikit-learn, written as ONNX.

One network with two hidden layers gives all five probabilities, so that what is rare (a share) learns from what is
common (a look). What comes in is centred and scaled within the graph: who runs it brings features as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sinks.ranking_models import INPUT, OUTPUT
from streams.ranking import FEATURES, HEADS, Numbers

HIDDEN = (32, 16)
_EPOCHS, _PATIENCE, _LEAST_GAIN = 60, 4, 1e-4
_HELD = 0.1
"""Of what is learnt from, the newest part, which says when to stop."""
_OPSET, _IR = 17, 8

Truth = npt.NDArray[np.bool_]


class Network(NamedTuple):
    """Weights and biases by layer, the first after centring by ``mean`` and dividing by ``scale``."""

    mean: Numbers
    scale: Numbers
    weights: Sequence[Numbers]
    biases: Sequence[Numbers]
    epochs: int

    def probabilities(self, features: Numbers) -> Numbers:
        """float32, (rows, ``HEADS``): what the ONNX graph gives, by numpy."""
        found = (features - self.mean) / self.scale
        for n, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            found = found @ weights + biases
            if n < len(self.weights) - 1:
                found = np.maximum(found, 0)
        return np.asarray(1 / (1 + np.exp(-found)), dtype=np.float32)

    def onnx(self) -> bytes:
        """The network as an ONNX file, for any number of rows."""
        from onnx import TensorProto, checker, helper, numpy_helper

        tensors = {"mean": self.mean, "scale": self.scale}
        nodes = [
            helper.make_node("Sub", [INPUT, "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["x0"]),
        ]
        last = len(self.weights) - 1
        for n, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            tensors |= {f"weights{n}": weights, f"biases{n}": biases}
            nodes.append(helper.make_node("Gemm", [f"x{n}", f"weights{n}", f"biases{n}"], [f"sum{n}"]))
            after = ("Relu", f"x{n + 1}") if n < last else ("Sigmoid", OUTPUT)
            nodes.append(helper.make_node(after[0], [f"sum{n}"], [after[1]]))
        graph = helper.make_graph(
            nodes,
            "ranking",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["posts", len(FEATURES)])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["posts", len(HEADS)])],
            [numpy_helper.from_array(value, name) for name, value in tensors.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="shutterlog")
        checker.check_model(model)
        written: bytes = model.SerializeToString()
        return written


def fit(features: Numbers, done: Truth, *, seed: int = 1) -> Network:
    """Learn from rows in the order of time: as many epochs as what is held back gets better by. On one thread: layers
    this small are multiplied sooner than threads are woken."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _fit(features, done, seed)


def _fit(features: Numbers, done: Truth, seed: int) -> Network:
    from sklearn.neural_network import MLPClassifier

    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = features.std(axis=0, dtype=np.float64).astype(np.float32)
    scale = np.where(spread > 1e-6, spread, np.float32(1)).astype(np.float32)
    scaled, truth = (features - mean) / scale, done.astype(np.int64)
    cut = len(scaled) - max(int(len(scaled) * _HELD), 1)
    # Batches are shuffled by the seed alone: the same rows give the same model.
    learner: Any = MLPClassifier(
        hidden_layer_sizes=HIDDEN, learning_rate_init=2e-3, alpha=1e-4, batch_size=min(256, cut), random_state=seed
    )
    best: Network | None = None
    least, waited = float("inf"), 0
    for epoch in range(1, _EPOCHS + 1):
        learner.partial_fit(scaled[:cut], truth[:cut], classes=np.arange(len(HEADS)))
        weights = [np.asarray(one, dtype=np.float32) for one in learner.coefs_]
        biases = [np.asarray(one, dtype=np.float32) for one in learner.intercepts_]
        now = Network(mean, scale, weights, biases, epoch)
        loss = log_loss(now.probabilities(features[cut:]), done[cut:])
        if loss < least - _LEAST_GAIN:
            best, least, waited = now, loss, 0
        else:
            waited += 1
            if waited >= _PATIENCE:
                break
    return best or now


def log_loss(probabilities: Numbers, done: Truth) -> float:
    """Mean over rows and heads, in nats."""
    sure = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.where(done, np.log(sure), np.log(1 - sure)).mean())
