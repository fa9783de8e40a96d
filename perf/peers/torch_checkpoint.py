"""torch.save and torch.load of the state that bench_checkpoint saves: the same tensors, with fsync. Prints "name seconds".

usage: torch_checkpoint.py FOLDER [MEGABYTES]
"""
import os
import sys
import time

import torch

folder = sys.argv[1]
elements = int(sys.argv[2] if len(sys.argv) > 2 else 1000) * 1000000 // 3 // 4
width = 1024
shapes = []
total = 0
while total < elements:
    for shape in [(width,), (width,), (3 * width, width), (3 * width,), (width, width), (width,), (width,), (width,),
                  (4 * width, width), (4 * width,), (width, 4 * width), (width,)]:
        shapes.append(shape)
        total += torch.Size(shape).numel()
torch.set_num_threads(1)
state = {arena: {f"tensor{i}": torch.rand(shape) for i, shape in enumerate(shapes)}
         for arena in ("parameters", "first_moment", "second_moment")}
path = os.path.join(folder, "state.pt")


def save():
    with open(path, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


save()
for _ in range(3):
    begin = time.perf_counter()
    save()
    print(f"torch_save {time.perf_counter() - begin:.6f}", flush=True)
# Its best: nothing is copied before it is used, the file is mapped; then values go to where the run has them. From the
# disk, as ours.
with open(path, "rb") as file:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
for _ in range(3):
    begin = time.perf_counter()
    loaded = torch.load(path, mmap=True, weights_only=True)
    for arena, tensors in state.items():
        for name, tensor in tensors.items():
            tensor.copy_(loaded[arena][name])
    print(f"torch_load {time.perf_counter() - begin:.6f}", flush=True)
    del loaded
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
os.remove(path)
