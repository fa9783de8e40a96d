#include "backend/cpu/split/convolution.h"

#include <memory>

#include "backend/cpu/packing.h"
#include "backend/cpu/split/image_group.h"
#include "backend/cpu/split/scratch.h"

namespace trireme::cpu::split {
namespace {

constexpr int64_t group = block;     // images
constexpr int64_t pixels_ahead = 4;  // fetched while one is split

struct Geometry {
  int64_t images;
  Extent x, y;
  Window window;
};

Geometry geometry_of(const Binding& b, const Shape& x, const Shape& y, int64_t height, int64_t width) {
  return {x[0],
          {x[1], x[2], x[3]},
          {y[1], y[2], y[3]},
          {height, width, b.integer("stride"), b.integer("padding"), b.integer("padding")}};
}

// Elements from one image's pixel to the next image's: a line more where a power of two would put the rows of
// a tile into a few sets of the cache.
int64_t row_stride(int64_t channels) {
  int64_t row = padded(channels);
  return row % (4 * block) == 0 ? row + block : row;
}

// Planes of a group of images, in scratch that all nodes of the backend share.
struct GroupPlanes {
  GroupPlanes(const Extent& extent, Library& library)
      : image(extent),
        stride(row_stride(extent.channels)),
        plane(extent.pixels() * group * stride),
        scratch(library.reserve_split(planes * plane)) {}
  int64_t pixel_elements() const { return group * stride; }

  // Splits a row of pixels of `count` images at x.
  void split(const float* x, int64_t count, int64_t row) const {
    for (int64_t i = 0; i < count; ++i) {
      const float* from = x + (i * image.pixels() + row * image.width) * image.channels;
      uint16_t* to = scratch.data() + row * image.width * pixel_elements() + i * stride;
      split_rows(from, image.width, image.channels, image.channels, {to, plane, pixel_elements()});
    }
  }

