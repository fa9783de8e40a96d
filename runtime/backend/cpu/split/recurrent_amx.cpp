// split/recurrent_kernels.h by AMX and AVX-512; compiled for a processor that has both, and with nothing of
// the standard library, whose inline functions must not be compiled for it.
#include "backend/cpu/split/recurrent_kernels.h"

#include "backend/cpu/kernels/recurrent_units.h"
#include "backend/cpu/split/tiles.h"

namespace trireme::cpu::split {
namespace {

using matrix::Vec;

// What a row keeps for the next step: its three planes (kernels.h), 16 values at a time.
struct KeepPlanes {
  uint16_t* row;
  int64_t plane;

  void operator()(int64_t k, Vec v, int) const {
    auto x = reinterpret_cast<__m512>(v);
    x = _mm512_sub_ps(x, put(k, x));
    x = _mm512_sub_ps(x, put(plane + k, x));
    put(2 * plane + k, x);
  }

 private:
  __m512 put(int64_t at, __m512 x) const {
    auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(row + at), rounded);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
  }
};

inline KeepPlanes keep_planes(const RecurrentPlanes& p, int64_t r) {
  return {p.next.values + r * p.next.stride, p.next.plane};
}

// Sums of a block of 32 rows: of one or two panels of 32 columns.
template <int panels>
struct Sums {
  alignas(64) float of[panels][block * block];
  // Columns [16 half, 16 half + 16) of a row.
  Vec at(int panel, int64_t row, int half) const {
    return matrix::load(of[panel] + row * block + half * half_block);
  }
};

// One panel's products of a block, to rows of sums; between() is called after each of a step's products, so
// that the processor has vector work to do while the unit computes.
template <bool two_rows, class Between>
inline void contract(const uint16_t* a, const Planes& planes, int64_t steps, const uint16_t* panel,
                     float* sums, int64_t sums_stride, const Between& between) {
  clear_result<two_rows, true>();
  for (int64_t step = 0; step < steps; ++step, panel += panel_step) {
    multiply_step<split::planes, two_rows, true>(a + step * block, planes.plane, planes.stride, panel,
                                                 between);
  }
  store_result<two_rows, true>(sums, sums_stride * 4);
}

template <class Between>
inline void contract_rows(int64_t rows, const uint16_t* a, const Planes& planes, int64_t steps,
                          const uint16_t* panel, float* sums, int64_t sums_stride, const Between& between) {
  if (rows > half_block) {
    contract<true>(a, planes, steps, panel, sums, sums_stride, between);
  } else {
    contract<false>(a, planes, steps, panel, sums, sums_stride, between);
  }
}

// Rows group by group, in the order in which they are finished.
struct Cursor {
  int64_t row, group;
  void next(int64_t rows) {
    if (++row == rows) {
      row = 0;
      ++group;
    }
  }
};

constexpr int64_t products_a_step = 6;
constexpr int64_t rows_fetched_ahead = 24;  // measured

// Calls fetch(row, group) some rows before finish(row, row within its block, group, sums) for everything.
// Groups are of 16 units by two panels or of 32 by one.
template <int panels, class Fetch, class Finish>
inline void for_blocks(const RecurrentTask& t, const RecurrentPlanes& p, int64_t depth, const Fetch& fetch,
                       const Finish& finish) {
  Sums<panels> sums[2];
  int64_t steps = depth / block, groups = t.hidden / (block / panels);
  int64_t calls = panels * steps * products_a_step;
  Cursor fetched{0, 0}, finished{0, 0};
  auto fetch_next = [&] {
    if (fetched.group == groups) return;
    fetch(fetched.row, fetched.group);
    fetched.next(t.rows);
  };
  for (int64_t i = 0; i < rows_fetched_ahead; ++i) fetch_next();
  auto finish_next = [&](const Sums<panels>& of) {
    fetch_next();
    finish(finished.row, finished.row % block, finished.group, of);
    finished.next(t.rows);
  };
  if (t.first) {
    sums[0] = {};
    while (finished.group < groups) finish_next(sums[0]);
    return;
  }
  Tiles tiles;
  int64_t turn = 0, left = 0;  // rows of the block before that are not finished
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t row = 0; row < t.rows; row += block, turn = 1 - turn) {
      int64_t rows = t.rows - row < block ? t.rows - row : block;
      int64_t before = left, due = 0;
      auto between = [&] {
        for (due += before; due >= calls; due -= calls, --left) finish_next(sums[1 - turn]);
      };
      for (int panel = 0; panel < panels; ++panel) {
        const uint16_t* a = p.previous.values + row * p.previous.stride;
        const uint16_t* b = p.panels.values + (group * panels + panel) * p.panels.stride;
        contract_rows(rows, a, p.previous, steps, b, sums[turn].of[panel], block, between);
      }
      while (left > 0) {
        finish_next(sums[1 - turn]);
        --left;
      }
      left = rows;
    }
  }
  while (finished.group < groups) finish_next(sums[1 - turn]);
}

constexpr int vector = static_cast<int>(half_block);

