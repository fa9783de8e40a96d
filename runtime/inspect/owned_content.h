// What a checkpoint is to be made of, with the values themselves.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "checkpoint/content.h"

namespace trireme {

struct OwnedContent {
  OwnedContent() = default;
  OwnedContent(OwnedContent&&) = default;
  OwnedContent& operator=(OwnedContent&&) = default;
  OwnedContent(const OwnedContent&) = delete;  // the copy's views would show the original's values
  OwnedContent& operator=(const OwnedContent&) = delete;

  // Puts a tensor into one of content's lists.
  void add(std::vector<NamedTensor>& list, const std::string& name, const Shape& shape,
           std::vector<float> values) {
    memory.push_back(std::move(values));  // the values of those before stay where they are
    list.push_back({name, shape, memory.back()});
  }

  std::vector<std::vector<float>> memory;
  CheckpointContent content;
};

}  // namespace trireme
