// Steps of recurrences. A step is a product of the state [rows, depth] and the packed weights, a few rows and
// one panel of four vectors at a time, whose sums never leave the registers before the gates are computed
// from them. The four vectors of an LSTM's panel are the four gates of the same hidden units, so that a panel
// finishes those units.
#include "backend/cpu/kernels/recurrent_units.h"
#include "backend/cpu/kernels/set.h"

namespace TRIREME_KERNEL_SPACE {
namespace {

// Rows whose sums fit into the registers next to a panel's four vectors.
constexpr int64_t most_rows = lanes == 16 ? 6 : 3;

struct Sums {
  Vec of[most_rows][4];
};

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
      if (!t.first) {
        multiply_rows(end - begin, t.previous + begin * depth, depth, depth, t.panels + p * depth * 4 * lanes,
                      sums);
      }
      for (int64_t r = begin; r < end; ++r) body(r, p, sums.of[r - begin]);
    }
  }
}

// Keeps a row's state in contiguous rows of `depth`.
inline auto keep_row(const RecurrentTask& t, int64_t r, int64_t depth) {
  return [row = t.next + r * depth](int64_t k, Vec v, int n) { store_partial(row + k, v, n); };
}

template <class T>
TRIREME_ONE_COPY void finish_lstm(const LstmTask& t, int64_t r, int64_t unit, int n, const Vec* sums) {
  lstm_units<T>(t, r, unit, n, sums, keep_row(t, r, t.hidden));
}
template <class T>
TRIREME_ONE_COPY void finish_lstm_backward(const LstmBackwardTask& t, int64_t r, int64_t unit, int n,
                                           Vec sum) {
  lstm_backward_units<T>(t, r, unit, n, sum, keep_row(t, r, 4 * t.hidden));
}
template <class T>
TRIREME_ONE_COPY void finish_rnn(const RnnTask& t, int64_t r, int64_t unit, int n, Vec sum) {
  rnn_units<T>(t, r, unit, n, sum, keep_row(t, r, t.hidden));
}
template <class T>
TRIREME_ONE_COPY void finish_rnn_backward(const RnnBackwardTask& t, int64_t r, int64_t unit, int n, Vec sum) {
  rnn_backward_units<T>(t, r, unit, n, sum, keep_row(t, r, t.hidden));
}

inline int lanes_from(int64_t unit, int64_t hidden) {
  return static_cast<int>(hidden - unit < lanes ? hidden - unit : lanes);
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
  with_type(t.type, t.gates, [&]<class T>(const T*) {
    auto fetch = [&](int64_t r, int64_t p) { fetch_lstm<T>(t, r, p * lanes); };
    for_sums(t, t.hidden, true, fetch, [&](int64_t r, int64_t p, const Vec* sums) {
      finish_lstm<T>(t, r, p * lanes, lanes_from(p * lanes, t.hidden), sums);
    });
  });
  finish_stores_past();
}

void lstm_backward_step(const LstmBackwardTask& t) {
  with_type(t.type, t.dh, [&]<class T>(const T*) {
    for_units(
        t, 4 * t.hidden, [&](int64_t r, int64_t unit) { fetch_lstm_backward<T>(t, r, unit); },
        [&](int64_t r, int64_t unit, int n, Vec sum) { finish_lstm_backward<T>(t, r, unit, n, sum); });
  });
}

void rnn_step(const RnnTask& t) {
  with_type(t.type, t.pre, [&]<class T>(const T*) {
    for_units(
        t, t.hidden, [&](int64_t r, int64_t unit) { fetch_rnn<T>(t, r, unit); },
        [&](int64_t r, int64_t unit, int n, Vec sum) { finish_rnn<T>(t, r, unit, n, sum); });
  });
}

void rnn_backward_step(const RnnBackwardTask& t) {
  with_type(t.type, t.dh, [&]<class T>(const T*) {
    for_units(
        t, t.hidden, [&](int64_t r, int64_t unit) { fetch_rnn_backward<T>(t, r, unit); },
        [&](int64_t r, int64_t unit, int n, Vec sum) { finish_rnn_backward<T>(t, r, unit, n, sum); });
  });
}

}  // namespace TRIREME_KERNEL_SPACE
