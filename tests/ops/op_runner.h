// Runs one node of the op table on a backend: the inputs of an OpSample drawn at random, every value in
// memory of its own with a guard behind it. For tests that enumerate the table.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/rng.h"
#include "graph/op.h"

namespace trireme::test {

inline bool contains(const std::vector<size_t>& list, size_t i) {
  return std::find(list.begin(), list.end(), i) != list.end();
}

// "convolution sample 2", for SCOPED_TRACE.
inline std::string sample_name(const Op& op, size_t sample) {
  return op.name + " sample " + std::to_string(sample);
}

struct SampleGraph {
  Graph graph;
  std::vector<ValueId> inputs;  // as the node has them; no_id where absent
  std::vector<ValueId> outputs;
};

// The graph's values for the sample's inputs. Floating ones are parameters (states, where a statistic moves
// them), labels and window positions are inputs. A 16-bit type is that of the row's half_inputs; others are
// wide.
inline SampleGraph sample_inputs(const Op& op, const OpSample& sample, DType type) {
  SampleGraph result;
  result.graph.name = op.name;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    std::string name = "in" + std::to_string(i);
    if (contains(sample.absent, i)) {
      result.inputs.push_back(no_id);
    } else if (contains(sample.labels, i)) {
      result.inputs.push_back(result.graph.add_input(name, {DType::int32, sample.inputs[i]}));
    } else if (contains(sample.positions, i)) {
      result.inputs.push_back(result.graph.add_input(name, {DType::uint8, sample.inputs[i]}));
    } else {
      Role role = Role::parameter;
      for (const StatisticOutput& s : op.statistic_outputs) {
        if (s.state_input == static_cast<int>(i)) role = Role::state;
      }
      DType own = contains(op.half_inputs, i) ? type : wide(type);
      result.inputs.push_back(result.graph.add_value(name, {own, sample.inputs[i]}, role));
    }
  }
  return result;
}

// The same with the op's node behind it, of origin "sample".
inline SampleGraph sample_graph(const Op& op, const OpSample& sample, DType type) {
  SampleGraph result = sample_inputs(op, sample, type);
  result.outputs = GraphWriter(result.graph, "sample").add(op.name, result.inputs, sample.attributes);
  return result;
}

// n distinct values spread evenly over [-1, 1), none nearer to zero than 1 / (2n), in random order: a small
// step of one of them crosses neither a tie (max_pool) nor the kink at zero (relu).
inline std::vector<double> spaced_values(size_t n, uint64_t seed) {
  std::vector<uint32_t> order = random_permutation(static_cast<uint32_t>(n), seed, 0);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = (order[i] + 0.25) / static_cast<double>(n) * 2 - 1;
  return values;
}

template <class T>
void write_as(void* memory, const std::vector<double>& values) {
  std::transform(values.begin(), values.end(), static_cast<T*>(memory),
                 [](double v) { return static_cast<T>(v); });
}

inline void write_floating(DType type, void* memory, const std::vector<double>& values) {
  switch (type) {
    case DType::float64:
      return write_as<double>(memory, values);
    case DType::bfloat16:
      return write_as<BFloat16>(memory, values);
    case DType::float16:
      return write_as<Float16>(memory, values);
    default:
      return write_as<float>(memory, values);
  }
}

// What 16-bit memory keeps of the values.
inline void round_to(DType type, std::vector<double>& values) {
  for (double& value : values) {
    if (type == DType::bfloat16) value = static_cast<double>(BFloat16(static_cast<float>(value)));
    if (type == DType::float16) value = static_cast<double>(Float16(static_cast<float>(value)));
  }
}

