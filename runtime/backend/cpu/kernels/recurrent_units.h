// What a recurrence's step does with a vector of hidden units once their products are known: gates, cells,
// states, and backwards their gradients (ops/lstm.cpp, ops/rnn.cpp). Only for .cpp files that are compiled
// for an instruction set of ours.
//
// `r` counts the task's rows, `unit` is the first of `n` units. keep(k, v, n) takes values k and on of the
// row's state for the step that is computed next, as the element type keeps them.
#pragma once

#include "backend/cpu/kernels/functions.h"
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/recurrent_task.h"

// Keeps the compiler from making a function anew for every number of rows: bits must not depend on how
// samples fall into blocks.
#define TRIREME_ONE_COPY __attribute__((noinline))

namespace TRIREME_KERNEL_SPACE {

// Stores v as T, and gives what T keeps of it.
static inline Vec stored(float* out, Vec v, int n) {
  store_partial(out, v, n);
  return v;
}
template <class T>
static inline Vec stored(T* out, Vec v, int n) {
  store_partial(out, v, n);
  return load_partial(out, n);
}

// Whether values of T go to memory past the caches. What a forward step gives is read much later, and a line
// that is written whole need not be read first.
template <class T>
inline constexpr bool goes_past = false;
template <>
inline constexpr bool goes_past<float> = lanes == 16;

// Stores v as T, past the caches where it can, and gives what T keeps of it.
template <class T>
static inline Vec stored_past(T* out, Vec v, int n) {
#if TRIREME_LANES == 16
  if constexpr (goes_past<T>) {
    if (n == lanes && reinterpret_cast<uintptr_t>(out) % sizeof v == 0) {
      _mm512_stream_ps(out, reinterpret_cast<__m512>(v));
      return v;
    }
  }
#endif
  return stored(out, v, n);
}

// Before other threads may read what went past the caches.
static inline void finish_stores_past() {
#if TRIREME_LANES == 16
  _mm_sfence();
#endif
}

// `sums` are those of the four gates.
template <class T, class Keep>
inline void lstm_units(const LstmTask& t, int64_t r, int64_t unit, int n, const Vec* sums, const Keep& keep) {
  auto* gates = static_cast<const T*>(t.gates) + 4 * r * t.stride + unit;
  auto* activated = static_cast<T*>(t.activated) + 4 * r * t.stride + unit;
  Vec i = sigmoid(load_partial(gates, n) + sums[0]);
  Vec f = sigmoid(load_partial(gates + t.hidden, n) + sums[1]);
  Vec g = tangent(load_partial(gates + 2 * t.hidden, n) + sums[2]);
  Vec o = sigmoid(load_partial(gates + 3 * t.hidden, n) + sums[3]);
  Vec c = i * g;
  float* state = t.state + r * t.hidden + unit;
  if (!t.first) c += f * load_partial(state, n);
  store_partial(state, c, n);
  stored_past(t.cells + r * t.stride + unit, c, n);
  stored_past(activated, i, n);
  stored_past(activated + t.hidden, f, n);
  stored_past(activated + 2 * t.hidden, g, n);
  stored_past(activated + 3 * t.hidden, o, n);
  keep(unit, stored_past(static_cast<T*>(t.h) + r * t.stride + unit, o * tangent(c), n), n);
}

template <class T, class Keep>
inline void lstm_backward_units(const LstmBackwardTask& t, int64_t r, int64_t unit, int n, Vec sum,
                                const Keep& keep) {
  auto* activated = static_cast<const T*>(t.activated) + 4 * r * t.stride + unit;
  auto* dgates = static_cast<T*>(t.dgates) + 4 * r * t.stride + unit;
  Vec i = load_partial(activated, n);
  Vec f = load_partial(activated + t.hidden, n);
  Vec g = load_partial(activated + 2 * t.hidden, n);
  Vec o = load_partial(activated + 3 * t.hidden, n);
  Vec bent = tangent(load_partial(t.cells + r * t.stride + unit, n));
  Vec before{};
  if (t.cells_before != nullptr) before = load_partial(t.cells_before + r * t.stride + unit, n);
  Vec dh = load_partial(static_cast<const T*>(t.dh) + r * t.stride + unit, n) + sum;
  Vec dc = dh * o * (1.0f - bent * bent);
  float* carry = t.carry + r * t.hidden + unit;
  if (!t.first) dc += load_partial(carry, n);
  store_partial(carry, dc * f, n);
  auto give = [&](int64_t gate, Vec v) {
    keep(unit + gate * t.hidden, stored(dgates + gate * t.hidden, v, n), n);
  };
  give(0, dc * g * i * (1.0f - i));
  give(1, dc * before * f * (1.0f - f));
  give(2, dc * i * (1.0f - g * g));
  give(3, dh * bent * o * (1.0f - o));
}

template <class T, class Keep>
inline void rnn_units(const RnnTask& t, int64_t r, int64_t unit, int n, Vec sum, const Keep& keep) {
  Vec pre = load_partial(static_cast<const T*>(t.pre) + r * t.stride + unit, n);
  keep(unit, stored(static_cast<T*>(t.h) + r * t.stride + unit, tangent(pre + sum), n), n);
}

template <class T, class Keep>
inline void rnn_backward_units(const RnnBackwardTask& t, int64_t r, int64_t unit, int n, Vec sum,
                               const Keep& keep) {
  Vec y = load_partial(static_cast<const T*>(t.h) + r * t.stride + unit, n);
  Vec dh = load_partial(static_cast<const T*>(t.dh) + r * t.stride + unit, n) + sum;
  keep(unit, stored(static_cast<T*>(t.dpre) + r * t.stride + unit, dh * (1.0f - y * y), n), n);
}

// Ask for the lines that a vector of units touches, for writing those that are written.
template <class T>
static inline void fetch_to_read(const T* p) {
  __builtin_prefetch(p, 0);
}
template <class T>
static inline void fetch_to_write(T* p) {
  __builtin_prefetch(p, 1);
}

template <class T>
inline void fetch_lstm(const LstmTask& t, int64_t r, int64_t unit) {
  int64_t at = r * t.stride + unit;
  for (int gate = 0; gate < 4; ++gate) {
    int64_t of_gate = at + 3 * r * t.stride + gate * t.hidden;
    fetch_to_read(static_cast<const T*>(t.gates) + of_gate);
    if (!goes_past<T>) fetch_to_write(static_cast<T*>(t.activated) + of_gate);
  }
  if (!goes_past<float>) fetch_to_write(t.cells + at);
  if (!goes_past<T>) fetch_to_write(static_cast<T*>(t.h) + at);
}

template <class T>
inline void fetch_lstm_backward(const LstmBackwardTask& t, int64_t r, int64_t unit) {
  int64_t at = r * t.stride + unit;
  for (int gate = 0; gate < 4; ++gate) {
    int64_t of_gate = at + 3 * r * t.stride + gate * t.hidden;
    fetch_to_read(static_cast<const T*>(t.activated) + of_gate);
    fetch_to_write(static_cast<T*>(t.dgates) + of_gate);
  }
  fetch_to_read(static_cast<const T*>(t.dh) + at);
  fetch_to_read(t.cells + at);
  if (t.cells_before != nullptr) fetch_to_read(t.cells_before + at);
}

template <class T>
inline void fetch_rnn(const RnnTask& t, int64_t r, int64_t unit) {
  fetch_to_read(static_cast<const T*>(t.pre) + r * t.stride + unit);
  fetch_to_write(static_cast<T*>(t.h) + r * t.stride + unit);
}

template <class T>
inline void fetch_rnn_backward(const RnnBackwardTask& t, int64_t r, int64_t unit) {
  int64_t at = r * t.stride + unit;
  fetch_to_read(static_cast<const T*>(t.dh) + at);
  fetch_to_read(static_cast<const T*>(t.h) + at);
  fetch_to_write(static_cast<T*>(t.dpre) + at);
}

}  // namespace TRIREME_KERNEL_SPACE
