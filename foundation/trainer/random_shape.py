#!/usr/bin/env python3
"""Write a Chronos-Bolt folder of any shape with random weights: good for measuring speed, and for nothing else.

    python3 foundation/trainer/random_shape.py FOLDER --width 256 --hidden 1024 --heads 4 --blocks 4
    cargo run --release -p foundation --example speed FOLDER
"""
import argparse
import json
import os
import struct

import numpy as np

PATCH, STEPS, LEVELS, BUCKETS = 16, 64, 9, 32


def block(shapes, stack, index, width, hidden, heads):
    """Names and shapes of the tensors of one block."""
    layer = f"{stack}.block.{index}.layer"
    attentions = ["0.SelfAttention"] + (["1.EncDecAttention"] if stack == "decoder" else [])
    for attention in attentions:
        for part in "qkvo":
            shapes[f"{layer}.{attention}.{part}.weight"] = (width, width)
        shapes[f"{layer}.{attention[0]}.layer_norm.weight"] = (width,)
    if index == 0:
        shapes[f"{layer}.0.SelfAttention.relative_attention_bias.weight"] = (BUCKETS, heads)
    last = len(attentions)
    shapes[f"{layer}.{last}.DenseReluDense.wi.weight"] = (hidden, width)
    shapes[f"{layer}.{last}.DenseReluDense.wo.weight"] = (width, hidden)
    shapes[f"{layer}.{last}.layer_norm.weight"] = (width,)


def residual(shapes, name, inputs, hidden, outputs):
    """Names and shapes of a residual block."""
    for part, shape in [("hidden", (hidden, inputs)), ("output", (outputs, hidden)), ("residual", (outputs, inputs))]:
        shapes[f"{name}.{part}_layer.weight"] = shape
        shapes[f"{name}.{part}_layer.bias"] = shape[:1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    for name, default in [("width", 256), ("hidden", 1024), ("heads", 4), ("blocks", 4), ("context", 512)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    shape = parser.parse_args()
    width, hidden = shape.width, shape.hidden
    shapes = {"shared.weight": (2, width)}
    for stack in ("encoder", "decoder"):
        for index in range(shape.blocks):
            block(shapes, stack, index, width, hidden, shape.heads)
        shapes[f"{stack}.final_layer_norm.weight"] = (width,)
    residual(shapes, "input_patch_embedding", 2 * PATCH, hidden, width)
    residual(shapes, "output_patch_embedding", width, hidden, LEVELS * STEPS)
    random, header, values, at = np.random.default_rng(1), {}, [], 0
    for name, dims in shapes.items():
        scale = 1.0 if name.endswith("norm.weight") else 0.05
        tensor = (scale * (np.ones(dims) if scale == 1.0 else random.standard_normal(dims))).astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(dims), "data_offsets": [at, at + len(tensor)]}
        values.append(tensor)
        at += len(tensor)
    levels = [round(0.1 * level, 1) for level in range(1, LEVELS + 1)]
    config = {
        "architectures": ["ChronosBoltModelForForecasting"], "model_type": "t5", "d_model": width,
        "d_kv": width // shape.heads, "d_ff": hidden, "num_layers": shape.blocks, "num_decoder_layers": shape.blocks,
        "num_heads": shape.heads, "relative_attention_num_buckets": BUCKETS, "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu", "is_encoder_decoder": True,
        "decoder_start_token_id": 0, "pad_token_id": 0, "reg_token_id": 1,
        "chronos_config": {"context_length": shape.context, "prediction_length": STEPS, "input_patch_size": PATCH,
                           "input_patch_stride": PATCH, "quantiles": levels, "use_reg_token": True},
    }
    os.makedirs(shape.folder, exist_ok=True)
    with open(os.path.join(shape.folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)
    text = json.dumps(header).encode()
    with open(os.path.join(shape.folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(values))


if __name__ == "__main__":
    main()
