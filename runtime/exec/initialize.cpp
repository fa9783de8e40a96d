#include "exec/initialize.h"

#include <string_view>

#include "base/rng.h"

namespace trireme {
namespace {

// FNV-1a, 64 bits: numbers a tensor's stream by its name.
uint64_t hash_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

template <class T>
void fill(const Value& value, uint64_t seed, T* out, size_t count) {
  RandomStream stream(seed, Purpose::initialize, hash_of(value.name));
  auto scale = static_cast<T>(value.initializer.scale);
  for (size_t i = 0; i < count; ++i) {
    switch (value.initializer.kind) {
      case Initializer::Kind::constant:
        out[i] = scale;
        break;
      case Initializer::Kind::uniform:
        out[i] = scale * static_cast<T>(2.0f * stream.uniform() - 1.0f);
        break;
      case Initializer::Kind::normal:
        out[i] = scale * static_cast<T>(stream.normal());
        break;
    }
  }
}

void fill_typed(const Value& value, uint64_t seed, DType type, Buffer& arena, const ArenaTensor& tensor) {
  if (type == DType::float64) {
    fill(value, seed, arena.as<double>() + tensor.offset, tensor.size());
  } else {
    fill(value, seed, arena.as<float>() + tensor.offset, tensor.size());
  }
}

}  // namespace

void initialize_arenas(const Graph& graph, uint64_t seed, Arenas& arenas) {
  for (const Value& value : graph.values) {
    if (value.role == Role::parameter) {
      fill_typed(value, seed, arenas.type, arenas.parameters, arenas.layout.parameter(value.name));
    } else if (value.role == Role::state) {
      fill_typed(value, seed, arenas.type, arenas.state, arenas.layout.state(value.name));
    }
  }
}

}  // namespace trireme
