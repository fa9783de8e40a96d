#include "comm/parameter_server/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/clones.h"
#include "base/error.h"

namespace trireme {
namespace {

constexpr size_t padded(size_t bytes) { return (bytes + 3) / 4 * 4; }

// base/half.h's conversion without branches, which vectorises.
[[gnu::always_inline]] inline uint16_t to_bfloat16(float value) {
  auto wide = std::bit_cast<uint32_t>(value);
  uint32_t rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;
  uint32_t nan = (wide >> 16) | 0x40u;
  return static_cast<uint16_t>((wide & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}
[[gnu::always_inline]] inline float from_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

TRIREME_CLONES void narrow(const float* from, uint16_t* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = to_bfloat16(from[i]);
}

TRIREME_CLONES void narrow_with_residual(const float* from, float* residual, uint16_t* to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    float value = from[i] + residual[i];
    uint16_t sent = to_bfloat16(value);
    to[i] = sent;
    residual[i] = value - from_bfloat16(sent);
  }
}

TRIREME_CLONES void widen(const uint16_t* from, float* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = from_bfloat16(from[i]);
}

TRIREME_CLONES void add(const float* from, float* to, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] += from[i];
}

// Magnitudes order as integers do; 31 bits, NaN above all.
[[gnu::always_inline]] inline uint32_t magnitude(float value) {
  return std::bit_cast<uint32_t>(value) & 0x7fffffffu;
}

constexpr size_t sample_size = 8192;

// The rank-th greatest of these, from 1; they are put into another order.
uint32_t ranked(std::vector<uint32_t>& magnitudes, size_t rank) {
  auto at = magnitudes.begin() + static_cast<std::ptrdiff_t>(rank - 1);
  std::nth_element(magnitudes.begin(), at, magnitudes.end(), std::greater<>());
  return *at;
}

// Writes the indices of all values of at least this magnitude, of [begin, end), and returns how many. `found`
// has room for end - begin. Sixteen at a time, most of which hold none; the others without branches.
TRIREME_CLONES size_t find_greater(const float* values, size_t begin, size_t end, uint32_t least,
                                   uint32_t* found) {
  size_t count = 0;
  for (size_t first = begin; first < end; first += 16) {
    const size_t last = std::min(end, first + 16);
    if (last - first == 16) {
      uint32_t greatest = 0;
      for (size_t i = 0; i < 16; ++i) {
        uint32_t bits = magnitude(values[first + i]);
        greatest = greatest < bits ? bits : greatest;
      }
      if (greatest < least) continue;
    }
    for (size_t i = first; i < last; ++i) {
      found[count] = static_cast<uint32_t>(i);
      count += magnitude(values[i]) >= least ? 1 : 0;
    }
  }
  return count;
}

const char* name_of(PayloadFormat format) {
  switch (format) {
    case PayloadFormat::nothing:
      return "nothing";
    case PayloadFormat::float32:
      return "float32";
    case PayloadFormat::bfloat16:
      return "bfloat16";
    case PayloadFormat::top_k:
      return "top_k";
    case PayloadFormat::float32_with_parameters:
      return "float32_with_parameters";
  }
  return "unknown";
}

}  // namespace

size_t top_k_count(size_t elements, double fraction) {
  if (elements == 0) return 0;
  auto count = static_cast<size_t>(std::ceil(fraction * static_cast<double>(elements)));
  return std::clamp<size_t>(count, 1, elements);
}

size_t payload_bytes(PayloadFormat format, const PayloadShape& shape, size_t top_k) {
  const size_t n = shape.elements, tail = shape.tail_elements * sizeof(float);
  switch (format) {
    case PayloadFormat::nothing:
      return 0;
    case PayloadFormat::float32:
      return n * sizeof(float) + tail;
    case PayloadFormat::bfloat16:
      return padded(n * sizeof(uint16_t)) + tail;
    case PayloadFormat::top_k:
      return top_k * (sizeof(uint32_t) + sizeof(float)) + tail;
    case PayloadFormat::float32_with_parameters:
      return 2 * n * sizeof(float) + tail;
  }
  throw CommError("payload of unknown format {}", static_cast<int>(format));
}

void Encoder::encode(PayloadFormat format, const Gradient& gradient, std::span<float> residual,
                     std::span<std::byte> out) {
  const size_t n = gradient.values.size();
  const PayloadShape shape{n, gradient.tail.size()};
  const size_t tail = gradient.tail.size_bytes();
  const size_t k = out.size() < tail ? 0 : (out.size() - tail) / (sizeof(uint32_t) + sizeof(float));
  if (out.size() != payload_bytes(format, shape, k) || (format == PayloadFormat::top_k && k > n) ||
      reinterpret_cast<uintptr_t>(out.data()) % alignof(float) != 0)
    throw CommError("encode {}: {} aligned bytes do not hold {} elements and a tail of {}", name_of(format),
                    out.size(), n, gradient.tail.size());
  if (!residual.empty() && residual.size() != n)
    throw CommError("encode {}: a residual of {} elements for a gradient of {}", name_of(format),
                    residual.size(), n);
  std::byte* end = out.data();
  switch (format) {
    case PayloadFormat::nothing:
      return;
    case PayloadFormat::float32_with_parameters:
      if (gradient.parameters.size() != n)
        throw CommError("encode {}: {} parameters for a gradient of {}", name_of(format),
                        gradient.parameters.size(), n);
      [[fallthrough]];
    case PayloadFormat::float32:
      if (n != 0) std::memcpy(end, gradient.values.data(), gradient.values.size_bytes());
      end += gradient.values.size_bytes();
      if (format == PayloadFormat::float32 || n == 0) break;
      std::memcpy(end, gradient.parameters.data(), gradient.parameters.size_bytes());
      end += gradient.parameters.size_bytes();
      break;
    case PayloadFormat::bfloat16: {
      auto* to = reinterpret_cast<uint16_t*>(end);
      if (residual.empty()) {
        narrow(gradient.values.data(), to, n);
      } else {
        narrow_with_residual(gradient.values.data(), residual.data(), to, n);
      }
      if (n % 2 != 0) to[n] = 0;
      end += padded(n * sizeof(uint16_t));
      break;
    }
    case PayloadFormat::top_k:
      encode_top_k(gradient.values, residual, end, k);
      end += k * (sizeof(uint32_t) + sizeof(float));
      break;
  }
  if (tail != 0) std::memcpy(end, gradient.tail.data(), tail);
}

// Exact selection in one pass over all: (1) a sample tells a magnitude that somewhat more than k are likely
// to reach; (2) the indices of all that reach it are gathered (again from a lower magnitude, where they are
// fewer than k); (3) the k-th's own magnitude is found among them; (4) what is above it is written, and of
// its equals as many as are left, from the first on. Indices rise by themselves.
void Encoder::encode_top_k(std::span<const float> gradient, std::span<float> residual, std::byte* out,
                           size_t k) {
  const size_t n = gradient.size();
  if (n > UINT32_MAX) throw CommError("top_k of {} elements: indices have 32 bits; use more servers", n);
  if (!residual.empty()) add(gradient.data(), residual.data(), n);
  const float* values = residual.empty() ? gradient.data() : residual.data();
  if (k == 0) return;

  const size_t sampled = std::min(n, sample_size);
  double rank = static_cast<double>(k) / static_cast<double>(n) * static_cast<double>(sampled);
  rank += 3 * std::sqrt(rank) + 1;
  size_t count = 0;
  while (count < k) {
    uint32_t least = 0;
    if (rank < static_cast<double>(sampled)) {
      magnitudes_.resize(sampled);
      for (size_t i = 0; i < sampled; ++i) magnitudes_[i] = magnitude(values[i * (n / sampled)]);
      least = ranked(magnitudes_, static_cast<size_t>(rank));
    }
    count = 0;
    for (size_t begin = 0; begin < n; begin += sample_size) {
      candidates_.resize(std::max(candidates_.size(), count + sample_size));
      count +=
          find_greater(values, begin, std::min(n, begin + sample_size), least, candidates_.data() + count);
    }
    rank *= 4;
  }
  magnitudes_.resize(count);
  for (size_t i = 0; i < count; ++i) magnitudes_[i] = magnitude(values[candidates_[i]]);
  const uint32_t threshold = ranked(magnitudes_, k);
  size_t equals = k - static_cast<size_t>(std::count_if(magnitudes_.begin(), magnitudes_.end(),
                                                        [&](uint32_t bits) { return bits > threshold; }));

  auto* indices = reinterpret_cast<uint32_t*>(out);
  auto* sent = reinterpret_cast<float*>(indices + k);
  size_t filled = 0;
  for (size_t c = 0; c < count; ++c) {
    const uint32_t index = candidates_[c], bits = magnitude(values[index]);
    if (bits < threshold || (bits == threshold && equals == 0)) continue;
    if (bits == threshold) --equals;
    indices[filled] = index;
    sent[filled++] = values[index];
    if (!residual.empty()) residual[index] = 0;
  }
}

PayloadView::PayloadView(PayloadFormat format, std::span<const std::byte> bytes, const PayloadShape& shape)
    : format_(format), data_(bytes.data()), shape_(shape) {
  const size_t tail = shape.tail_elements * sizeof(float);
  if (reinterpret_cast<uintptr_t>(data_) % alignof(float) != 0)
    throw CommError("push: a payload at an odd address; 4 bytes are needed");
  if (format == PayloadFormat::top_k && bytes.size() >= tail) {
    count_ = (bytes.size() - tail) / (sizeof(uint32_t) + sizeof(float));
    if (count_ > shape.elements) throw CommError("push: {} of {} elements are named", count_, shape.elements);
  }
  const size_t expected = payload_bytes(format, shape, count_);
  if (bytes.size() != expected)
    throw CommError(
        "push: a payload of format {} has {} bytes where {} are expected ({} elements, a tail of {}); do all "
        "processes run the same config?",
        name_of(format), bytes.size(), expected, shape.elements, shape.tail_elements);
  tail_offset_ = format == PayloadFormat::nothing ? 0 : expected - tail;
  if (count_ == 0) return;
  const auto* indices = reinterpret_cast<const uint32_t*>(data_);
  bool rising = indices[count_ - 1] < shape.elements;
  for (size_t i = 1; i < count_; ++i) rising &= indices[i - 1] < indices[i];
  if (!rising)
    throw CommError("push: indices of format top_k do not rise within {} elements", shape.elements);
}

const float* PayloadView::gradient(Range block, float* scratch) const {
  switch (format_) {
    case PayloadFormat::nothing:
      return nullptr;
    case PayloadFormat::float32:
    case PayloadFormat::float32_with_parameters:
      return reinterpret_cast<const float*>(data_) + block.begin;
    case PayloadFormat::bfloat16:
      widen(reinterpret_cast<const uint16_t*>(data_) + block.begin, scratch, block.size());
      return scratch;
    case PayloadFormat::top_k: {
      const auto* indices = reinterpret_cast<const uint32_t*>(data_);
      const auto* values = reinterpret_cast<const float*>(indices + count_);
      std::fill_n(scratch, block.size(), 0.0f);
      for (auto at = static_cast<size_t>(std::lower_bound(indices, indices + count_, block.begin) - indices);
           at < count_ && indices[at] < block.end; ++at)
        scratch[indices[at] - block.begin] = values[at];
      return scratch;
    }
  }
  return nullptr;
}

const float* PayloadView::parameters(Range block) const {
  if (format_ != PayloadFormat::float32_with_parameters) return nullptr;
  return reinterpret_cast<const float*>(data_) + shape_.elements + block.begin;
}

const float* PayloadView::tail() const {
  if (format_ == PayloadFormat::nothing || shape_.tail_elements == 0) return nullptr;
  return reinterpret_cast<const float*>(data_ + tail_offset_);
}

}  // namespace trireme
