#include "backend/cpu/few_channels.h"

#include <algorithm>
#include <vector>

#include "base/buffer.h"
#include "base/parallel.h"

namespace trireme::cpu {
namespace {

Buffer floats(int64_t count) { return Buffer(static_cast<size_t>(count) * sizeof(float)); }

// Scratch of each thread: an image in lanes, and a row of results or all of them.
struct Scratch {
  Scratch(int threads, int64_t image, int64_t result) {
    for (int i = 0; i < threads; ++i) {
      images.push_back(floats(image));
      results.push_back(floats(result));
    }
  }
  float* image() { return images[static_cast<size_t>(this_thread())].as<float>(); }
  float* result() { return results[static_cast<size_t>(this_thread())].as<float>(); }
  std::vector<Buffer> images, results;
};

struct Image {
  int64_t height, width, channels;
  int64_t row() const { return width * channels; }
  int64_t elements() const { return height * row(); }
};

Image image_of(const Shape& shape) { return {shape[1], shape[2], shape[3]}; }

// A correlation of all images, in groups of as many as two vectors hold; `task` has all but addresses and the
// row.
Kernel bind_correlation(const Binding& b, int64_t images, const Image& from, const Image& to,
                        FewChannelsTask task, int64_t first_weight, void* const* x, void* const* w,
                        void* const* bias, void* const* y) {
  int64_t group = 2 * b.kernels.lanes;
  auto scratch = std::make_shared<Scratch>(b.threads, from.elements() * group, to.row() * group);
  task.height = from.height;
  task.width = from.width;
  task.channels = from.channels;
  task.out_width = to.width;
  task.outputs = to.channels;
  return [=, k = &b.kernels, threads = b.threads](const StepScalars&) {
    for_each_part(threads, images, group, [&](int64_t first, int64_t end) {
      FewChannelsTask mine = task;
      mine.x = scratch->image();
      mine.y = scratch->result();
      mine.weights = read(w) + first_weight;
      mine.bias = bias == nullptr ? nullptr : read(bias);
      // Only read; a task for both directions.
      k->images_to_lanes({const_cast<float*>(read(x)) + first * from.elements(), from.elements(), end - first,
                          from.elements(), scratch->image()});
      for (mine.row = 0; mine.row < to.height; ++mine.row) {
        k->few_channels(mine);
        k->lanes_to_images({write(y) + first * to.elements() + mine.row * to.row(), to.elements(),
                            end - first, to.row(), mine.y});
      }
    });
  };
}

// What all three ask for, with `elements` of each image in lanes at a time.
bool fills_vectors(const Binding& b, int64_t images, int64_t elements) {
  constexpr int64_t cache_bytes = 3 << 19;
  int64_t group = 2 * b.kernels.lanes;
  bool fits = elements * group * int64_t{sizeof(float)} <= cache_bytes;
  return b.few_channels && kernel_type(b.graph, b.node) == DType::float32 && b.integer("stride") == 1 &&
         images >= group / 2 && (images + group - 1) / group >= b.threads && fits;
}

}  // namespace

bool takes_few_channels(const Binding& b) {
  const Shape &x = b.input_shape(0), &y = b.output_shape(0);
  return x[3] <= 4 && y[3] <= 16 && fills_vectors(b, x[0], image_of(x).elements() + image_of(y).row());
}

bool takes_few_channels_backward_data(const Binding& b) {
  const Shape &dy = b.input_shape(0), &dx = b.output_shape(0);
  return dx[3] <= 8 && fills_vectors(b, dy[0], image_of(dy).elements() + image_of(dx).row());
}

bool takes_few_channels_backward_weights(const Binding& b) {
  const Shape &dy = b.input_shape(0), &x = b.input_shape(1);
  return x[3] <= 4 && dy[3] <= 8 && fills_vectors(b, x[0], image_of(x).elements() + image_of(dy).elements());
}

Kernel bind_few_channels(const Binding& b) {
  const Shape &x = b.input_shape(0), &w = b.input_shape(1), &y = b.output_shape(0);
  FewChannelsTask task{};
  task.tap_stride = w[2] * w[3];
  task.channel_stride = w[3];
  task.output_stride = 1;
  task.kernel_height = w[0];
  task.kernel_width = w[1];
  task.stride = 1;
  task.top = task.left = b.integer("padding");
  task.relu = b.integer("relu") != 0;
  return bind_correlation(b, x[0], image_of(x), image_of(y), task, 0, b.input(0), b.input(1),
                          b.has_input(2) ? b.input(2) : nullptr, b.output(0));
}

// dx is a correlation of dy with the kernel turned round, from tap KH KW - 1 down to 0.
Kernel bind_few_channels_backward_data(const Binding& b) {
  const Shape &dy = b.input_shape(0), &w = b.input_shape(1), &dx = b.output_shape(0);
  FewChannelsTask task{};
  task.tap_stride = -w[2] * w[3];
  task.channel_stride = 1;
  task.output_stride = w[3];
  task.kernel_height = w[0];
  task.kernel_width = w[1];
  task.stride = 1;
  task.top = w[0] - 1 - b.integer("padding");
  task.left = w[1] - 1 - b.integer("padding");
  int64_t last_tap = (w[0] * w[1] - 1) * w[2] * w[3];
  return bind_correlation(b, dy[0], image_of(dy), image_of(dx), task, last_tap, b.input(0), b.input(1),
                          nullptr, b.output(0));
}

// Groups of images sum up by themselves and are added in their order, so that bits do not depend on the
// number of threads.
Kernel bind_few_channels_backward_weights(const Binding& b) {
  Image y = image_of(b.input_shape(0)), x = image_of(b.input_shape(1));
  int64_t padding = b.integer("padding"), images = b.input_shape(0)[0], group = 2 * b.kernels.lanes;
  Image bordered{x.height + 2 * padding, x.width + 2 * padding, x.channels};
  FewChannelsWeightsTask task{};
  task.width = bordered.width;
  task.channels = x.channels;
  task.out_height = y.height;
  task.out_width = y.width;
  task.outputs = y.channels;
  task.kernel_height = b.integer("kernel_height");
  task.kernel_width = b.integer("kernel_width");
  task.stride = 1;
  int64_t weights = task.kernel_height * task.kernel_width * x.channels * y.channels;
  auto scratch = std::make_shared<Scratch>(b.threads, bordered.elements() * group, y.elements() * group);
  int64_t groups = (images + group - 1) / group;
  auto partial = std::make_shared<Buffer>(floats(groups * (weights + y.channels)));
  void* const* bias = b.has_output(1) ? b.output(1) : nullptr;
  return [=, k = &b.kernels, threads = b.threads, dy = b.input(0), from = b.input(1),
          dw = b.output(0)](const StepScalars&) {
    for_each_index(threads, groups, [&](int64_t i) {
      int64_t first = i * group, count = std::min(group, images - first);
      float* source = scratch->image();
      for (int64_t row = 0; row < x.height; ++row) {  // the border stays zero
        float* to = source + ((row + padding) * bordered.row() + padding * x.channels) * group;
        k->images_to_lanes({const_cast<float*>(read(from)) + first * x.elements() + row * x.row(),
                            x.elements(), count, x.row(), to});
      }
      k->images_to_lanes({const_cast<float*>(read(dy)) + first * y.elements(), y.elements(), count,
                          y.elements(), scratch->result()});
      FewChannelsWeightsTask mine = task;
      mine.x = source;
      mine.dy = scratch->result();
      mine.gradient = partial->as<float>() + i * (weights + y.channels);
      k->few_channels_weights(mine);
      if (bias == nullptr) return;
      float* sums = mine.gradient + weights;
      k->lane_sums(scratch->result(), y.height * y.width, y.channels, sums);
    });
    auto add_up = [&](int64_t offset, int64_t count, float* to) {
      for (int64_t j = 0; j < count; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < groups; ++i) {
          sum += double{partial->as<float>()[i * (weights + y.channels) + offset + j]};
        }
        to[j] = static_cast<float>(sum);
      }
    };
    add_up(0, weights, write(dw));
    if (bias != nullptr) add_up(weights, y.channels, write(bias));
  };
}

}  // namespace trireme::cpu
