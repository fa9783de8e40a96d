// Steps of recurrences. A step is a product of the state [rows, depth] and the packed weights, a few rows and
// one panel of four vectors at a time, whose sums never leave the registers before the gates are computed
// from them. The four vectors of an LSTM's panel are the four gates of the same hidden units, so that a panel
// finishes those units.
#include "backend/cpu/kernels/functions.h"
#include "backend/cpu/kernels/half.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// Rows whose sums fit into the registers next to a panel's four vectors.
constexpr int64_t most_rows = lanes == 16 ? 6 : 3;

struct Sums {
  Vec of[most_rows][4];
};

// Keeps the compiler from making a function anew for every number of rows: bits must not depend on how
// samples fall into blocks.
#define TRIREME_ONE_COPY __attribute__((noinline))

template <int rows>
inline void multiply(const float* a, int64_t a_row, int64_t depth, const float* panel, Sums& sums) {
  Vec s[rows][4] = {};
  for (int64_t k = 0; k < depth; ++k, panel += 4 * lanes) {
    Vec b0 = load(panel), b1 = load(panel + lanes), b2 = load(panel + 2 * lanes),
        b3 = load(panel + 3 * lanes);
#pragma GCC unroll 6
    for (int r = 0; r < rows; ++r) {
      Vec x = broadcast(a[r * a_row + k]);
      s[r][0] += x * b0;
      s[r][1] += x * b1;
      s[r][2] += x * b2;
      s[r][3] += x * b3;
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < 4; ++v) sums.of[r][v] = s[r][v];
  }
}

inline void multiply_rows(int64_t rows, const float* a, int64_t a_row, int64_t depth, const float* panel,
                          Sums& sums) {
  switch (rows) {
    case 1:
      return multiply<1>(a, a_row, depth, panel, sums);
    case 2:
      return multiply<2>(a, a_row, depth, panel, sums);
    case 3:
      return multiply<3>(a, a_row, depth, panel, sums);
#if TRIREME_LANES == 16
    case 4:
      return multiply<4>(a, a_row, depth, panel, sums);
    case 5:
      return multiply<5>(a, a_row, depth, panel, sums);
    default:
      return multiply<6>(a, a_row, depth, panel, sums);
#endif
  }
}

// Calls body(row, panel, its four sums) for everything; rows in blocks of nearly the same size. A sample's
// rows lie far apart, which the processor's prefetchers do not follow: fetch(row, panel) asks for what the
// body will touch, and the product before it hides the wait.
template <class Fetch, class Body>
inline void for_sums(const RecurrentTask& t, int64_t depth, bool gates, const Fetch& fetch,
                     const Body& body) {
  Sums sums{};
  int64_t blocks = (t.rows + most_rows - 1) / most_rows;
  for (int64_t p = 0; p < panel_count(t.hidden, lanes, gates); ++p) {
    for (int64_t block = 0; block < blocks; ++block) {
      int64_t begin = block * t.rows / blocks;
      int64_t end = (block + 1) * t.rows / blocks;
      for (int64_t r = begin; r < end; ++r) fetch(r, p);
      if (t.panels != nullptr) {
        multiply_rows(end - begin, t.previous + begin * depth, depth, depth, t.panels + p * depth * 4 * lanes,
                      sums);
      }
      for (int64_t r = begin; r < end; ++r) body(r, p, sums.of[r - begin]);
    }
  }
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exponential(-x)); }

// By exp(-2 |x|), which is at most 1: off by 1e-7 at the most.
inline Vec tangent(Vec x) {
  Vec e = exponential((x < Vec{} ? x : -x) * 2.0f);
  Vec y = (1.0f - e) / (1.0f + e);
  return x < Vec{} ? -y : y;
}

// Stores v as T, and as float what T keeps of it.
template <class T>
inline void store_both(T* out, float* kept, Vec v, int n) {
  store_partial(out, v, n);
  store_partial(kept, load_partial(out, n), n);
}

