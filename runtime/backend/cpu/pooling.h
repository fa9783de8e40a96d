// What binders of pooling have in common.
#pragma once

#include "backend/cpu/binder.h"

namespace trireme::cpu {

// The geometry of a MaxPoolTask or MaxPoolBackwardTask: the image's extents are taken from `image`, the
// result's from `result`, the windows from the node's attributes.
template <class Task>
Task pool_geometry(const Binding& b, const Shape& image, const Shape& result) {
  Task task{};
  task.height = image[1];
  task.width = image[2];
  task.channels = image[3];
  task.out_height = result[1];
  task.out_width = result[2];
  task.kernel = b.integer("kernel");
  task.stride = b.integer("stride");
  task.padding = b.integer("padding");
  task.type = b.type();
  return task;
}

inline int64_t elements_per_image(const Shape& shape) { return shape.elements() / shape[0]; }

}  // namespace trireme::cpu