  Extent image;
  int64_t stride, plane;
  SplitScratch scratch;
};

// A convolution, or the gradient of its image: result[i, p, :] = sum over steps of image[i, pixel of the
// step, :] times the step's panel, plus a bias (or null), with relu if asked. pack_tap packs the weights of
// one tap.
struct Correlation {
  int64_t images;
  Extent image, result;
  std::shared_ptr<StepLists> steps;
  std::shared_ptr<PanelBuffer> panels;
  std::function<void(int64_t)> pack_tap;
  int64_t taps;
  void* const* bias = nullptr;
  bool relu = false;
};

// Of the node's input 0 with the weights that are its input 1.
Kernel bind_correlation(const Binding& b, const Correlation& correlation) {
  auto source = std::make_shared<GroupPlanes>(correlation.image, b.library);
  auto packed_version = std::make_shared<uint64_t>(0);
  // Panels that stay in the second-level cache all meet one pixel after the other; of larger ones each meets
  // all pixels before the next comes.
  constexpr int64_t cache_bytes = 1 << 20;
  int64_t bytes = correlation.panels->count * correlation.panels->stride * int64_t{sizeof(uint16_t)};
  return [=, c = correlation, panel_by_panel = bytes > cache_bytes,
          learned = is_learned(b.graph, b.node.inputs[1]), x = b.input(0), y = b.output(0),
          threads = b.threads, current = b.parameter_version](const StepScalars&) {
    const Extent &image = c.image, &result = c.result;
    if (!learned || *packed_version != *current) {
      for_each_index(threads, c.taps, c.pack_tap);
      *packed_version = *current;
    }
    for (int64_t first = 0; first < c.images; first += group) {
      int64_t count = std::min(group, c.images - first);
      const float* from = read(x) + first * image.pixels() * image.channels;
      for_each_index(threads, image.height, [&](int64_t row) { source->split(from, count, row); });
      float* to = write(y) + first * result.pixels() * result.channels;
      // Pixels [pixel, end), two at a time where the group is half empty and both read alike.
      auto multiply_pixels = [&](int64_t pixel, int64_t end, int64_t column, int64_t columns) {
        Tiles tiles;
        while (pixel < end) {
          const StepLists::List& list = c.steps->list(pixel);
          bool two = count <= block / 2 && pixel + 1 < end && &list == &c.steps->list(pixel + 1);
          multiply(tiles, {.a = source->scratch.data() + c.steps->begin(pixel),
                           .a_plane = source->plane,
                           .a_stride = source->stride,
                           .a_offsets = list.a.data(),
                           .panel_offsets = list.panel.data(),
                           .steps = static_cast<int64_t>(list.a.size()),
                           .panels = c.panels->at(column / block).values,
                           .panel_stride = c.panels->stride,
                           .rows = count,
                           .columns = columns,
                           .c = to + pixel * result.channels + column,
                           .c_stride = result.pixels() * result.channels,
                           .a_second = two ? c.steps->begin(pixel + 1) - c.steps->begin(pixel) : 0,
                           .c_second = two ? result.channels : 0,
                           .accumulate = false,
                           .bias = c.bias == nullptr ? nullptr : read(c.bias) + column,
                           .relu = c.relu});
          pixel += two ? 2 : 1;
        }
      };
      if (panel_by_panel) {
        for_each_part(threads, result.channels, block, [&](int64_t column, int64_t end) {
          multiply_pixels(0, result.pixels(), column, end - column);
        });
      } else {
        for_each_part(threads, result.pixels(), result.width,
                      [&](int64_t pixel, int64_t end) { multiply_pixels(pixel, end, 0, result.channels); });
      }
    }
  };
}

}  // namespace

bool takes_convolution(const Binding& b, const Shape& x, const Shape& w) {
  constexpr int64_t least_images = 16,
                    least_channels = 16;  // measured (bench_ops): below, the units stay half empty
  return b.matrix_units && kernel_type(b.graph, b.node) == DType::float32 && x[0] >= least_images &&
         w[2] >= least_channels && w[3] >= least_channels;
}

Kernel bind_convolution(const Binding& b) {
  const Shape& w = b.input_shape(1);
  Geometry g = geometry_of(b, b.input_shape(0), b.output_shape(0), w[0], w[1]);
  auto steps = std::make_shared<StepLists>();
  int64_t blocks = blocks_of(g.x.channels), pixel = group * row_stride(g.x.channels);
  for (int64_t p = 0; p < g.y.pixels(); ++p) {
    steps->add(g.window.taps(), blocks, pixel,
               [&](int64_t tap) { return pixel_read(g.window, g.x, p / g.y.width, p % g.y.width, tap); });
  }
  auto panels = std::make_shared<PanelBuffer>(g.window.taps() * padded(g.x.channels), g.y.channels);
  auto pack = [=, weights = b.input(1)](int64_t tap) {
    pack_panels(read(weights) + tap * g.x.channels * g.y.channels, g.x.channels, g.y.channels, g.y.channels,
                block * g.y.channels, panels->at(0, tap * blocks), nullptr);
  };
  return bind_correlation(b, {g.images, g.x, g.y, steps, panels, pack, g.window.taps(),
                              b.has_input(2) ? b.input(2) : nullptr, b.integer("relu") != 0});
}

Kernel bind_convolution_backward_data(const Binding& b) {
  const Shape& w = b.input_shape(1);
  Geometry g = geometry_of(b, b.output_shape(0), b.input_shape(0), w[0], w[1]);
  auto steps = std::make_shared<StepLists>();
  int64_t blocks = blocks_of(g.y.channels), pixel = group * row_stride(g.y.channels);
  for (int64_t p = 0; p < g.x.pixels(); ++p) {
    steps->add(g.window.taps(), blocks, pixel,
               [&](int64_t tap) { return pixel_reached(g.window, g.y, p / g.x.width, p % g.x.width, tap); });
  }
  auto panels = std::make_shared<PanelBuffer>(g.window.taps() * padded(g.y.channels), g.x.channels);
  auto pack = [=, weights = b.input(1)](int64_t tap) {
    pack_panels_transposed(read(weights) + tap * g.x.channels * g.y.channels, g.y.channels, g.x.channels,
                           g.y.channels, panels->at(0, tap * blocks));
  };
  return bind_correlation(b, {g.images, g.y, g.x, steps, panels, pack, g.window.taps()});
}

namespace {

// Rows of results that a gradient of the weights takes in at a time: what they read and are lies in the
// second-level cache.
int64_t rows_at_a_time(const Geometry& g) {
  constexpr int64_t bytes = 1 << 20;
  int64_t pixel = planes * group * int64_t{sizeof(uint16_t)};
  int64_t row =
      pixel * (g.y.width * padded(g.y.channels) + g.window.stride * g.x.width * padded(g.x.channels));
  return std::clamp(bytes / row, int64_t{1}, g.y.height);
}

// Of at most 16 images a step of 32 would stay half empty, so each counts as two: one of the upper half of
// the results and one of the lower half, each with all rows that its half reads (rows outside of the image
// are zeros).
Geometry halves_of(const Geometry& g) {
  Geometry half = g;
  half.y.height = (g.y.height + 1) / 2;
  half.x.height = (half.y.height - 1) * g.window.stride + g.window.height;
  half.window.top = 0;
  return half;
}

// The gradient of the weights: for each tap x^T dy, contracted over images and results, 32 images of a result
// a step. Results come in bands of rows; what a band adds is added to what the bands before gave, in this
// order whatever the number of threads.
struct WeightGradient {
  WeightGradient(const Geometry& geometry, Library& library)
      : whole(geometry),
        halved(geometry.images <= group / 2),
        g(halved ? halves_of(geometry) : geometry),
        rows(rows_at_a_time(g)),
        bands((g.y.height + rows - 1) / rows),
        x_plane(g.x.pixels() * pixel_elements()),
        x_planes(library.reserve_split(planes * x_plane + blocks_of(g.y.channels) * panel_stride())),
        sums(static_cast<size_t>(g.y.pixels() * g.y.channels)),
        total(static_cast<size_t>(g.y.channels)),
        lists(static_cast<size_t>(bands * g.window.taps())) {
    for (int64_t p = 0; p < g.y.pixels(); ++p) {
      int64_t i = p / g.y.width, j = p % g.y.width;
      for (int64_t tap = 0; tap < g.window.taps(); ++tap) {
        int64_t pixel = pixel_read(g.window, g.x, i, j, tap);
        if (pixel < 0) continue;
        StepLists::List& list = lists[static_cast<size_t>(i / rows * g.window.taps() + tap)];
        list.a.push_back(pixel * pixel_elements());
        list.panel.push_back(p * panel_step);
      }
    }
  }

