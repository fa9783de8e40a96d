// split/kernels.h by AMX and AVX-512; compiled for a processor that has both, and with nothing of the
// standard library, whose inline functions must not be compiled for it.
#include "backend/cpu/split/kernels.h"
#include "backend/cpu/split/tiles.h"

namespace trireme::cpu::split {
namespace {

// At most 16 columns of a row, or zeros where there is none; `next` values on they are fetched.
inline __m512 load_row(const float* row, int64_t columns, int64_t next) {
  if (row == nullptr) return _mm512_setzero_ps();
  fetch(row + next);
  return load_first(row, columns);
}

// 32 rows (row_of(i), null for zeros) of at most 16 columns, transposed: word i of words[p][c] holds rows 2 i
// and 2 i + 1 of column c.
template <class RowOf>
inline void split_block_transposed(const RowOf& row_of, int64_t columns, int64_t next,
                                   __m512i (&words)[planes][16]) {
  for (int i = 0; i < 16; ++i) {
    Split s = split_pair(load_row(row_of(2 * i), columns, next), load_row(row_of(2 * i + 1), columns, next));
    for (int p = 0; p < planes; ++p) words[p][i] = s.value[p];
  }
  for (int p = 0; p < planes; ++p) transpose(words[p]);
}

// The same into planes, a row for each of the columns.
template <class RowOf>
inline void split_columns(const RowOf& row_of, int64_t columns, int64_t next, Planes to) {
  __m512i words[planes][16];
  split_block_transposed(row_of, columns, next, words);
  int64_t count = columns < half_block ? columns : half_block;
  for (int p = 0; p < planes; ++p) {
    uint16_t* out = to.values + p * to.plane;
    for (int64_t i = 0; i < count; ++i) _mm512_storeu_si512(out + i * to.stride, words[p][i]);
  }
}

// The same 32 rows as a step of a panel's half; returns their sum.
template <class RowOf>
inline __m512 pack_half_step(const RowOf& row_of, int64_t columns, int64_t next, uint16_t* out) {
  __m512 sum = _mm512_setzero_ps();
  for (int i = 0; i < block; i += 2) {
    __m512 first = load_row(row_of(i), columns, next), second = load_row(row_of(i + 1), columns, next);
    sum = _mm512_add_ps(sum, _mm512_add_ps(first, second));
    Split s = split_pair(first, second);
    for (int p = 0; p < planes; ++p)
      _mm512_storeu_si512(out + 2 * p * tile_elements + i * half_block, s.value[p]);
  }
  return sum;
}

// Of a panel's columns: where the half with `column` begins, at the step of `row`.
inline uint16_t* half_step(Panels to, int64_t row, int64_t column) {
  return to.values + column / block * to.stride + row / block * panel_step +
         (column % block == 0 ? 0 : tile_elements);
}

}  // namespace

bool compiled_for_matrix_units() { return true; }

void split_rows(const float* x, int64_t rows, int64_t columns, int64_t x_stride, Planes to) {
  constexpr int64_t ahead = 1024;  // a page: the processor's own prefetching stops at its end
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = x + row * x_stride;
    uint16_t* out = to.values + row * to.stride;
    for (int64_t c = 0; c < columns; c += block) {
      fetch(from + c + ahead);
      fetch(from + c + ahead + half_block);
      Split s = split_pair(load_first(from + c, columns - c),
                           load_first(from + c + half_block, columns - c - half_block));
      for (int p = 0; p < planes; ++p) _mm512_storeu_si512(out + p * to.plane + c, in_row(s.value[p]));
    }
  }
}

void split_transposed(const float* x, int64_t rows, int64_t columns, int64_t x_stride, int64_t next,
                      Planes to) {
  for (int64_t row = 0; row < rows; row += block) {
    for (int64_t c = 0; c < columns; c += half_block) {
      auto row_of = [&](int64_t i) { return row + i < rows ? x + (row + i) * x_stride + c : nullptr; };
      split_columns(row_of, columns - c, next, {to.values + c * to.stride + row, to.plane, to.stride});
    }
  }
}

