"""Makes the files of this folder: small networks with seeded weights, and what onnx's own reference says of them.

    python3 -m venv venv && venv/bin/pip install numpy onnx && venv/bin/python onnx/samples/make.py

Each NAME.onnx has a NAME.txt: a line `in SHAPE : VALUES`, then a line `NAME SHAPE : VALUES` for each output.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = pathlib.Path(__file__).parent
LENGTH = 12


class Graph:
    """Nodes and weights, as they come."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def name(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def weight(self, *shape, scale=0.4):
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def constant(self, values):
        name = self.name("w")
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, operator, *inputs, outputs=1, **settings):
        names = [self.name(operator.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **settings))
        return names[0] if outputs == 1 else names

    def write(self, stem, shape, outputs, declared=None, version=13):
        source = helper.make_tensor_value_info("input", TensorProto.FLOAT, declared or shape)
        opset = [helper.make_opsetid("", version)]

        def model(shapes):
            ports = [helper.make_tensor_value_info(name, kind, shape) for (name, kind), shape in zip(outputs, shapes)]
            graph = helper.make_graph(self.nodes, stem, [source], ports, self.weights)
            return helper.make_model(graph, producer_name="make.py", opset_imports=opset, ir_version=8)

        values = self.random.standard_normal(shape).astype(np.float32)
        found = ReferenceEvaluator(model([None] * len(outputs))).run(None, {"input": values})
        whole = model([value.shape for value in found])
        onnx.checker.check_model(whole)
        (HERE / f"{stem}.onnx").write_bytes(whole.SerializeToString())
        line = lambda name, values: f"{name} {','.join(map(str, values.shape))} : " + " ".join(
            repr(float(value)) for value in np.asarray(values).ravel()
        )
        lines = [line("in", values)] + [line(name, found) for (name, _), found in zip(outputs, found)]
        (HERE / f"{stem}.txt").write_text("\n".join(lines) + "\n")

    def error(self, back):
        """The mean square of what was reconstructed wrongly, as the one number of the row."""
        off = self.node("Sub", "input", back)
        mean = self.node("ReduceMean", self.node("Mul", off, off), axes=[1, 2], keepdims=0)
        self.nodes.append(helper.make_node("Identity", [mean], ["reconstruction_error"]))
        return [("reconstruction_error", TensorProto.FLOAT)]


def dense():
    graph = Graph(1)
    row = graph.node("Flatten", "input")
    small = graph.node("Relu", graph.node("Gemm", row, graph.weight(4, LENGTH), graph.weight(4), transB=1))
    wide = graph.node("Add", graph.node("MatMul", small, graph.weight(4, LENGTH)), graph.weight(LENGTH))
    back = graph.node("Reshape", wide, graph.constant(np.array([-1, LENGTH, 1], np.int64)))
    graph.write("dense", [1, LENGTH, 1], graph.error(back), declared=["N", LENGTH, 1])


def recurrent(stem, operator, gates, seed, **settings):
    """As Keras' encoder and decoder: the last state, repeated, and a value a step."""
    graph = Graph(seed)
    layer = lambda x, size, hidden: graph.node(
        operator, x, graph.weight(1, gates * hidden, size), graph.weight(1, gates * hidden, hidden),
        graph.weight(1, 2 * gates * hidden), outputs=2, hidden_size=hidden, **settings,
    )
    steps = graph.node("Transpose", "input", perm=[1, 0, 2])
    _, last = layer(steps, 1, 5)
    repeated = graph.node("Tile", last, graph.constant(np.array([LENGTH, 1, 1], np.int64)))
    every, _ = layer(repeated, 5, 6)
    rows = graph.node("Transpose", graph.node("Squeeze", every, graph.constant(np.array([1], np.int64))), perm=[1, 0, 2])
    back = graph.node("Add", graph.node("MatMul", rows, graph.weight(6, 1)), graph.weight(1))
    graph.write(stem, [1, LENGTH, 1], graph.error(back))


def convolution():
    graph = Graph(5)
    rows = graph.node("Transpose", "input", perm=[0, 2, 1])
    first = graph.node("Conv", rows, graph.weight(3, 1, 3), graph.weight(3), kernel_shape=[3], pads=[1, 1], strides=[2])
    first = graph.node("LeakyRelu", first, alpha=0.1)
    parts = [graph.weight(3), graph.weight(3), graph.weight(3), graph.constant(np.array([0.5, 1.0, 2.0], np.float32))]
    normal = graph.node("BatchNormalization", first, *parts)
    wide = graph.node("Conv", normal, graph.weight(6, 1, 2), kernel_shape=[2], dilations=[2], group=3, pads=[2, 0])
    back = graph.node("Reshape", wide, graph.constant(np.array([1, -1, 1], np.int64)))
    back = graph.node("Slice", back, *[graph.constant(np.array([one], np.int64)) for one in (0, LENGTH, 1)])
    # The reference takes means of the batch itself into account before version 14.
    graph.write("convolution", [1, LENGTH, 1], graph.error(back), version=15)