template <class T>
TRIREME_ONE_COPY void lstm_units(const LstmTask& t, int64_t r, int64_t unit, int n, const Vec* sums) {
  auto* gates = static_cast<const T*>(t.gates) + 4 * r * t.stride + unit;
  auto* activated = static_cast<T*>(t.activated) + 4 * r * t.stride + unit;
  Vec i = sigmoid(load_partial(gates, n) + sums[0]);
  Vec f = sigmoid(load_partial(gates + t.hidden, n) + sums[1]);
  Vec g = tangent(load_partial(gates + 2 * t.hidden, n) + sums[2]);
  Vec o = sigmoid(load_partial(gates + 3 * t.hidden, n) + sums[3]);
  Vec c = i * g;
  float* state = t.state + r * t.hidden + unit;
  if (t.panels != nullptr) c += f * load_partial(state, n);
  store_partial(state, c, n);
  store_partial(t.cells + r * t.stride + unit, c, n);
  store_partial(activated, i, n);
  store_partial(activated + t.hidden, f, n);
  store_partial(activated + 2 * t.hidden, g, n);
  store_partial(activated + 3 * t.hidden, o, n);
  store_both(static_cast<T*>(t.h) + r * t.stride + unit, t.next + r * t.hidden + unit, o * tangent(c), n);
}

template <class T>
TRIREME_ONE_COPY void lstm_backward_units(const LstmBackwardTask& t, int64_t r, int64_t unit, int n,
                                          Vec sum) {
  auto* activated = static_cast<const T*>(t.activated) + 4 * r * t.stride + unit;
  auto* dgates = static_cast<T*>(t.dgates) + 4 * r * t.stride + unit;
  float* next = t.next + 4 * r * t.hidden + unit;
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
  if (t.panels != nullptr) dc += load_partial(carry, n);
  store_partial(carry, dc * f, n);
  store_both(dgates, next, dc * g * i * (1.0f - i), n);
  store_both(dgates + t.hidden, next + t.hidden, dc * before * f * (1.0f - f), n);
  store_both(dgates + 2 * t.hidden, next + 2 * t.hidden, dc * i * (1.0f - g * g), n);
  store_both(dgates + 3 * t.hidden, next + 3 * t.hidden, dh * bent * o * (1.0f - o), n);
}

template <class T>
TRIREME_ONE_COPY void rnn_units(const RnnTask& t, int64_t r, int64_t unit, int n, Vec sum) {
  Vec pre = load_partial(static_cast<const T*>(t.pre) + r * t.stride + unit, n);
  store_both(static_cast<T*>(t.h) + r * t.stride + unit, t.next + r * t.hidden + unit, tangent(pre + sum), n);
}

template <class T>
TRIREME_ONE_COPY void rnn_backward_units(const RnnBackwardTask& t, int64_t r, int64_t unit, int n, Vec sum) {
  Vec y = load_partial(static_cast<const T*>(t.h) + r * t.stride + unit, n);
  Vec dh = load_partial(static_cast<const T*>(t.dh) + r * t.stride + unit, n) + sum;
  store_both(static_cast<T*>(t.dpre) + r * t.stride + unit, t.next + r * t.hidden + unit, dh * (1.0f - y * y),
             n);
}

inline int lanes_from(int64_t unit, int64_t hidden) {
  return static_cast<int>(hidden - unit < lanes ? hidden - unit : lanes);
}

// The line of a vector of elements; those that are written too, for writing.
template <class T>
inline void fetch_to_read(const T* p) {
  __builtin_prefetch(p, 0);
}
template <class T>
inline void fetch_to_write(T* p) {
  __builtin_prefetch(p, 1);
}

// Calls fetch(row, first unit) and body(row, first unit, lanes valid, sum) for every vector of units.
template <class Fetch, class Body>
inline void for_units(const RecurrentTask& t, int64_t depth, const Fetch& fetch, const Body& body) {
  auto fetch_panel = [&](int64_t r, int64_t p) {
    for (int v = 0; v < 4; ++v) {
      int64_t unit = (p * 4 + v) * lanes;
      if (unit < t.hidden) fetch(r, unit);
    }
  };
  for_sums(t, depth, false, fetch_panel, [&](int64_t r, int64_t p, const Vec* sums) {
    for (int v = 0; v < 4; ++v) {
      int64_t unit = (p * 4 + v) * lanes;
      if (unit < t.hidden) body(r, unit, lanes_from(unit, t.hidden), sums[v]);
    }
  });
}