void split_images_transposed(const ImageRows& x, int64_t columns, int64_t next, Planes to) {
  for (int64_t c = 0; c < columns; c += half_block) {
    auto row_of = [&](int64_t i) { return x.row(i, c); };
    split_columns(row_of, columns - c, next, {to.values + c * to.stride, to.plane, to.stride});
  }
}

// Row by row of w, so that it is read as it lies.
void pack_panels(const float* w, int64_t rows, int64_t columns, int64_t w_stride, int64_t next, Panels to,
                 float* sums) {
  for (int64_t row = 0; row < rows; row += block) {
    for (int64_t c = 0; c < columns; c += half_block) {
      auto row_of = [&](int64_t i) { return row + i < rows ? w + (row + i) * w_stride + c : nullptr; };
      __m512 sum = pack_half_step(row_of, columns - c, next, half_step(to, row, c));
      if (sums == nullptr) continue;
      _mm512_mask_storeu_ps(sums + row / block * columns + c, first_lanes(columns - c), sum);
    }
  }
}

void pack_images(const ImageRows& x, int64_t columns, int64_t next, Panels to, float* sums) {
  for (int64_t c = 0; c < columns; c += half_block) {
    auto row_of = [&](int64_t i) { return x.row(i, c); };
    __m512 sum = pack_half_step(row_of, columns - c, next, half_step(to, 0, c));
    _mm512_mask_storeu_ps(sums + c, first_lanes(columns - c), sum);
  }
}

void pack_panels_transposed(const float* w, int64_t rows, int64_t columns, int64_t w_stride, Panels to) {
  for (int64_t column = 0; column < columns; column += half_block) {
    for (int64_t row = 0; row < rows; row += block) {
      __m512i words[planes][16];
      for (int64_t i = 0; i < half_block; ++i) {
        const float* from = w + (column + i) * w_stride + row;
        bool there = column + i < columns;
        Split s =
            split_pair(there ? load_first(from, rows - row) : _mm512_setzero_ps(),
                       there ? load_first(from + half_block, rows - row - half_block) : _mm512_setzero_ps());
        for (int p = 0; p < planes; ++p) words[p][i] = in_row(s.value[p]);
      }
      uint16_t* out = to.values + column / block * to.stride + row / block * panel_step +
                      (column % block == 0 ? 0 : tile_elements);
      for (int p = 0; p < planes; ++p) {
        transpose(words[p]);
        for (int64_t i = 0; i < half_block; ++i) {
          _mm512_storeu_si512(out + 2 * p * tile_elements + i * block, words[p][i]);
        }
      }
    }
  }
}

