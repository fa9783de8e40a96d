// Payloads of pushes: how a shard's gradient travels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"

namespace trireme {

// What a push carries, in this machine's byte order; n elements of the shard's parameters, and behind them
// the tail: the nets' statistics, always float32 (shard 0 alone has any).
//
//   nothing                  0 bytes. The ticket counts as applied, and changes nothing.
//   float32                  n float32, tail
//   bfloat16                 n bfloat16 (rounded to nearest even), padding to 4 bytes, tail
//   top_k                    k uint32 rising indices, k float32 values, tail; what is not named is 0
//   float32_with_parameters  n float32 gradient, n float32 parameters that it was computed with, tail
enum class PayloadFormat : uint8_t { nothing, float32, bfloat16, top_k, float32_with_parameters };

struct PayloadShape {
  size_t elements = 0;       // n
  size_t tail_elements = 0;  // float32s behind the gradient
};

// The k of top_k: `fraction` of n rounded up, at least 1 where n is.
size_t top_k_count(size_t elements, double fraction);
// Bytes of a payload; `top_k` is used by that format alone.
size_t payload_bytes(PayloadFormat format, const PayloadShape& shape, size_t top_k = 0);

struct Gradient {
  std::span<const float> values;        // n
  std::span<const float> tail{};        // tail_elements
  std::span<const float> parameters{};  // n, for float32_with_parameters; else unused
};

// Writes payloads, with memory of its own that top_k's selection needs.
class Encoder {
 public:
  // `out`: exactly payload_bytes(...) bytes, aligned to 4; k is told from its size.
  // `residual` (bfloat16 and top_k: n floats, or empty for none): error feedback (Seide et al. 2014; Stich et
  // al. 2018). It is added to the gradient before, and holds what was not sent after: zeros at the beginning.
  // top_k sends the k entries of the greatest magnitude, exactly (of equals the lowest indices; NaN counts as
  // greatest). Throws CommError where sizes do not fit each other.
  void encode(PayloadFormat format, const Gradient& gradient, std::span<float> residual,
              std::span<std::byte> out);

 private:
  void encode_top_k(std::span<const float> values, std::span<float> residual, std::byte* out, size_t k);

  std::vector<uint32_t> candidates_;  // indices
  std::vector<uint32_t> magnitudes_;
};

// A payload that came from the network. It stays where it is: the view lives no longer than `bytes`.
class PayloadView {
 public:
  // Throws CommError, naming what is wrong, where the payload is not what encode() writes for this shape.
  PayloadView(PayloadFormat format, std::span<const std::byte> bytes, const PayloadShape& shape);

  PayloadFormat format() const { return format_; }
  // The gradient of elements [block.begin, block.end), dense: where it lies in the payload, or `scratch`
  // (block.size() floats) filled with it. nullptr for `nothing`.
  const float* gradient(Range block, float* scratch) const;
  // The parameters of the block that the gradient was computed with; nullptr for other formats.
  const float* parameters(Range block) const;
  // nullptr for `nothing`, and where there is none.
  const float* tail() const;

 private:
  PayloadFormat format_;
  const std::byte* data_;
  PayloadShape shape_;
  size_t count_ = 0;  // k
  size_t tail_offset_ = 0;
};

}  // namespace trireme
