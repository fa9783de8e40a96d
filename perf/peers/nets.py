"""Our nets in PyTorch, built from the config.toml that trireme-train leaves in a run directory.

`build(config, vocabulary)` gives the same layers in the same order, with starting values from the same distributions
(another generator draws them). A config that is not mirrored here is an error, never another net.
"""
import math

import torch
from torch import nn
from torch.nn import functional


def convolution(inputs, outputs, kernel, stride=1, padding=0, bias=True):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)


class Chain:
    """Layers one behind the other: presets mlp, lenet and cnn, and model.kind = "layers". Images are 1 x 28 x 28."""

    def __init__(self):
        self.layers, self.channels, self.side, self.features = [], 1, 28, None

    def convolution(self, channels, kernel, stride, padding, bias):
        self.layers.append(convolution(self.channels, channels, kernel, stride, padding, bias))
        self.channels, self.side = channels, (self.side + 2 * padding - kernel) // stride + 1

    def pool(self, kernel, stride):
        self.layers.append(nn.MaxPool2d(kernel, stride))
        self.side = (self.side - kernel) // stride + 1

    def flatten(self):
        self.layers.append(nn.Flatten())
        self.features = self.channels * self.side * self.side

    def linear(self, units, bias=True):
        self.layers.append(nn.Linear(self.features, units, bias=bias))
        self.features = units

    def norm(self, layer):
        self.layers.append(nn.BatchNorm2d(self.channels, eps=layer.get("epsilon", 1e-5),
                                          momentum=layer.get("momentum", 0.1)))

    def add(self, layer):
        kind = layer["kind"]
        if kind == "convolution":
            self.convolution(layer["channels"], layer["kernel"], layer.get("stride") or 1, layer.get("padding", 0),
                             layer.get("bias", True))
        elif kind == "batch_norm":
            self.norm(layer)
        elif kind == "relu":
            self.layers.append(nn.ReLU())
        elif kind == "max_pool" and layer.get("padding", 0) == 0:
            self.pool(layer["kernel"], layer.get("stride") or layer["kernel"])
        elif kind == "flatten":
            self.flatten()
        elif kind == "linear":
            self.linear(layer["units"], layer.get("bias", True))
        else:
            raise SystemExit(f"perf/peers/nets.py does not mirror a layer of kind {kind}")