def operators():
    """One output an operator, of the same input of 2 x 3 x 4."""
    graph = Graph(6)
    numbers = lambda *values: graph.constant(np.array(values, np.int64))
    both, positive = graph.weight(3, 1, scale=1.0), graph.node("Abs", "input")
    shape = graph.node("Shape", "input")
    found = [graph.node(name, "input") for name in ("Neg", "Exp", "Relu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus")]
    found += [graph.node(name, positive) for name in ("Sqrt", "Log", "Reciprocal")]
    found += [graph.node(name, "input", both) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min")]
    found += [graph.node("Pow", positive, both), graph.node("Pow", "input", numbers(2))]
    found += [graph.node("Clip", "input", graph.constant(np.float32(-0.5)), graph.constant(np.float32(0.7)))]
    for name in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"):
        found += [graph.node(name, "input", axes=[-1]), graph.node(name, "input", axes=[0, 2], keepdims=0)]
    found += [graph.node("ReduceSum", "input", numbers(1)), graph.node("ReduceSum", "input", keepdims=0)]
    found += [graph.node("Softmax", "input"), graph.node("Softmax", "input", axis=1)]
    found += [graph.node("MatMul", "input", graph.weight(4, 5)), graph.node("MatMul", "input", graph.weight(2, 4, 2))]
    found += [graph.node("MatMul", "input", graph.weight(4)), graph.node("Transpose", "input", perm=[2, 0, 1])]
    found += [graph.node("Slice", "input", numbers(3, 0), numbers(-(2**63), 2**63 - 1), numbers(2, 1), numbers(-1, 2))]
    found += [graph.node("Gather", "input", numbers(2, 0, -1), axis=1), graph.node("Concat", "input", positive, axis=-1)]
    found += graph.node("Split", "input", numbers(1, 3), outputs=2, axis=2) + graph.node("Split", "input", outputs=3, axis=1)
    found += [graph.node("Tile", "input", numbers(1, 2, 2)), graph.node("Expand", both, numbers(2, 3, 4))]
    found += [graph.node("Unsqueeze", "input", numbers(0, -1)), graph.node("Flatten", "input", axis=2)]
    found += [graph.node("Where", graph.node("Greater", "input", both), "input", both)]
    found += [graph.node("Where", graph.node("Less", "input", both), both, "input")]
    half = graph.node("Div", graph.node("Cast", shape, to=TensorProto.FLOAT), graph.constant(np.float32(2.0)))
    found += [half, graph.node("ConstantOfShape", shape, value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.5]))]
    doubled = graph.node("Mul", shape, numbers(2))
    found += [graph.node("Cast", graph.node("Add", doubled, graph.node("Cast", half, to=TensorProto.INT64)), to=TensorProto.FLOAT)]
    found += [graph.node("Cast", graph.node("Equal", shape, numbers(3)), to=TensorProto.FLOAT)]
    turned = graph.node("Transpose", "input", perm=[1, 0, 2])
    for direction, count in (("reverse", 1), ("bidirectional", 2)):
        lstm = [graph.weight(count, 12, 4), graph.weight(count, 12, 3), graph.weight(count, 24)]
        found += graph.node("LSTM", turned, *lstm, outputs=3, hidden_size=3, direction=direction)
    gru = [graph.weight(2, 9, 4), graph.weight(2, 9, 3), graph.weight(2, 18)]
    for before in (0, 1):
        found += graph.node(
            "GRU", turned, *[name for name in gru], outputs=2, hidden_size=3, direction="bidirectional",
            linear_before_reset=before,
        )
    graph.write("operators", [2, 3, 4], [(name, TensorProto.FLOAT) for name in found])


def normed():
    graph = Graph(7)
    found = [graph.node("LayerNormalization", "input", graph.weight(4), graph.weight(4), axis=-1)]
    graph.write("normed", [2, 3, 4], [(name, TensorProto.FLOAT) for name in found], version=17)


dense()
recurrent("lstm", "LSTM", 4, 2)
recurrent("gru", "GRU", 3, 3, linear_before_reset=1)
convolution()
operators()
normed()
