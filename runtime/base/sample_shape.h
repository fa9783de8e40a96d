// What a data set says of one sample: all that a model needs to know of its data.
#pragma once

#include <cstdint>

namespace trireme {

enum class SampleKind : uint8_t {
  image,  // float32 (height, width, channels); an int32 class
  table,  // float32 (features); an int32 class, or float32 (targets) to predict
  text,   // int32 (length) tokens; the int32 (length) tokens that follow each
};

// Members that the kind has no use for are 0.
struct SampleShape {
  int64_t height = 0, width = 0, channels = 0;  // image
  int64_t classes = 0;                          // image, table; 0 for regression
  SampleKind kind = SampleKind::image;
  int64_t features = 0;    // table
  int64_t targets = 0;     // table, regression: values to predict
  int64_t length = 0;      // text: tokens of a sample (data.sequence_length)
  int64_t vocabulary = 0;  // text: distinct tokens
  bool operator==(const SampleShape&) const = default;
};

}  // namespace trireme
