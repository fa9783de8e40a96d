// Products of float32 matrices on a processor's bfloat16 matrix units (AMX), as exact as by float32
// arithmetic (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for
// higher-precision computations", arXiv 1904.06376).
//
// A float32 number is the sum of three bfloat16 numbers, x = x1 + x2 + x3, each what rounding left of it: 8
// bits of the 24 apiece. Of the nine products of two such sums the six large ones are made,
//
//   a b = a1 b1 + (a1 b2 + a2 b1) + (a1 b3 + a2 b2 + a3 b1),
//
// and added up in float32. What is left out is below 2^-25 of |a b|, less than float32's own rounding
// (2^-24). A matrix unit does 1024 operations a cycle where two AVX-512 units do 64, so that six products are
// still 2.6 times as fast as one by float32 arithmetic.
//
// Terms: a *plane* is one of the three bfloat16 matrices of a split matrix. The left operand lies in planes
// of rows, the right one in *panels* of 32 columns, interleaved as the unit reads them. Of
// operands that are not finite, or beyond bfloat16's 3.39e38, come results that are not finite, nan where
// float32 arithmetic might have given infinity. Parts below 2^-126 count as zero: numbers below some 2^-110
// lose digits.
//
// Serial and free of allocation, as all kernels. Only to be called where matrix_units() says so.
#pragma once

#include <cstdint>

namespace trireme::cpu::split {

inline constexpr int64_t block =
    32;  // rows and columns of a result's block, and contracted elements of a step
inline constexpr int64_t planes = 3;
inline constexpr int64_t panel_step = planes * block * block;  // elements of a panel that a step reads

constexpr int64_t blocks_of(int64_t count) { return (count + block - 1) / block; }
constexpr int64_t padded(int64_t count) { return blocks_of(count) * block; }

// Whether the processor has the units, the kernel lets this process use them (asked for once) and the
// compiler knew them.
bool matrix_units();
bool compiled_for_matrix_units();

// Three planes: element (row, column) of plane p at values[p * plane + row * stride + column].
struct Planes {
  uint16_t* values;
  int64_t plane;
  int64_t stride;
};

// Splits x [rows, columns], whose rows lie `x_stride` values apart; columns up to a multiple of 32 become
// zero.
void split_rows(const float* x, int64_t rows, int64_t columns, int64_t x_stride, Planes to);

// Splits the transpose: `to` has a row for each of x's columns, and x's rows as columns, padded with zeros to
// a multiple of 32.
// `next` is where what will be split next begins, from x on: it is fetched meanwhile.
void split_transposed(const float* x, int64_t rows, int64_t columns, int64_t x_stride, int64_t next,
                      Planes to);

// A pixel of a group of images: rows[h] of them, at most 16, from at[h] on, `stride` values from image to
// image. The others of 32 are zeros.
struct ImageRows {
  const float* at[2];
  int64_t rows[2];
  int64_t stride;
  const float* row(int64_t i, int64_t column) const {
    int64_t half = i / 16, image = i % 16;
    return image < rows[half] ? at[half] + image * stride + column : nullptr;
  }
};

// split_transposed of 32 images.
void split_images_transposed(const ImageRows& x, int64_t columns, int64_t next, Planes to);

// Panels of a right operand: that of columns 32 i and on begins at values[i * stride].
struct Panels {
  uint16_t* values;
  int64_t stride;
};

// The panels of w [rows, columns], padded with zeros to multiples of 32. `sums`, where it is not null,
// receives for every 32 rows their sum, `columns` values each.
void pack_panels(const float* w, int64_t rows, int64_t columns, int64_t w_stride, int64_t next, Panels to,
                 float* sums);

// A step of the panels, of 32 images. `sums` receives their sum, `columns` values.
void pack_images(const ImageRows& x, int64_t columns, int64_t next, Panels to, float* sums);

// The panels of the transpose of w: `columns` counts rows of w, `rows` elements of a row.
void pack_panels_transposed(const float* w, int64_t rows, int64_t columns, int64_t w_stride, Panels to);

// What a product adds to, and what becomes of it: c = a b + bias, with relu if asked.
struct Product {
  const uint16_t* a;  // plane 1 of the first row
  int64_t a_plane, a_stride;
  // Of each step's 32 contracted elements, where they begin in a row of `a` and in a panel; null: one step
  // behind the other.
  const int64_t* a_offsets;
  const int64_t* panel_offsets;
  int64_t steps;
  const uint16_t* panels;  // the first of the panels of 32 columns
  int64_t panel_stride;    // elements from one panel to the next
  int64_t rows, columns;   // of c; of `a` the rows up to a multiple of 16 are read, whatever they hold
  float* c;
  int64_t c_stride;
  // Where c_second is not 0, `rows` is at most 16 and stands for twice as many: those from `a` on and those
  // a_second elements behind them, whose results lie at c and at c + c_second. So that blocks are full.
  int64_t a_second = 0, c_second = 0;
  // c += a b, then without bias and relu: what a b adds is summed up by itself first, so that long sums made
  // in parts round less than one by one.
  bool accumulate;
  const float* bias;  // of the columns, or null
  bool relu;
};

// The calling thread's tiles are set up for as long as this lives (some 100 ns); nothing else on the thread
// may use them meanwhile, a primitive of the library least of all.
class Tiles {
 public:
  Tiles();
  ~Tiles();
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

void multiply(const Tiles& tiles, const Product& product);

}  // namespace trireme::cpu::split