inline std::vector<double> read_values(const TensorType& type, const void* memory) {
  std::vector<double> values(static_cast<size_t>(type.shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (type.dtype) {
      case DType::float32:
        values[i] = static_cast<const float*>(memory)[i];
        break;
      case DType::float64:
        values[i] = static_cast<const double*>(memory)[i];
        break;
      case DType::int32:
        values[i] = static_cast<const int32_t*>(memory)[i];
        break;
      case DType::int64:
        values[i] = static_cast<double>(static_cast<const int64_t*>(memory)[i]);
        break;
      case DType::uint8:
        values[i] = static_cast<const uint8_t*>(memory)[i];
        break;
      case DType::uint16:
        values[i] = static_cast<const uint16_t*>(memory)[i];
        break;
      case DType::bfloat16:
        values[i] = static_cast<double>(static_cast<const BFloat16*>(memory)[i]);
        break;
      case DType::float16:
        values[i] = static_cast<double>(static_cast<const Float16*>(memory)[i]);
        break;
    }
  }
  return values;
}

// Height and width of the image that is pooled: attributes where the op has them, or else the largest
// input's.
inline std::pair<int64_t, int64_t> pooled_image(const OpSample& sample, const Attributes& attributes) {
  if (attributes.has("height")) return {attributes.integer("height"), attributes.integer("width")};
  const Shape& image =
      *std::max_element(sample.inputs.begin(), sample.inputs.end(),
                        [](const Shape& a, const Shape& b) { return a.elements() < b.elements(); });
  return {image[1], image[2]};
}

// Positions within pooling windows, each one inside the image.
inline std::vector<uint8_t> random_positions(const Shape& windows, const OpSample& sample,
                                             const Attributes& attributes, RandomStream& stream) {
  auto [height, width] = pooled_image(sample, attributes);
  int64_t kernel = attributes.integer("kernel"), stride = attributes.integer("stride");
  int64_t padding = attributes.integer("padding");
  auto position = [&](int64_t window, int64_t extent) {
    for (;;) {
      int64_t k = stream.below(static_cast<uint32_t>(kernel));
      int64_t at = window * stride - padding + k;
      if (at >= 0 && at < extent) return k;
    }
  };
  std::vector<uint8_t> positions;
  for (int64_t i = 0; i < windows.elements(); ++i) {
    int64_t column = i / windows[3] % windows[2], row = i / windows[3] / windows[2] % windows[1];
    int64_t k = position(row, height) * kernel;
    positions.push_back(static_cast<uint8_t>(k + position(column, width)));
  }
  return positions;
}

// All nodes of a graph bound to a backend, each value in memory of its own.
class GraphRun {
 public:
  static constexpr size_t guard_bytes = 64;
  static constexpr auto guard = std::byte{0xA5};

  // `same_memory`: pairs of values that share memory, the second lying where the first does.
  GraphRun(const Graph& graph, Backend& backend, std::vector<std::pair<ValueId, ValueId>> same_memory = {})
      : graph_(graph), backend_(backend) {
    for (const Value& value : graph_.values) {
      memory_.emplace_back(value.type.bytes() + guard_bytes);
      addresses_.push_back(memory_.back().data());
    }
    for (auto [first, second] : same_memory) addresses_[at(second)] = addresses_[at(first)];
    fill_produced(guard);
    for (const Node& node : graph_.nodes) kernels_.push_back(backend.bind(graph_, node, addresses_));
  }
  GraphRun(const GraphRun&) = delete;
  GraphRun& operator=(const GraphRun&) = delete;

  // Draws the sample's inputs; the same for all floating types, up to rounding, and for every backend.
  // `rounded`: the values of the row's half_inputs are such as this type can hold.
  void draw_inputs(const SampleGraph& sample_graph, const OpSample& sample, const Attributes& attributes,
                   uint64_t seed, DType rounded = DType::float64) {
    for (size_t i = 0; i < sample_graph.inputs.size(); ++i) {
      ValueId id = sample_graph.inputs[i];
      if (id == no_id) continue;
      RandomStream stream(seed, Purpose::test, i);
      const TensorType& type = graph_.value(id).type;
      auto n = static_cast<size_t>(type.shape.elements());
      if (contains(sample.labels, i)) {
        for (size_t k = 0; k < n; ++k) {
          data<int32_t>(id)[k] = static_cast<int32_t>(stream.below(static_cast<uint32_t>(sample.classes)));
        }
      } else if (contains(sample.positions, i)) {
        auto positions = random_positions(type.shape, sample, attributes, stream);
        std::copy(positions.begin(), positions.end(), data<uint8_t>(id));
      } else {
        std::vector<double> values = spaced_values(n, seed + 977 * i);
        if (contains(sample.positive, i)) {
          for (double& value : values) value = 1 + value / 2;
        }
        if (contains(sample.targets, i)) {
          for (double& value : values) value = 0.5 + value / 2;
        }
        const Op& op = find_op(sample_graph.graph.nodes[0].op);
        if (contains(op.half_inputs, i)) round_to(rounded, values);
        write_floating(type.dtype, addresses_[at(id)], values);
      }
    }
  }

  // Every byte of the produced values, so that one that no kernel writes shows.
  void fill_produced(std::byte byte) {
    for (size_t i = 0; i < memory_.size(); ++i) {
      if (graph_.values[i].producer != no_id && addresses_[i] == memory_[i].data()) {
        std::memset(memory_[i].data(), static_cast<int>(byte), memory_[i].bytes());
      }
      std::memset(memory_[i].data() + memory_[i].bytes() - guard_bytes, static_cast<int>(guard), guard_bytes);
    }
  }

  void run(const StepScalars& scalars) {
    backend_.parameters_changed();
    for (Kernel& kernel : kernels_) kernel(scalars);
  }
  // One node only; for inputs changed by hand.
  void run_node(size_t node, const StepScalars& scalars) {
    backend_.parameters_changed();
    kernels_.at(node)(scalars);
  }

  // Names of values whose guard was written over: a kernel wrote more than the shape rule says.
  std::vector<std::string> overruns() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < memory_.size(); ++i) {
      const std::byte* end = memory_[i].data() + memory_[i].bytes();
      if (std::any_of(end - guard_bytes, end, [](std::byte b) { return b != guard; })) {
        names.push_back(graph_.values[i].name);
      }
    }
    return names;
  }

  template <class T>
  T* data(ValueId id) {
    return static_cast<T*>(addresses_[at(id)]);
  }
  std::vector<double> values(ValueId id) const {
    return read_values(graph_.value(id).type, addresses_[at(id)]);
  }

 private:
  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  Graph graph_;
  Backend& backend_;
  std::vector<Buffer> memory_;
  std::vector<void*> addresses_;
  std::vector<Kernel> kernels_;
};