template <class T>
void pack(const PanelTask& t) {
  auto* w = static_cast<const T*>(t.weights);
  for (int64_t p = 0; p < panel_count(t.units, lanes, t.gates); ++p) {
    for (int v = 0; v < 4; ++v) {
      int64_t unit = t.gates ? p * lanes : (p * 4 + v) * lanes;
      const T* from = w + unit * t.unit_stride + (t.gates ? v * t.gate_stride : 0);
      float* to = t.packed + p * t.depth * 4 * lanes + v * lanes;
      int n = unit < t.units ? lanes_from(unit, t.units) : 0;
      for (int64_t k = 0; k < t.depth; ++k) {
        Vec values{};
        if (n > 0 && t.unit_stride == 1) {
          values = load_partial(from + k * t.depth_stride, n);
        } else {
          for (int i = 0; i < n; ++i)
            values[i] = load_partial(from + i * t.unit_stride + k * t.depth_stride, 1)[0];
        }
        store(to + k * 4 * lanes, values);
      }
    }
  }
}

}  // namespace

void pack_panels(const PanelTask& t) {
  with_type(t.type, t.weights, [&]<class T>(const T*) { pack<T>(t); });
}

void lstm_step(const LstmTask& t) {
  with_type(t.type, t.gates, [&]<class T>(const T* gates) {
    auto fetch = [&](int64_t r, int64_t p) {
      int64_t at = r * t.stride + p * lanes;
      for (int gate = 0; gate < 4; ++gate) {
        int64_t of_gate = at + 3 * r * t.stride + gate * t.hidden;
        fetch_to_read(gates + of_gate);
        fetch_to_write(static_cast<T*>(t.activated) + of_gate);
      }
      fetch_to_write(t.cells + at);
      fetch_to_write(static_cast<T*>(t.h) + at);
    };
    for_sums(t, t.hidden, true, fetch, [&](int64_t r, int64_t p, const Vec* sums) {
      lstm_units<T>(t, r, p * lanes, lanes_from(p * lanes, t.hidden), sums);
    });
  });
}

void lstm_backward_step(const LstmBackwardTask& t) {
  with_type(t.type, t.dh, [&]<class T>(const T* dh) {
    auto fetch = [&](int64_t r, int64_t unit) {
      int64_t at = r * t.stride + unit;
      for (int gate = 0; gate < 4; ++gate) {
        int64_t of_gate = at + 3 * r * t.stride + gate * t.hidden;
        fetch_to_read(static_cast<const T*>(t.activated) + of_gate);
        fetch_to_write(static_cast<T*>(t.dgates) + of_gate);
      }
      fetch_to_read(dh + at);
      fetch_to_read(t.cells + at);
      if (t.cells_before != nullptr) fetch_to_read(t.cells_before + at);
    };
    for_units(t, 4 * t.hidden, fetch,
              [&](int64_t r, int64_t unit, int n, Vec sum) { lstm_backward_units<T>(t, r, unit, n, sum); });
  });
}

void rnn_step(const RnnTask& t) {
  with_type(t.type, t.pre, [&]<class T>(const T* pre) {
    auto fetch = [&](int64_t r, int64_t unit) {
      fetch_to_read(pre + r * t.stride + unit);
      fetch_to_write(static_cast<T*>(t.h) + r * t.stride + unit);
    };
    for_units(t, t.hidden, fetch,
              [&](int64_t r, int64_t unit, int n, Vec sum) { rnn_units<T>(t, r, unit, n, sum); });
  });
}

void rnn_backward_step(const RnnBackwardTask& t) {
  with_type(t.type, t.dh, [&]<class T>(const T* dh) {
    auto fetch = [&](int64_t r, int64_t unit) {
      int64_t at = r * t.stride + unit;
      fetch_to_read(dh + at);
      fetch_to_read(static_cast<const T*>(t.h) + at);
      fetch_to_write(static_cast<T*>(t.dpre) + at);
    };
    for_units(t, t.hidden, fetch,
              [&](int64_t r, int64_t unit, int n, Vec sum) { rnn_backward_units<T>(t, r, unit, n, sum); });
  });
}

}  // namespace TRIREME_KERNEL_SPACE