TRIREME_ONE_COPY void finish_lstm(const LstmTask& t, const RecurrentPlanes& p, int64_t r, int64_t in_block,
                                  int64_t group, const Sums<2>& sums) {
  Vec gates[4] = {sums.at(0, in_block, 0), sums.at(0, in_block, 1), sums.at(1, in_block, 0),
                  sums.at(1, in_block, 1)};
  matrix::lstm_units<float>(t, r, group * half_block, vector, gates, keep_planes(p, r));
}

// A whole row, and fetches the next one meanwhile.
TRIREME_ONE_COPY void finish_lstm_backward(const LstmBackwardTask& t, const RecurrentPlanes& p, int64_t r,
                                           const float* sums) {
  for (int64_t unit = 0; unit < t.hidden; unit += half_block) {
    if (r + 1 < t.rows) matrix::fetch_lstm_backward<float>(t, r + 1, unit);
    Vec sum = sums == nullptr ? Vec{} : matrix::load(sums + unit);
    matrix::lstm_backward_units<float>(t, r, unit, vector, sum, keep_planes(p, r));
  }
}

TRIREME_ONE_COPY void finish_rnn(const RnnTask& t, const RecurrentPlanes& p, int64_t r, int64_t in_block,
                                 int64_t group, const Sums<1>& sums) {
  for (int half = 0; half < 2; ++half) {
    matrix::rnn_units<float>(t, r, group * block + half * half_block, vector, sums.at(0, in_block, half),
                             keep_planes(p, r));
  }
}

TRIREME_ONE_COPY void finish_rnn_backward(const RnnBackwardTask& t, const RecurrentPlanes& p, int64_t r,
                                          int64_t in_block, int64_t group, const Sums<1>& sums) {
  for (int half = 0; half < 2; ++half) {
    matrix::rnn_backward_units<float>(t, r, group * block + half * half_block, vector,
                                      sums.at(0, in_block, half), keep_planes(p, r));
  }
}

}  // namespace

void pack_gate_panels(const float* w, int64_t hidden, int64_t first, Panels to) {
  for (int64_t unit = 0; unit < hidden; unit += half_block) {
    for (int64_t gate = 0; gate < 4; ++gate) {
      int64_t panel = unit / half_block * 2 + gate / 2;
      Panels tile{to.values + panel * to.stride + first / block * panel_step + gate % 2 * tile_elements,
                  to.stride};
      pack_panels(w + first * 4 * hidden + gate * hidden + unit, block, half_block, 4 * hidden, half_block,
                  tile, nullptr);
    }
  }
}

void lstm_step(const LstmTask& t, const RecurrentPlanes& p) {
  for_blocks<2>(
      t, p, t.hidden, [&](int64_t r, int64_t group) { matrix::fetch_lstm<float>(t, r, group * half_block); },
      [&](int64_t r, int64_t in_block, int64_t group, const Sums<2>& sums) {
        finish_lstm(t, p, r, in_block, group, sums);
      });
  matrix::finish_stores_past();
}

// All products of a block of rows first, then row by row, as the rows lie in memory: a step takes in and
// gives so much that this is faster (12 ms for 14) than working on a row's units while the products of others
// are made. The forward step, which gives past the caches, gains more by the latter (10 ms for 12).
void lstm_backward_step(const LstmBackwardTask& t, const RecurrentPlanes& p) {
  for (int64_t row = 0; row < t.rows; row += block) {
    int64_t rows = t.rows - row < block ? t.rows - row : block;
    if (!t.first) {
      Tiles tiles;
      for (int64_t panel = 0; panel < t.hidden / block; ++panel) {
        contract_rows(rows, p.previous.values + row * p.previous.stride, p.previous, 4 * t.hidden / block,
                      p.panels.values + panel * p.panels.stride, p.sums + panel * block, t.hidden, [] {});
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      finish_lstm_backward(t, p, row + r, t.first ? nullptr : p.sums + r * t.hidden);
    }
  }
}

void rnn_step(const RnnTask& t, const RecurrentPlanes& p) {
  for_blocks<1>(
      t, p, t.hidden,
      [&](int64_t r, int64_t group) {
        matrix::fetch_rnn<float>(t, r, group * block);
        matrix::fetch_rnn<float>(t, r, group * block + half_block);
      },
      [&](int64_t r, int64_t in_block, int64_t group, const Sums<1>& sums) {
        finish_rnn(t, p, r, in_block, group, sums);
      });
}

void rnn_backward_step(const RnnBackwardTask& t, const RecurrentPlanes& p) {
  for_blocks<1>(
      t, p, t.hidden,
      [&](int64_t r, int64_t group) {
        matrix::fetch_rnn_backward<float>(t, r, group * block);
        matrix::fetch_rnn_backward<float>(t, r, group * block + half_block);
      },
      [&](int64_t r, int64_t in_block, int64_t group, const Sums<1>& sums) {
        finish_rnn_backward(t, p, r, in_block, group, sums);
      });
}

}  // namespace trireme::cpu::split