  int64_t pixel_elements() const { return padded(g.x.channels) * group; }  // [channel][image]
  int64_t panel_stride() const { return g.y.pixels() * panel_step; }
  uint16_t* panels() { return x_planes.data() + planes * x_plane; }
  // Behind the last row of x that the results before `row` read.
  int64_t rows_read(int64_t row) const {
    int64_t end = (row - 1) * g.window.stride - g.window.top + g.window.height;
    return row == 0 ? 0 : std::clamp(end, int64_t{0}, g.x.height);
  }

  // Pixel (row, column) of `images` images of extent `image` from x on; halved, `second` rows further down
  // for the lower halves.
  ImageRows rows_of(const float* x, const Extent& image, int64_t images, int64_t row, int64_t column,
                    int64_t second) const {
    constexpr int64_t half = group / 2;
    int64_t stride = image.pixels() * image.channels;
    auto at = [&](int64_t r) { return x + (r * image.width + column) * image.channels; };
    auto inside = [&](int64_t r) { return r >= 0 && r < image.height; };
    if (!halved) {
      return {{at(row), at(row) + half * stride},
              {std::min(images, half), std::max(images - half, int64_t{0})},
              stride};
    }
    bool upper = inside(row), lower = inside(row + second);
    return {{upper ? at(row) : nullptr, lower ? at(row + second) : nullptr},
            {upper ? images : 0, lower ? images : 0},
            stride};
  }
  void split_x(const float* x, int64_t images, int64_t pixel) {
    int64_t row = pixel / g.x.width - (halved ? whole.window.top : 0);
    ImageRows from = rows_of(x, whole.x, images, row, pixel % g.x.width, g.y.height * g.window.stride);
    split_images_transposed(from, g.x.channels, pixels_ahead * g.x.channels,
                            {x_planes.data() + pixel * pixel_elements(), x_plane, group});
  }
  void pack_dy(const float* dy, int64_t images, int64_t pixel) {
    ImageRows from = rows_of(dy, whole.y, images, pixel / g.y.width, pixel % g.y.width, g.y.height);
    pack_images(from, g.y.channels, pixels_ahead * g.y.channels,
                {panels() + pixel * panel_step, panel_stride()}, sums.data() + pixel * g.y.channels);
  }
  void add_band(const Tiles& tiles, int64_t band, int64_t tap, int64_t channel, int64_t output, bool first,
                float* dw) {
    const StepLists::List& list = lists[static_cast<size_t>(band * g.window.taps() + tap)];
    if (list.a.empty() && !first) return;
    multiply(tiles, {.a = x_planes.data() + channel * group,
                     .a_plane = x_plane,
                     .a_stride = group,
                     .a_offsets = list.a.data(),
                     .panel_offsets = list.panel.data(),
                     .steps = static_cast<int64_t>(list.a.size()),
                     .panels = panels() + output / block * panel_stride(),
                     .panel_stride = panel_stride(),
                     .rows = std::min(block, g.x.channels - channel),
                     .columns = std::min(block, g.y.channels - output),
                     .c = dw + (tap * g.x.channels + channel) * g.y.channels + output,
                     .c_stride = g.y.channels,
                     .accumulate = !first,
                     .bias = nullptr,
                     .relu = false});
  }
  void add_sums() {
    const float* sum = sums.data();
    for (int64_t pixel = 0; pixel < g.y.pixels(); ++pixel) {
      for (double& of_channel : total) of_channel += double{*sum++};
    }
  }