def chain_layers(model):
    """The list of layers that a preset stands for (runtime/models/presets.cpp)."""
    if model["kind"] == "layers":
        return model["layer"]
    relu, pool, flatten = {"kind": "relu"}, {"kind": "max_pool", "kernel": 2}, {"kind": "flatten"}

    def linear(units):
        return {"kind": "linear", "units": units}

    def conv(channels, kernel, padding, bias=True):
        return {"kind": "convolution", "channels": channels, "kernel": kernel, "padding": padding, "bias": bias}

    if model["kind"] == "mlp":
        hidden = [layer for units in model["hidden"] for layer in (linear(units), relu)]
        return [flatten, *hidden, linear(10)]
    if model["kind"] == "lenet":
        return [conv(6, 5, 2), relu, pool, conv(16, 5, 0), relu, pool, flatten,
                linear(120), relu, linear(84), relu, linear(10)]
    blocks = [layer for channels in model["channels"]
              for layer in (conv(channels, model["kernel"], model["kernel"] // 2, False), {"kind": "batch_norm"}, relu, pool)]
    dense = [linear(model["dense"]), relu] if model["dense"] else []
    return [*blocks, flatten, *dense, linear(10)]


class Residual(nn.Module):
    """runtime/models/resnet.cpp: relu(shortcut(x) + norm(conv(relu(norm(conv(x)))))), the last gamma starting at 0."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.norm1 = convolution(inputs, outputs, 3, stride, 1, False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = convolution(outputs, outputs, 3, 1, 1, False), nn.BatchNorm2d(outputs)
        self.relu, self.shortcut = nn.ReLU(inplace=True), None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride, 0, False), nn.BatchNorm2d(outputs))
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x):
        y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        return self.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def resnet(model):
    if model.get("stem", "cifar") != "cifar" or model.get("norm", "batch") != "batch":
        raise SystemExit("perf/peers/nets.py mirrors resnets with model.stem = \"cifar\" and batch normalisation only")
    channels = model["width"] or 64
    layers = [convolution(1, channels, 3, 1, 1, False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    inputs = channels
    for stage, blocks in enumerate({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[model["depth"] or 18]):
        for block in range(blocks):
            layers.append(Residual(inputs, channels << stage, 2 if stage and not block else 1))
            inputs = channels << stage
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


class Block(nn.Module):
    """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x))."""

    plain_attention = False  # products and a softmax instead of the fused kernel

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        samples, length, width = x.shape
        q, k, v = (part.view(samples, length, self.heads, -1).transpose(1, 2)
                   for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        rate = self.dropout if self.training else 0.0
        if Block.plain_attention:
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            y = functional.dropout(scores.masked_fill(future, -math.inf).softmax(-1), rate) @ v
        else:
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=rate)
        y = self.project(y.transpose(1, 2).reshape(samples, length, width))
        x = x + functional.dropout(y, self.dropout, self.training)
        y = self.down(functional.gelu(self.up(self.norm2(x))))
        return x + functional.dropout(y, self.dropout, self.training)


class Gpt(nn.Module):
    """runtime/models/gpt.cpp."""

    def __init__(self, model, vocabulary, length):
        super().__init__()
        width, depth = model["width"] or 128, model["depth"] or 4
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.dropout = nn.Dropout(model["dropout"])
        self.blocks = nn.ModuleList(Block(width, model["heads"], model["dropout"]) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                residual = name.endswith(("project.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * depth) if residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        if model["tied"]:
            self.head.weight = self.tokens.weight

    def forward(self, tokens):
        x = self.dropout(self.tokens(tokens) + self.positions.weight[:tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Lstm(nn.Module):
    """Embedding, LSTM layers, linear head; [samples, length] tokens to [samples, length, vocabulary] logits."""

    time_first = False  # computes in [length, samples, channels], which saves the library two transpositions

    def __init__(self, model, vocabulary, _):
        super().__init__()
        units, depth = model["units"], model["depth"] or 2
        embedding = model["embedding"] or units
        self.tokens = nn.Embedding(vocabulary, embedding)
        self.recurrence = nn.LSTM(embedding, units, depth, batch_first=not Lstm.time_first, dropout=model["dropout"])
        self.dropout, self.head = nn.Dropout(model["dropout"]), nn.Linear(units, vocabulary)
        for name, parameter in self.recurrence.named_parameters():
            if name.startswith("bias_hh"):  # we have one bias a layer, as the papers do
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

    def forward(self, tokens):
        if Lstm.time_first:
            y = self.head(self.dropout(self.recurrence(self.tokens(tokens.t()))[0]))
            return y.transpose(0, 1)
        return self.head(self.dropout(self.recurrence(self.tokens(tokens))[0]))


def take_values(model, config, values):
    """Copies a language model's parameters from an export of ours (name: array) into the peer; our matrices are transposed."""
    def copy(parameter, name, transposed=False):
        value = torch.from_numpy(values[name])
        parameter.copy_(value.T if transposed else value)

    def copy_layer(layer, name, transposed=True):
        copy(layer.weight, name + ".weight", transposed)
        copy(layer.bias, name + ".bias")

    with torch.no_grad():
        if config["model"]["kind"] == "lstm":
            copy(model.tokens.weight, "embedding1.weight")
            for layer in range(model.recurrence.num_layers):
                for theirs, name in (("weight_ih", "weight"), ("weight_hh", "recurrent_weight"), ("bias_ih", "bias")):
                    copy(getattr(model.recurrence, f"{theirs}_l{layer}"), f"lstm{layer + 1}.{name}", theirs != "bias_ih")
            copy_layer(model.head, "linear1")
            return
        copy(model.tokens.weight, "embedding.weight")
        copy(model.positions.weight, "embedding.positions")
        for number, block in enumerate(model.blocks, 1):
            for layer, name in ((block.qkv, "attention.qkv"), (block.project, "attention.projection"),
                                (block.up, "expansion"), (block.down, "contraction")):
                copy_layer(layer, f"block{number}.{name}")
            copy_layer(block.norm1, f"block{number}.norm1", transposed=False)
            copy_layer(block.norm2, f"block{number}.norm2", transposed=False)
        copy_layer(model.norm, "final_norm", transposed=False)
        if not config["model"]["tied"]:
            copy(model.head.weight, "head.weight", transposed=True)


def build(config, vocabulary=0):
    """The net of a resolved config; `vocabulary` is the text's number of characters."""
    model = config["model"]
    kind = model["kind"]
    if kind in ("gpt", "lstm"):
        return {"gpt": Gpt, "lstm": Lstm}[kind](model, vocabulary, config["data"]["sequence_length"])
    if kind == "resnet":
        return resnet(model)
    if kind not in ("mlp", "lenet", "cnn", "layers"):
        raise SystemExit(f"perf/peers/nets.py does not mirror model.kind = {kind}")
    if (model.get("dropout") or model.get("norm", "batch") != "batch" or model.get("activation", "relu") != "relu"):
        raise SystemExit("perf/peers/nets.py mirrors relu and batch normalisation without dropout only")
    chain = Chain()
    for layer in chain_layers(model):
        chain.add(layer)
    return nn.Sequential(*chain.layers)
