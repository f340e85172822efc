#!/usr/bin/env python3
"""Weights between PyTorch and rill, both ways.

    torch_peer.py make FILE    a state dict of PyTorch's, with an input, what
                               comes out and the gradients
    torch_peer.py check FILE   the same of rill's: load it, compute, compare

What is not of the state dict has a name that begins with a dot. Uses the
safetensors package where it is installed and reads and writes the format by
itself where it is not. tests/golden/safetensors/torch.safetensors was made
by `make`; `make test-torch` does both.
"""
import json
import struct
import sys

import torch

KINDS = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32}


def write(path, tensors):
    try:
        from safetensors.torch import save_file
        return save_file(tensors, path, {"format": "pt"})
    except ImportError:
        pass
    kinds = {kind: name for name, kind in KINDS.items()}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, x in tensors.items():
        raw = x.contiguous().numpy().tobytes()
        header[name] = {"dtype": kinds[x.dtype], "shape": list(x.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def read(path):
    try:
        from safetensors.torch import load_file
        return load_file(path)
    except ImportError:
        pass
    with open(path, "rb") as f:
        length, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(length)), bytearray(f.read())
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = KINDS[entry["dtype"]]
        out[name] = torch.frombuffer(data[begin:end], dtype=kind)
        out[name] = out[name].reshape(entry["shape"])
    return out


def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Sigmoid(),
                               torch.nn.Linear(4, 5))


def results(net, x, labels):
    """By name: the output, the loss and every gradient."""
    net.zero_grad()
    output = net(x)
    loss = torch.nn.functional.cross_entropy(output, labels.long())
    loss.backward()
    found = {".output": output.detach(), ".loss": loss.detach()}
    for name, w in net.named_parameters():
        found[".grad." + name] = w.grad.clone()
    return found


def main(what, path):
    torch.manual_seed(1)
    net = network()
    if what == "make":
        x = torch.randn(6, 3)
        labels = torch.arange(6, dtype=torch.int32) % 5
        write(path, {**net.state_dict(), ".input": x, ".labels": labels,
                     **results(net, x, labels)})
        return
    tensors = read(path)
    net.load_state_dict({name: x for name, x in tensors.items()
                         if not name.startswith(".")})
    found = results(net, tensors[".input"], tensors[".labels"])
    for name, want in found.items():
        torch.testing.assert_close(tensors[name], want, rtol=3e-5, atol=1e-6)
    print(f"{path}: {len(found)} results agree with PyTorch's "
          f"{torch.__version__}")


main(*sys.argv[1:])