  Geometry whole;
  bool halved;
  Geometry g;  // of halves, if halved
  int64_t rows, bands, x_plane;
  SplitScratch x_planes;
  std::vector<float> sums;  // of dy over the images of a group, by result
  std::vector<double> total;
  std::vector<StepLists::List> lists;  // by band and tap
};

}  // namespace

Kernel bind_convolution_backward_weights(const Binding& b) {
  Geometry g = geometry_of(b, b.input_shape(1), b.input_shape(0), b.integer("kernel_height"),
                           b.integer("kernel_width"));
  auto gradient = std::make_shared<WeightGradient>(g, b.library);
  void* const* bias = b.has_output(1) ? b.output(1) : nullptr;
  return [=, threads = b.threads, dy = b.input(0), x = b.input(1), dw = b.output(0)](const StepScalars&) {
    std::fill(gradient->total.begin(), gradient->total.end(), 0.0);
    for (int64_t image = 0; image < g.images; image += group) {
      int64_t count = std::min(group, g.images - image);
      const float* xs = read(x) + image * g.x.pixels() * g.x.channels;
      const float* dys = read(dy) + image * g.y.pixels() * g.y.channels;
      for (int64_t band = 0; band < gradient->bands; ++band) {
        int64_t row = band * gradient->rows, end = std::min(row + gradient->rows, gradient->g.y.height);
        int64_t first_x = gradient->rows_read(row) * g.x.width;
        int64_t pixels_x = gradient->rows_read(end) * g.x.width - first_x;
        int64_t first_y = row * g.y.width, pixels_y = (end - row) * g.y.width;
        for_each_index(threads, pixels_x + pixels_y, [&](int64_t i) {
          if (i < pixels_x) {
            gradient->split_x(xs, count, first_x + i);
          } else {
            gradient->pack_dy(dys, count, first_y + i - pixels_x);
          }
        });
        int64_t channel_blocks = blocks_of(g.x.channels), output_blocks = blocks_of(g.y.channels);
        int64_t blocks = g.window.taps() * channel_blocks * output_blocks;
        for_each_part(threads, blocks, (blocks + threads - 1) / threads, [&](int64_t first, int64_t last) {
          Tiles tiles;
          for (int64_t i = first; i < last; ++i) {
            int64_t rows = i / output_blocks;
            gradient->add_band(tiles, band, rows / channel_blocks, rows % channel_blocks * block,
                               i % output_blocks * block, image + row == 0, write(dw));
          }
        });
      }
      if (bias != nullptr) gradient->add_sums();
    }
    if (bias == nullptr) return;
    for (size_t i = 0; i < gradient->total.size(); ++i)
      write(bias)[i] = static_cast<float>(gradient->total[i]);
  };
}

}  // namespace trireme::cpu::split