// Scalars no test should find special.
inline StepScalars test_scalars() {
  return {.seed = 0x123456789abcdef0u, .step = 41, .first_sample = 5, .sample_weight = 0.0625};
}

// One call of the op: its outputs, as doubles.
inline std::vector<std::vector<double>> run_sample(const Op& op, const OpSample& sample, DType type,
                                                   Backend& backend, bool in_place = false, uint64_t seed = 1,
                                                   DType rounded = DType::float64) {
  SampleGraph s = sample_graph(op, sample, type);
  std::vector<std::pair<ValueId, ValueId>> same_memory;
  if (in_place) {
    size_t input = op.is_view ? 0 : static_cast<size_t>(op.in_place_input);
    same_memory = {{s.inputs.at(input), s.outputs[0]}};
  }
  GraphRun run(s.graph, backend, same_memory);
  run.draw_inputs(s, sample, s.graph.nodes[0].attributes, seed, rounded);
  run.run(test_scalars());
  EXPECT_TRUE(run.overruns().empty()) << op.name << " writes beyond " << run.overruns().front();
  std::vector<std::vector<double>> outputs;
  for (ValueId id : s.outputs) outputs.push_back(run.values(id));
  return outputs;
}

// Largest |actual - expected| relative to the largest |expected|; infinite when NaN is among them.
inline double relative_error(const std::vector<double>& actual, const std::vector<double>& expected) {
  double error = 0, scale = 1e-30;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!std::isfinite(actual.at(i)) || !std::isfinite(expected[i])) return INFINITY;
    error = std::max(error, std::abs(actual[i] - expected[i]));
    scale = std::max(scale, std::abs(expected[i]));
  }
  return error / scale;
}

}  // namespace trireme::test