namespace {

// Fetches the lines of a block of the result, a few at a time between products, so that they are there when
// it is written: all at once would hold up the units.
struct ResultFetch {
  const float* row;
  int64_t stride, rows_left;
  void go_on() {
    for (int i = 0; i < 2 && rows_left > 0; ++i, --rows_left, row += stride) {
      _m_prefetchw(const_cast<float*>(row));
      _m_prefetchw(const_cast<float*>(row + half_block));
    }
  }
};

// A block of the result: its first 16 rows, and others at some distance from them. Half a block has no
// others.
struct Block {
  const uint16_t* a;
  int64_t a_half;
  float* c;
  int64_t c_half;
  int64_t rows[2];  // of each half, at most 16
};

// Steps that are summed up in a tile; what longer contractions come to is added up beside it, so that their
// sums round as little as those of float32 arithmetic, which have several accumulators.
constexpr int64_t steps_at_a_time = 32;

// Steps [first, end) of a block of 16 or 32 rows and columns.
template <bool two_rows, bool two_columns>
inline void contract(const Product& p, const Block& b, const uint16_t* panel, int64_t first, int64_t end) {
  ResultFetch halves[2] = {{b.c, p.c_stride, b.rows[0]}, {b.c + b.c_half, p.c_stride, b.rows[1]}};
  if (first > 0) halves[0].rows_left = halves[1].rows_left = 0;  // fetched already
  clear_result<two_rows, two_columns>();
  for (int64_t step = first; step < end; ++step) {
    const uint16_t* left = b.a + (p.a_offsets != nullptr ? p.a_offsets[step] : step * block);
    const uint16_t* right = panel + (p.panel_offsets != nullptr ? p.panel_offsets[step] : step * panel_step);
    multiply_step<planes, two_rows, two_columns>(left, p.a_plane, p.a_stride, b.a_half, right,
                                                 [&] { halves[halves[0].rows_left > 0 ? 0 : 1].go_on(); });
  }
}

template <bool two_rows, bool two_columns>
inline void multiply_block(const Product& p, const Block& b, int64_t column) {
  constexpr int64_t scratch_bytes = block * 4, scratch_half = half_block * scratch_bytes;
  alignas(64) float scratch[block * block], part[block * block];
  int64_t columns = p.columns - column < block ? p.columns - column : block;
  const uint16_t* panel = p.panels + column / block * p.panel_stride;
  int64_t end = p.steps < steps_at_a_time ? p.steps : steps_at_a_time;
  contract<two_rows, two_columns>(p, b, panel, 0, end);
  bool whole = b.rows[0] == half_block && (!two_rows || b.rows[1] == half_block) && columns % half_block == 0;
  bool plain = p.bias == nullptr && !p.relu && !p.accumulate && end == p.steps;
  if (whole && plain) {
    store_result<two_rows, two_columns>(b.c, p.c_stride * 4, b.c_half * 4);
    return;
  }
  store_result<two_rows, two_columns>(scratch, scratch_bytes, scratch_half);
  while (end < p.steps) {
    int64_t first = end;
    end = p.steps - first < steps_at_a_time ? p.steps : first + steps_at_a_time;
    contract<two_rows, two_columns>(p, b, panel, first, end);
    store_result<two_rows, two_columns>(part, scratch_bytes, scratch_half);
    for (int64_t i = 0; i < (two_rows ? block : half_block) * block; i += half_block) {
      _mm512_store_ps(scratch + i, _mm512_add_ps(_mm512_load_ps(scratch + i), _mm512_load_ps(part + i)));
    }
  }
  for (int64_t i = 0; i < columns; i += half_block) {
    __mmask16 lanes = first_lanes(columns - i);
    __m512 bias = p.bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, p.bias + column + i);
    for (int half = 0; half < 2; ++half) {
      for (int64_t r = 0; r < b.rows[half]; ++r) {
        float* to = b.c + half * b.c_half + r * p.c_stride + i;
        __m512 before = p.accumulate ? _mm512_maskz_loadu_ps(lanes, to) : bias;
        __m512 v = _mm512_add_ps(_mm512_load_ps(scratch + (half * half_block + r) * block + i), before);
        // The second operand where one of them is nan: nan stays nan.
        if (p.relu) v = _mm512_max_ps(_mm512_setzero_ps(), v);
        _mm512_mask_storeu_ps(to, lanes, v);
      }
    }
  }
}

inline void multiply_columns(const Product& p, Block b) {
  for (int64_t column = 0; column < p.columns; column += block) {
    bool two_rows = b.rows[1] > 0, two_columns = p.columns - column > half_block;
    if (two_rows && two_columns) multiply_block<true, true>(p, b, column);
    if (two_rows && !two_columns) multiply_block<true, false>(p, b, column);
    if (!two_rows && two_columns) multiply_block<false, true>(p, b, column);
    if (!two_rows && !two_columns) multiply_block<false, false>(p, b, column);
    b.c += block;
  }
}

}  // namespace

Tiles::Tiles() {
  TileConfig config;
  // GCC's _tile_loadconfig says that it reads eight bytes only.
  __asm__ volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

Tiles::~Tiles() { _tile_release(); }

void multiply(const Tiles&, const Product& p) {
  if (p.c_second != 0) {
    multiply_columns(p, {p.a, p.a_second, p.c, p.c_second, {p.rows, p.rows}});
    return;
  }
  for (int64_t row = 0; row < p.rows; row += block) {
    int64_t rows = p.rows - row < block ? p.rows - row : block;
    int64_t first = rows < half_block ? rows : half_block;
    multiply_columns(p, {p.a + row * p.a_stride,
                         half_block * p.a_stride,
                         p.c + row * p.c_stride,
                         half_block * p.c_stride,
                         {first, rows - first}});
  }
}

}  // namespace trireme::cpu::split
