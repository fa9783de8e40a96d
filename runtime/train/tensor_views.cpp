#include "train/tensor_views.h"

namespace trireme {

std::vector<NamedTensor> read_view(const std::vector<ArenaTensor>& tensors, const float* arena) {
  std::vector<NamedTensor> view;
  for (const ArenaTensor& tensor : tensors) {
    view.push_back({tensor.name, tensor.shape, {arena + tensor.offset, tensor.size()}});
  }
  return view;
}

std::vector<MutableTensor> write_view(const std::vector<ArenaTensor>& tensors, float* arena) {
  std::vector<MutableTensor> view;
  for (const ArenaTensor& tensor : tensors) {
    view.push_back({tensor.name, tensor.shape, {arena + tensor.offset, tensor.size()}});
  }
  return view;
}

}  // namespace trireme
